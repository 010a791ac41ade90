"""asyncio for stores: coroutines wait for locks and events until the bell of their process is rung. See aio_line.py.

A coroutine that waits has changed and taken nothing; it does so in one step after it was woken. So cancelling it loses
nothing. A lock belongs to the held object, not to the thread: only that object's calls pass it.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import time
from collections.abc import Callable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from ._native import ffi, lib
from .aio_line import line_for
from .cabinet import PLAIN
from .entry import Entry, Event, StoreStat
from .errors import Empty, Locked, Timeout
from .options import timeout_ns
from .shelf import deadline_of
from .store_lock import HeldKey, take

if TYPE_CHECKING:
    from .store import Store
    from .watch import Watch

__all__ = ["HeldKeyAio", "KeyLockAio", "StoreAio", "WatchAio"]

Entries: TypeAlias = "list[Entry]"  # inside the class, `list` is a method
Keys: TypeAlias = "list[str]"
Values: TypeAlias = "list[Any]"
Items: TypeAlias = "list[tuple[str, Any]]"

_NAP_S = 0.005
_T = TypeVar("_T")
_missing: Any = object()
_holders = itertools.count(1 << 63)  # threads are numbered by addresses, which are below
_next_holder = functools.partial(next, _holders)


class _ForLock:
    """A wait for a key's lock, or for any lock where that is not known."""

    def __init__(self, store: Store, key: str) -> None:
        self.shelf = store
        self._key = None if "*" in key else store._key(key, PLAIN)
        self._again = False

    def is_over(self) -> bool:
        """Arm the bell, then look."""
        store, key = self.shelf, self._key
        lib.shm_store_arm_locks(store._pointer)
        if key is not None:
            return self._again or not int(lib.shm_store_holder(store._raw, key, len(key), ffi.new("uint64_t *")))
        again, self._again = self._again, True
        return again

    def probe(self) -> None:
        """Who has it may have died: the next attempt finds out."""
        self._again = True


class _ForEvent:
    """A wait for the next event of a watch."""

    def __init__(self, watch: Watch) -> None:
        self.shelf = watch._store
        self._watch = watch

    def is_over(self) -> bool:
        """Arm the bell, then look."""
        return bool(self._watch._look())

    def probe(self) -> None:
        """Nobody's death matters."""


async def _patiently(store: Store, key: str, what: str, call: Callable[[float], _T], timeout: float | None) -> _T:
    """Have ``call(timeout)`` done, which others' locks and shards may hold up."""
    deadline = deadline_of(timeout)
    while True:
        try:
            return call(0)
        except Locked:
            if time.monotonic() >= deadline:
                raise store._locked(what, key, timeout_ns(timeout)) from None
            await line_for(store._space._attachment).stand(_ForLock(store, key), deadline)
        except Timeout:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_NAP_S)


