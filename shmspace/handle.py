"""What the handles of all structures have in common."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from . import _native, options
from ._native import ffi, lib
from .codec import Codec, get_codec
from .errors import Closed, CodecError, NotFound, OptionsMismatch

if TYPE_CHECKING:
    from .space import Space

__all__ = ["PATIENCE_NS", "Handle", "NamedHandle", "NativeHandle", "PortHandle", "attaching", "snapshot"]

PATIENCE_NS = 5_000_000_000  # for locks that are held for microseconds

_Self = TypeVar("_Self", bound="NativeHandle")
_Member = TypeVar("_Member")

_attaching = threading.RLock()


def attaching() -> threading.RLock:
    """Give the lock of threads that open what a handle needs later: after a fork, or its own reader."""
    return _attaching


def _after_fork() -> None:
    global _attaching
    _attaching = threading.RLock()  # a thread that is not here may have held it


os.register_at_fork(after_in_child=_after_fork)


def snapshot(members: Iterable[_Member]) -> list[_Member]:
    """Give what is in a weak set that other threads add to meanwhile."""
    while True:
        try:
            return list(members)
        except RuntimeError:
            continue  # it changed while we looked


class NativeHandle:
    """A native handle of this process, of whatever kind, and those made from it.

    `_fail` and `_refuse_length` are called by the native methods (hot.c) when something is not on the straight path.
    """

    _kind = "handle"
    _native_kind = ""
    """The C interface calls it ``shm_`` and this."""
    _space: Space
    _name: bytes

    def _set_up(self, space: Space, name: bytes) -> None:
        self._space = space
        self._name = name
        self._closed = False
        self._made: list[_native.Owned] = []  # native handles, kept while this object lives: a thread may be inside
        self._children: weakref.WeakSet[NativeHandle] = weakref.WeakSet()
        self._epoch = int(lib.shm_fork_epoch())

    def _open_first(self, parent: NativeHandle | Space, siblings: weakref.WeakSet[Any]) -> None:
        """Open it when it is made, as one of the siblings that go when the parent does."""
        try:
            self._open_native()
            siblings.add(self)
            if parent.closed:  # by another thread, which may not have seen this one
                raise Closed(f"{parent} was closed in this process")
        except BaseException:
            self.close()
            raise

    def _make(self, call: Callable[[int, Any], int]) -> int:
        """Have ``call(deadline, room)`` make the native handle, which is freed with this object; give its status."""
        made = _native.Owned(f"shm_{self._native_kind} **", _FREE[self._native_kind], self._space._attachment.pointer)
        try:
            status = _native.patiently(lambda limit: call(limit, made.room), PATIENCE_NS)
            if status == lib.SHM_OK:
                self._made.append(made)
            return status
        except BaseException:
            if made not in self._made:
                made.give_back()  # now: a traceback may keep it for long
            raise

    @property
    def _raw(self) -> Any:
        """The native handle as it was made last, whatever became of it."""
        return self._made[-1].room[0]

    @property
    def _pointer(self) -> Any:
        """The native handle, attached for this process. Raises `Closed`."""
        self._look_alive()
        return self._raw

    def _look_alive(self) -> None:
        if self._closed:
            raise Closed(f"{self} was closed in this process")
        self._space._pointer()
        if self._epoch != lib.shm_fork_epoch():
            self._attach_again()

    def _attach_again(self) -> None:
        """After a fork: the parent's handle becomes one of our own."""
        with attaching():
            if self._epoch != lib.shm_fork_epoch():
                self._children = weakref.WeakSet(snapshot(self._children))
                self._open_native()
                self._epoch = int(lib.shm_fork_epoch())

    def _open_native(self) -> None:
        raise NotImplementedError

    @property
    def name(self) -> str | bytes:
        """The structure's name."""
        return options.name_to_str(self._name)

    @property
    def space(self) -> Space:
        """The space that it is in."""
        return self._space

    @property
    def closed(self) -> bool:
        """Whether it was closed in this process."""
        return self._closed

    def close(self) -> None:
        """Close it, and what was made from it, in this process; calls blocked in it on other threads raise `Closed`."""
        if self._closed:
            return
        self._closed = True
        self._mark_closing()  # first: what the children's end makes room for is not ours any more
        for child in snapshot(self._children):
            child.close()
        self._forget()
        if self._epoch == lib.shm_fork_epoch() and self._made:
            _CLOSE[self._native_kind](self._raw)

    def __enter__(self: _Self) -> _Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<shmspace.{type(self).__name__} {self.name!r} of space {self._space.name!r}{state}>"

    def _fail(self, status: int, what: str, timeout_ns: int) -> None:
        """Raise what a status means; return when the call should be tried again."""
        if status == lib.SHM_FORKED:
            self._look_alive()
            return
        raise self._exception(status, what, timeout_ns)

    def _exception(self, status: int, what: str, timeout_ns: int) -> Exception:
        within = "at once" if timeout_ns == 0 else f"within {timeout_ns / 1e9:g} s"
        if status == lib.SHM_CLOSED:
            return Closed(self._why_closed(what))
        if status == lib.SHM_READ_ONLY:
            return _native.error(status, f"{what} on {self}: its space is open read-only")
        if status == lib.SHM_EMPTY:
            return _native.error(status, f"{what} on {self}: nothing came {within}", holders=self._peers(writers=True))
        if status == lib.SHM_FULL:
            return _native.error(status, f"{what} on {self}: no room {within}", holders=self._peers(writers=False))
        if status in (lib.SHM_TIMEOUT, lib.SHM_BUSY):
            attachment = self._space._attachment
            holders = attachment.holders([lib.shm_space_blocker(attachment.pointer)])
            return _native.error(lib.SHM_TIMEOUT, f"{what} on {self}: it was locked {within}", holders=holders)
        return _native.error(status)

    def _look_there(self) -> None:
        """Raise `Closed` if the structure is not there any more."""
        self._look_alive()
        if not self._is_there():
            raise Closed(self._why_closed("using"))

    def _is_there(self) -> bool:
        return bool(_ALIVE[self._native_kind](self._raw))

    def _why_closed(self, what: str) -> str:
        if self._closed:
            return f"{what} on {self}: it was closed in this process"
        if self._is_there():
            return f"{what} on {self}: it was shut down; no more input until it is deleted and created again"
        return f"{what} on {self}: it was deleted, or its space was destroyed"

    def _peers(self, *, writers: bool) -> list[Any]:
        """Give whom a call waited for."""
        raise NotImplementedError

    def _forget(self) -> None:
        """Let go of what is kept for the next call."""

    def _mark_closing(self) -> None:
        """Make calls under way leave; a native method."""
        raise NotImplementedError

    def _allowed_codec(self, name: str) -> Codec:
        codec = get_codec(name)
        if name == "pickle" and self._space._mode & 0o022 and not self._space._allow_pickle:
            raise CodecError(
                f"{self._kind} {self.name!r} has codec 'pickle' and others may write to space {self._space.name!r}: "
                "a pickle can run any code; open the space with allow_pickle=True if they are trusted"
            )
        return codec


