"""Named locks: given up when their process dies, however it dies."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Any

from . import _native, options
from ._native import ffi, lib
from .attachment import Attachment
from .errors import Locked

__all__ = ["HeldLock", "NamedLock"]


def _free(room: Any, space: Any) -> None:
    if room[0]:
        lib.shm_lock_free(room[0])


class HeldLock:
    """A named lock while it is held.

    `owner_died` is True when the previous holder died, in whatever way, without releasing it: what the lock guards may
    be half done.
    """

    def __init__(self, name: str | bytes, owner_died: bool) -> None:
        self.name = name
        self.owner_died = owner_died

    def __repr__(self) -> str:
        return f"<shmspace.HeldLock {self.name!r}{' (owner died)' if self.owner_died else ''}>"


class NamedLock:
    """A lock by name; hold it with ``with``. One object serves one thread at a time."""

    def __init__(self, pointer: Any, attachment: Attachment, name: bytes, timeout: float | None) -> None:
        self._pointer = pointer
        self._attachment = attachment
        self._name = name
        self._timeout_ns = options.timeout_ns(timeout)
        self._timeout = timeout
        self._lock: _native.Owned | None = None

    def __repr__(self) -> str:
        return f"<shmspace.NamedLock {options.name_to_str(self._name)!r}>"

    def __enter__(self) -> HeldLock:
        self._attachment.ensure()
        held_by = self._attachment.locks_held
        if held_by.get(self._name) == threading.get_ident():
            raise RuntimeError(f"this thread holds the lock {self._text!r} already; a named lock is not reentrant")
        made = _native.Owned("shm_lock **", _free, self._pointer)
        limit = _native.deadline(self._timeout_ns)
        name, size = self._name, len(self._name)
        status = _native.patiently(
            lambda limit: lib.shm_lock_open(self._pointer, name, size, limit, made.room),
            self._timeout_ns if self._timeout_ns < 0 else max(self._timeout_ns, _native.SLICE_NS),
        )
        if status == lib.SHM_TIMEOUT:
            holders = self._attachment.holders([lib.shm_space_blocker(self._pointer)])
            raise Locked(f"lock {self._text!r} could not be looked up within {self._timeout} s", holders=holders)
        _native.check(status)
        lock = made.room[0]
        # The C core writes owner_died only once the lock is taken: an exception that strikes in between can tell.
        owner_died = ffi.new("int *", -1)
        try:
            self._take(lock, limit, owner_died)
            held_by[self._name] = threading.get_ident()
            self._lock = made
            return HeldLock(self._text, owner_died[0] == 1)
        except BaseException:
            if owner_died[0] >= 0:
                held_by.pop(self._name, None)
                self._lock = None
                lib.shm_lock_release(lock)
            made.give_back()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        made, self._lock = self._lock, None
        self._attachment.locks_held.pop(self._name, None)
        if made is not None:
            lib.shm_lock_release(made.room[0])  # in the child of a fork it is the parent's, and stays so
            made.give_back()

    @property
    def _text(self) -> str | bytes:
        return options.name_to_str(self._name)

    def _take(self, lock: Any, limit: int, owner_died: Any) -> None:
        """Wait for the lock in slices, so that Python can look for signals in between."""
        while True:
            now = int(lib.shm_monotonic_ns())
            status = lib.shm_lock_take(lock, min(limit, now + _native.SLICE_NS), owner_died)
            if status == lib.SHM_OK:
                return
            if status not in (lib.SHM_LOCKED, lib.SHM_INTERRUPTED):
                raise _native.error(status, f"lock {self._text!r} was removed while it was waited for")
            if status == lib.SHM_LOCKED and int(lib.shm_monotonic_ns()) >= limit:
                since = ffi.new("uint64_t *")
                holder = int(lib.shm_lock_holder(lock, since))
                holders = self._attachment.holders([holder], since=int(since[0]))
                raise Locked(f"lock {self._text!r} was not free within {self._timeout} s", holders=holders)