class StoreAio:
    """Coroutines of a `Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def get(self, key: str, default: Any = _missing) -> Any:
        """As `Store.get`."""
        return self._store.get(key) if default is _missing else self._store.get(key, default)

    async def set(
        self,
        key: str,
        value: object,
        *,
        created: int | datetime | None = None,
        updated: int | datetime | None = None,
        ttl: float | None = None,
        if_version: int | None = None,
        silent: bool = False,
        timeout: float | None = None,
    ) -> int:
        """As `Store.set`, without blocking the loop."""
        call = functools.partial(
            self._store.set,
            key,
            value,
            created=created,
            updated=updated,
            ttl=ttl,
            if_version=if_version,
            silent=silent,
        )
        return await _patiently(self._store, key, "set", lambda limit: int(call(timeout=limit)), timeout)

    async def push(
        self, glob: str, value: object, *, ttl: float | None = None, silent: bool = False, timeout: float | None = None
    ) -> str:
        """As `Store.push`, without blocking the loop."""
        call = functools.partial(self._store.push, glob, value, ttl=ttl, silent=silent)
        return await _patiently(self._store, glob, "push", lambda limit: call(timeout=limit), timeout)

    async def incr(self, key: str, by: int = 1, *, timeout: float | None = None) -> int:
        """As `Store.incr`, without blocking the loop."""
        call = functools.partial(self._store.incr, key, by)
        return await _patiently(self._store, key, "incr", lambda limit: int(call(timeout=limit)), timeout)

    async def patch(self, key: str, partial: object, *, timeout: float | None = None) -> Entry:
        """As `Store.patch`, without blocking the loop."""
        call = functools.partial(self._store.patch, key, partial)
        return await _patiently(self._store, key, "patch", lambda limit: call(timeout=limit), timeout)

    async def delete(self, key: str, *, silent: bool = False, timeout: float | None = None) -> int:
        """As `Store.delete`, without blocking the loop."""
        call = functools.partial(self._store.delete, key, silent=silent)
        return await _patiently(self._store, key, "delete", lambda limit: call(timeout=limit), timeout)

    async def clear(self, *, silent: bool = False, timeout: float | None = None) -> None:
        """As `Store.clear`, without blocking the loop."""
        call = functools.partial(self._store.clear, silent=silent)
        await _patiently(self._store, "*", "clear", lambda limit: call(timeout=limit), timeout)

    async def list(
        self,
        glob: str,
        *,
        order: str = "asc",
        limit: int | None = None,
        since: int | datetime | None = None,
        until: int | datetime | None = None,
    ) -> Entries:
        """As `Store.list`."""
        return self._store.list(glob, order=order, limit=limit, since=since, until=until)

    async def keys(
        self, glob: str | None = None, *, since: int | datetime | None = None, until: int | datetime | None = None
    ) -> Keys:
        """As `Store.keys`."""
        return self._store.keys(glob, since=since, until=until)

    async def values(self) -> Values:
        """As `Store.values`."""
        return self._store.values()

    async def items(self) -> Items:
        """As `Store.items`."""
        return self._store.items()

    async def update(self, other: Any = (), /, **more: Any) -> None:
        """As `Store.update`, without blocking the loop."""
        for key, value in dict(other, **more).items():
            await self.set(key, value)

    async def setdefault(self, key: str, default: Any = None) -> Any:
        """As `Store.setdefault`, without blocking the loop."""
        store = self._store
        return await _patiently(store, key, "setdefault", lambda _: store._setdefault(key, default, 0), None)

    async def pop(self, key: str, default: Any = _missing) -> Any:
        """As `Store.pop`, without blocking the loop."""
        entry = await _patiently(self._store, key, "pop", lambda _: self._store._popped(key, 0), None)
        if entry is not None:
            return entry.value
        if default is _missing:
            raise self._store._nothing("pop", key)
        return default

    async def stat(self) -> StoreStat:
        """As `Store.stat`."""
        return self._store.stat()

    def lock(self, key: str, timeout: float | None = None) -> KeyLockAio:
        """As `Store.lock`: an asynchronous context manager. The lock is its own, whatever thread or task it is in."""
        return KeyLockAio(self._store, key, timeout)

    def watch(self, glob: str | None = None, *, start: str | int = "now", timeout: float | None = None) -> WatchAio:
        """As `Store.watch`: an asynchronous iterator."""
        return WatchAio(self._store.watch(glob, start=start, timeout=timeout), timeout)


class HeldKeyAio:
    """A `HeldKey` for coroutines."""

    def __init__(self, held: HeldKey) -> None:
        self._held = held

    @property
    def key(self) -> str:
        """As `HeldKey.key`."""
        return self._held.key

    @property
    def owner_died(self) -> bool:
        """As `HeldKey.owner_died`."""
        return bool(self._held.owner_died)

    @property
    def entry(self) -> Entry | None:
        """As `HeldKey.entry`."""
        return self._held.entry

    async def set(
        self, value: object, *, ttl: float | None = None, silent: bool = False, timeout: float | None = None
    ) -> int:
        """As `HeldKey.set`, without blocking the loop."""
        call = functools.partial(self._held.set, value, ttl=ttl, silent=silent)
        return await _patiently(self._held._store, self.key, "set", lambda limit: call(timeout=limit), timeout)

    async def delete(self, *, silent: bool = False, timeout: float | None = None) -> None:
        """As `HeldKey.delete`, without blocking the loop."""
        call = functools.partial(self._held.delete, silent=silent)
        await _patiently(self._held._store, self.key, "delete", lambda limit: call(timeout=limit), timeout)


class KeyLockAio:
    """The lock of a key, for ``async with``. One object serves one task at a time."""

    def __init__(self, store: Store, key: str, timeout: float | None) -> None:
        store._key(key, PLAIN)
        self._store = store
        self._key = key
        self._timeout = timeout
        self._held: HeldKey | None = None
        deadline_of(timeout)

    async def __aenter__(self) -> HeldKeyAio:
        store, key, holder = self._store, self._key, _next_holder()
        held = await _patiently(store, key, "lock", lambda limit: take(store, key, holder, 0), self._timeout)
        self._held = held
        return HeldKeyAio(held)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        held, self._held = self._held, None
        if held is not None:
            held.release()


class WatchAio:
    """A `Watch` for coroutines."""

    def __init__(self, watch: Watch, timeout: float | None = None) -> None:
        self._watch = watch
        self._timeout = timeout

    @property
    def lost(self) -> int:
        """As `Watch.lost`."""
        return int(self._watch.lost)

    @property
    def last_seq(self) -> int:
        """As `Watch.last_seq`."""
        return int(self._watch.last_seq)

    @property
    def closed(self) -> bool:
        """As `Watch.closed`."""
        return self._watch.closed

    def close(self) -> None:
        """As `Watch.close`."""
        self._watch.close()

    async def next(self, timeout: float | None = None) -> Event:
        """As `Watch.next`, without blocking the loop; `StopAsyncIteration` when it was closed."""
        wanted = self._timeout if timeout is None else timeout
        deadline = deadline_of(wanted)
        store = self._watch._store
        while True:
            try:
                return self._watch.next(timeout=0)  # type: ignore[no-any-return]
            except StopIteration:
                raise StopAsyncIteration from None
            except Empty:
                if time.monotonic() >= deadline:
                    raise store._exception(lib.SHM_EMPTY, "watch", timeout_ns(wanted)) from None
            await line_for(store._space._attachment).stand(_ForEvent(self._watch), deadline)

    def __aiter__(self) -> WatchAio:
        return self

    async def __anext__(self) -> Event:
        return await self.next()

    async def __aenter__(self) -> WatchAio:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