class PortHandle(_native.Port, NativeHandle):  # type: ignore[misc]  # a native type
    """A channel, or a reader or writer of one."""

    _native_kind = "channel"
    _rest: bytes | None
    _kept: bool
    _max_message = 0

    def _forget(self) -> None:
        self._rest = None

    def _exception(self, status: int, what: str, timeout_ns: int) -> Exception:
        if status == lib.SHM_END:
            return _native.error(status, f"{what} on {self}: the last writer has left and everything was read")
        if status == lib.SHM_LAGGED:
            lost = int(lib.shm_channel_lost(self._raw))
            return _native.error(status, f"{what} on {self}: overtaken, {lost} messages were lost", lost=lost)
        return super()._exception(status, what, timeout_ns)

    def _peers(self, *, writers: bool) -> list[Any]:
        tokens = ffi.new("uint32_t[]", 64)
        count = lib.shm_channel_peers(self._raw, writers, tokens, 64)
        return self._space._attachment.holders([int(tokens[i]) for i in range(count)])

    def _refuse_length(self, length: int) -> None:
        raise _native.error(
            lib.SHM_TOO_LARGE,
            f"a message of {length} bytes is longer than max_message={self._max_message} of {self}; nothing was sent",
        )


class Handle(NativeHandle):
    """A handle on a named structure: what all kinds of them can do."""

    def drop(self) -> None:
        """Remove the structure for everybody, as ``space.delete(kind, name)`` does."""
        self._look_alive()
        self._space.delete(self._kind, self._name)


class NamedHandle(Handle):
    """A structure that is opened by its name and its options."""

    def _begin(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._set_up(space, name)
        self._wanted = wanted
        self._given = given_bits
        self._create = create
        self._open_first(space, space._handles)
        self._create = False  # from now on, after a fork, it is there or it was deleted

    def _open_named(self, call: Callable[..., int]) -> None:
        """Have ``call(space, name, ...)`` of the C interface open it."""
        if self._space.readonly and not self._space.exists(self._kind, self._name):
            raise NotFound(f"there is no {self._kind} {self.name!r} in {self._space}, which is open read-only")
        pointer, name, wanted = self._space._pointer(), self._name, self._wanted
        status = self._make(
            lambda limit, room: call(pointer, name, len(name), wanted, self._given, self._create, limit, room)
        )
        if status == lib.SHM_NOT_FOUND and self._made:
            raise Closed(f"{self} was deleted")
        if status == lib.SHM_MISMATCH:
            raise OptionsMismatch(f"{self.name!r}: {_native.text(lib.shm_error_text())}")
        if status == lib.SHM_TIMEOUT:
            raise self._exception(status, "opening", PATIENCE_NS)
        _native.check(status)


def _freeing(free: Callable[[Any], None]) -> Callable[[Any, Any], None]:
    def give_back(room: Any, space: Any) -> None:
        if room[0]:
            free(room[0])

    return give_back


_KINDS = ("channel", "queue", "tuples", "log", "store")
_FREE = {kind: _freeing(getattr(lib, f"shm_{kind}_free")) for kind in _KINDS}
_CLOSE = {kind: getattr(lib, f"shm_{kind}_close") for kind in _KINDS}
_ALIVE = {kind: getattr(lib, f"shm_{kind}_alive") for kind in _KINDS}
