"""Locks of keys: others' writes wait while one is held, and it passes on when its process dies, however it dies."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native, options
from ._native import lib
from .cabinet import PLAIN
from .entry import Entry
from .errors import Closed

if TYPE_CHECKING:
    from .store import Store

__all__ = ["HeldKey", "HeldKeys", "KeyLock", "take"]

_PATIENCE_NS = 50_000_000  # for shards, which are locked for a moment, of calls that do not wait


class HeldKey:
    """A key of a store while its lock is held; used afterwards it raises `Closed`.

    `owner_died` is True when the previous holder died, in whatever way, without releasing it: the value is the last
    that was set completely.
    """

    def __init__(self, store: Store, key: str, holder: int, made: _native.Owned) -> None:
        self.key = key
        self.owner_died = bool(made.room[0] == 1)
        self._store = store
        self._holder = holder
        self._made = made  # the lock: given up when this object goes, at the latest
        self._epoch = int(lib.shm_fork_epoch())
        self._released = False

    def __repr__(self) -> str:
        state = " (released)" if self._released else " (owner died)" if self.owner_died else ""
        return f"<shmspace.HeldKey {self.key!r} of {self._store}{state}>"

    @property
    def entry(self) -> Entry | None:
        """The entry as it is now; None if there is none."""
        self._look_held()
        found: Entry | None = self._store.get(self.key, None)
        return found

    def set(
        self, value: object, *, ttl: float | None = None, silent: bool = False, timeout: float | None = None
    ) -> int:
        """Set the key, as `Store.set` does, and give its version; it takes effect at once."""
        self._look_held()
        store, flags = self._store, lib.SHM_WRITE_SILENT if silent else 0
        ttl_ns, timeout_ns = 0 if ttl is None else store._ttl_ns(ttl), options.timeout_ns(timeout)
        return int(store._write(self.key, value, flags, 0, ttl_ns, 0, self._holder, timeout_ns, "set")[0])

    def delete(self, *, silent: bool = False, timeout: float | None = None) -> None:
        """Remove the key; `NotFound` if it is missing. The lock stays."""
        self._look_held()
        flags = lib.SHM_WRITE_SILENT if silent else 0
        self._store._remove(self.key, flags, 0, self._holder, options.timeout_ns(timeout))

    def _look_held(self) -> None:
        if self._released:
            raise Closed(f"the lock of {self.key!r} on {self._store} was released; take it again")
        if self._epoch != lib.shm_fork_epoch():
            raise Closed(f"the lock of {self.key!r} on {self._store} is that of the process which has forked this one")

    def release(self) -> None:
        """Give the lock up; once. In the child of a fork it stays the parent's."""
        self._made.give_back()
        self._released = True
        self._store._held.discard(self)


HeldKeys = weakref.WeakSet[HeldKey]


def _unlock(died: Any, armed: list[bool], pointer: Any, key: bytes, holder: int, epoch: int, *_: Any) -> None:
    # The C core writes into `died` only once the lock is taken. If the store was deleted there is nothing to give up.
    if armed and died[0] >= 0 and epoch == lib.shm_fork_epoch():
        lib.shm_store_unlock(pointer, key, len(key), holder)


def take(store: Store, key: str, holder: int, timeout_ns: int) -> HeldKey:
    """Take the lock of a key. Raises `Locked`, and `RuntimeError` if this holder has it."""
    store._space._pointer(changing=True)
    data, pointer, armed = store._key(key, PLAIN), store._pointer, list[bool]()
    made = _native.Owned("int *", _unlock, armed, pointer, data, holder, int(lib.shm_fork_epoch()), store._made[-1])
    made.room[0] = -1
    armed.append(True)
    try:
        status = _take(pointer, data, holder, timeout_ns, made.room)
        if status == lib.SHM_OK:
            held = HeldKey(store, key, holder, made)
            store._held.add(held)
            return held
    except BaseException:
        made.give_back()  # now: a traceback may keep it for long
        raise
    if status == lib.SHM_INVALID:
        raise RuntimeError(f"this thread has the lock of {key!r} on {store} already; a lock is not reentrant")
    if status == lib.SHM_LOCKED:
        raise store._locked("lock", key, timeout_ns)
    store._fail(status, "lock", timeout_ns)
    return take(store, key, holder, timeout_ns)


def _take(pointer: Any, key: bytes, holder: int, timeout_ns: int, owner_died: Any) -> int:
    """Wait for the lock in slices, so that Python can look for signals in between; give the last status."""
    limit = _native.deadline(timeout_ns)
    patience = _native.deadline(max(timeout_ns, _PATIENCE_NS)) if timeout_ns >= 0 else limit
    while True:
        now = int(lib.shm_monotonic_ns())
        status = int(lib.shm_store_lock(pointer, key, len(key), holder, min(limit, now + _native.SLICE_NS), owner_died))
        over = limit if status == lib.SHM_LOCKED else patience
        if status not in (lib.SHM_LOCKED, lib.SHM_TIMEOUT, lib.SHM_BUSY, lib.SHM_INTERRUPTED):
            return status
        if int(lib.shm_monotonic_ns()) >= over:
            return status


class KeyLock:
    """The lock of a key; hold it with ``with``. One object serves one thread at a time; `Store.lock` gives it."""

    def __init__(self, store: Store, key: str, timeout: float | None) -> None:
        store._key(key, PLAIN)
        self._store = store
        self._key = key
        self._timeout_ns = options.timeout_ns(timeout)
        self._held: HeldKey | None = None

    def __repr__(self) -> str:
        return f"<shmspace.KeyLock {self._key!r} of {self._store}>"

    def __enter__(self) -> HeldKey:
        self._held = take(self._store, self._key, threading.get_ident(), self._timeout_ns)
        return self._held

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()
