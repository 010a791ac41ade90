"""Attachments: the one membership that a process has in a region, however often it opens the space.

An attachment lives until the last `Space` of the process on that region is closed and nothing looks into a view any
more: what a member holds is handed on when it leaves. Its mapping lives until nothing in the process points into it.

Fork: the child has the parent's objects. `Attachment.ensure` finds out by the fork epoch, and makes the child a member
of its own at its first use.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import threading
from collections.abc import Callable, Iterable
from typing import Any

from . import _native, bell
from ._native import ffi, lib
from .errors import Closed, Holder, NotASpace

__all__ = ["Attachment", "attach", "attach_nameless", "make_nameless"]

_PATIENCE_NS = 50_000_000  # of a call that does not wait, for a region that another one publishes at this instant
_CREATE, _READONLY, _MODE_GIVEN, _STRANGER = 1, 2, 4, 8

_attached: dict[tuple[int, int, bool], Attachment] = {}
_lock = threading.RLock()


def _after_fork() -> None:
    global _lock
    _lock = threading.RLock()  # a thread that is not here may have held it
    for attachment in _attached.values():
        if attachment.bell is not None:
            attachment.bell.after_fork()


os.register_at_fork(after_in_child=_after_fork)


class Attachment:
    """This process's membership in one region."""

    def __init__(self, pointer: Any, key: tuple[int, int, bool]) -> None:
        self.pointer = pointer
        self.key = key
        self.readonly = key[2]
        self.spaces = 0
        self.closed = False
        self.epoch = int(lib.shm_fork_epoch())
        self.locks_held: dict[bytes, int] = {}  # named locks of this process, by the thread that holds each
        self.bell: bell.Bell | None = None
        self.views: set[object] = set()  # one thing for each view that somebody may look into
        self.leaving = False  # as soon as there are no views

    def ensure(self) -> Any:
        """Give the native space, attached for this process. Raises `Closed` if it is closed or destroyed."""
        if self.epoch != lib.shm_fork_epoch():
            self._attach_again()
        if self.closed:
            raise Closed("the space was closed in this process; open it again")
        if lib.shm_space_retired(self.pointer):
            raise Closed(f"the space at {self.path} was destroyed; open it again to make a new one")
        return self.pointer

    def _attach_again(self) -> None:
        with _lock:
            if self.epoch == lib.shm_fork_epoch():
                return
            if not self.closed and not lib.shm_space_retired(self.pointer):
                _native.check(lib.shm_space_attach_again(self.pointer))
            self.locks_held = {}
            self.views = set()
            self.epoch = int(lib.shm_fork_epoch())

    @property
    def path(self) -> str:
        """The region file."""
        return _native.text(lib.shm_space_path(self.pointer))

    def release(self) -> None:
        """One `Space` fewer; the last one leaves the region."""
        with _lock:
            self.spaces -= 1
            if self.spaces > 0 or self.closed:
                return
            self.closed = True
            if _attached.get(self.key) is self:
                del _attached[self.key]
        if self.epoch != lib.shm_fork_epoch():
            return  # never used since the fork: the membership is the parent's
        if self.bell is not None:
            self.bell.stop()
        lib.shm_space_mark_closing(self.pointer)
        self.leaving = True
        self._leave()

    def lend(self, give_back: Callable[..., None], *kept: Any) -> _native.Owned:
        """Give room for a view, which keeps this process in the region; ``give_back(room, *kept)`` when it goes."""
        view = object()
        made = _native.Owned("shm_view *", self._take_back, view, give_back, *kept)
        self.views.add(view)
        return made

    def _take_back(self, room: Any, view: object, give_back: Callable[..., None], *kept: Any) -> None:
        give_back(room, *kept)
        self.views.discard(view)
        if self.leaving:
            self._leave()

    def _leave(self) -> None:
        """Leave the region, once, if nothing keeps this process there."""
        with _lock:
            if self.views or not self.leaving:
                return
            self.leaving = False
        lib.shm_space_close(self.pointer)  # nothing in the child of a fork: the membership is the parent's

    def member_rows(self) -> list[Any]:
        """Give the raw rows of all members."""
        room = 64
        while True:
            rows = ffi.new("shm_member_facts[]", room)
            count = int(lib.shm_space_members(self.pointer, rows, room))
            if count <= room:
                return [rows[i] for i in range(count)]
            room = count + 16

    def entry_rows(self) -> list[Any]:
        """Give the raw rows of all live directory entries."""
        room = 64
        while True:
            rows = ffi.new("shm_entry_facts[]", room)
            count = int(_native.check(lib.shm_space_entries(self.pointer, rows, room)))
            if count <= room:
                return [rows[i] for i in range(count)]
            room = count + 16

    def key_locks(self) -> list[Any]:
        """Give the raw rows of all locks of keys of stores."""
        room = 1000
        rows = ffi.new("shm_key_lock[]", room)
        return [rows[i] for i in range(int(lib.shm_space_key_locks(self.pointer, rows, room)))]

    def leases(self) -> list[Any]:
        """Give the raw rows of all leases on values of queues."""
        room = 1000
        rows = ffi.new("shm_lease_facts[]", room)
        return [rows[i] for i in range(int(lib.shm_space_leases(self.pointer, rows, room)))]

    def holders(self, tokens: Iterable[int], since: int | None = None) -> list[Holder]:
        """Give the members with these tokens, as `Timeout.holders` shows them."""
        wanted = {token for token in tokens if token}
        if not wanted:
            return []
        return [
            Holder(int(row.pid), _native.text(row.command), bool(row.alive), int(since or row.since_ns))
            for row in self.member_rows()
            if row.token in wanted
        ]

    def ring_bells(self) -> bell.Bell:
        """Give the bell that wakes this process's event loops, started if it was not."""
        self.ensure()
        with _lock:
            if self.bell is None:
                self.bell = bell.Bell(self.pointer)
            return self.bell


def attach(
    directory: str,
    name: str,
    *,
    size: int,
    members: int,
    mode: int,
    mode_given: bool,
    create: bool,
    readonly: bool,
    timeout_ns: int,
) -> Attachment:
    """Open a region, or join in the attachment that this process has; 0 for `size` and `members` adopts what is."""
    flags = _STRANGER | (_CREATE if create else 0) | (_READONLY if readonly else 0) | (_MODE_GIVEN if mode_given else 0)
    result = ffi.new("shm_space **")
    place = os.fsencode(directory), name.encode()
    status = _native.patiently(
        lambda limit: int(lib.shm_space_open(*place, size, members, mode, flags, limit, result)),
        timeout_ns if timeout_ns < 0 else max(timeout_ns, _PATIENCE_NS),
    )
    if status == lib.SHM_BUSY:
        raise NotASpace(_native.text(lib.shm_error_text()))
    _native.check(status)
    return _joined(result, readonly)


def attach_nameless(fd: int) -> Attachment:
    """Join the region that has no name but the descriptor `fd`, which stays the caller's. Raises `NotASpace`."""
    result = ffi.new("shm_space **")
    _native.check(lib.shm_space_open_nameless(fd, result))
    return _joined(result, False)


def make_nameless(size: int, members: int) -> int:
    """Make a region without a name, of at most `size` bytes; give the descriptor, which is all that keeps it."""
    result = ffi.new("int *", -1)
    _native.check(lib.shm_space_make_nameless(size, members, result))
    return int(result[0])


def _joined(result: Any, readonly: bool) -> Attachment:
    """Give the attachment for what was mapped: a new one, or that which this process has."""
    pointer = ffi.gc(result[0], lib.shm_space_free)
    facts = ffi.new("shm_space_facts *")
    lib.shm_space_stat(pointer, facts)
    key = (int(facts.device), int(facts.inode), readonly)
    with _lock:
        known = _attached.get(key)
        if known is not None and not known.closed:
            with contextlib.suppress(Closed):
                known.ensure()
                known.spaces += 1
                return known
        _native.check(lib.shm_space_attach_again(pointer))
        made = Attachment(pointer, key)
        made.spaces = 1
        _attached[key] = made
        return made


@atexit.register
def _stop_bells() -> None:
    for attachment in list(_attached.values()):
        if attachment.bell is not None:
            attachment.bell.stop()
