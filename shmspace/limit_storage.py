"""The storages that `limits` knows by the schemes ``shmspace`` and ``async+shmspace``; needs `limits`.

Users take them from `shmspace.limits`.
"""

from __future__ import annotations

import functools
from typing import Any
from urllib.parse import unquote, urlsplit

import limits.aio.storage
import limits.storage

from . import space as spaces
from .errors import OptionsMismatch, ShmspaceError
from .limit_windows import GLOBS, Windows
from .space import Space
from .store import Store

__all__ = ["AsyncShmspaceStorage", "ShmspaceStorage"]

_STORE_NAME = "limits"


class _NoSlidingWindows:
    """Stands in for what older versions of `limits` do not have."""


_Sliding: Any = getattr(limits.storage, "SlidingWindowCounterSupport", _NoSlidingWindows)
_AsyncSliding: Any = getattr(limits.aio.storage, "SlidingWindowCounterSupport", _NoSlidingWindows)


def _open(uri: str | None, options: dict[str, Any]) -> tuple[Space, Store]:
    parts = urlsplit(uri or "")
    names = [unquote(part) for part in parts.path.split("/") if part]
    if not parts.netloc or len(names) > 1 or parts.query:
        raise ValueError(f"the storage must be given as shmspace://NAME or shmspace://NAME/STORE, not as {uri!r}")
    space = spaces.open(unquote(parts.netloc), **options)
    name = names[0] if names else _STORE_NAME
    try:
        try:
            return space, space.store(name, no_events=GLOBS)
        except OptionsMismatch:
            return space, space.store(name)  # somebody made it for more than this
    except BaseException:
        space.close()
        raise


class _InSpace:
    """A storage with its windows in a store: what those for threads and those for coroutines have in common."""

    def __init__(self, uri: str | None = None, wrap_exceptions: bool = False, **options: Any) -> None:
        super().__init__(uri, wrap_exceptions=wrap_exceptions)  # type: ignore[call-arg]  # that of the class behind
        self.space, self.store = _open(uri, options)
        self._windows = Windows(self.store)
        self._made = functools.partial(type(self), uri, wrap_exceptions, **options)

    def __reduce__(self) -> tuple[Any, ...]:
        return self._made, ()

    def close(self) -> None:
        """Close the space; the limits stay."""
        self.space.close()

    @property
    def base_exceptions(self) -> type[Exception]:
        """What `wrap_exceptions` wraps."""
        return ShmspaceError

    def _is_healthy(self) -> bool:
        try:
            self.store.stat()
        except ShmspaceError:
            return False
        return True


class ShmspaceStorage(
    _InSpace,
    limits.storage.Storage,
    limits.storage.MovingWindowSupport,
    _Sliding,  # type: ignore[misc]  # one of two classes
):
    """Rate limits of `limits` (so of flask-limiter and slowapi) for all processes of this machine, in shared memory.

    `uri` is ``shmspace://NAME`` or ``shmspace://NAME/STORE``: the space and the store (default ``"limits"``), which are
    made when they are missing. With `wrap_exceptions` what the store raises comes as `limits.errors.StorageError`;
    `options` are those of `shmspace.open` (``size="64M"``). Raises `ValueError` for another uri, and what
    `shmspace.open` raises.

    All strategies work: fixed window, moving window and, from `limits` 4.1 on, sliding window counter. Limits are
    exact, whatever process asks, and nothing is lost when one is killed. Windows go away when they are over; one of a
    moving window keeps 8 bytes for each hit.

    >>> import limits, shmspace
    >>> storage = limits.storage.storage_from_string("shmspace://doc-limits", size="2M")
    >>> limiter = limits.strategies.MovingWindowRateLimiter(storage)
    >>> twice = limits.parse("2/minute")
    >>> [limiter.hit(twice, "ann") for attempt in range(3)]
    [True, True, False]
    >>> storage.close()
    >>> shmspace.destroy("doc-limits")
    """

    STORAGE_SCHEME = ["shmspace"]

    def incr(self, key: str, expiry: float, amount: int = 1, *, elastic_expiry: bool = False) -> int:
        """Count `amount` hits in the fixed window of a key, which is `expiry` seconds long; how many it has now."""
        return self._windows.hit_fixed(key, expiry, amount, prolong=elastic_expiry)

    def get(self, key: str) -> int:
        """How many hits the fixed window of a key has."""
        return self._windows.count_fixed(key)

    def get_expiry(self, key: str) -> float:
        """When the fixed window of a key ends, in seconds since the epoch; now when there is none."""
        return self._windows.end_fixed(key)

    def check(self) -> bool:
        """Whether the store can be used."""
        return self._is_healthy()

    def reset(self) -> int | None:
        """Forget all windows; how many there were."""
        return self._windows.clear_all()

    def clear(self, key: str) -> None:
        """Forget the windows of a key."""
        self._windows.clear(key)

    def acquire_entry(self, key: str, limit: int, expiry: float, amount: int = 1) -> bool:
        """Take `amount` of the `limit` places in the moving window of a key, if they are free; whether it did."""
        return self._windows.hit_moving(key, limit, expiry, amount)

    def get_moving_window(self, key: str, limit: int, expiry: float) -> tuple[float, int]:
        """When the oldest hit was that still counts, in seconds since the epoch, and how many count."""
        return self._windows.look_moving(key, limit, expiry)

    def acquire_sliding_window_entry(self, key: str, limit: int, expiry: float, amount: int = 1) -> bool:
        """Take `amount` of the `limit` places in the sliding window of a key, if they are free; whether it did."""
        return self._windows.hit_sliding(key, limit, expiry, amount)

    def get_sliding_window(self, key: str, expiry: float) -> tuple[int, float, int, float]:
        """Hits in the window before and the seconds for which they count, then those of this window."""
        return self._windows.look_sliding(key, expiry)

    def clear_sliding_window(self, key: str, expiry: float) -> None:
        """Forget the sliding window of a key."""
        self._windows.clear_sliding(key)


class AsyncShmspaceStorage(
    _InSpace,
    limits.aio.storage.Storage,
    limits.aio.storage.MovingWindowSupport,
    _AsyncSliding,  # type: ignore[misc]  # one of two classes
):
    """`ShmspaceStorage` for `limits.aio`, by the scheme ``async+shmspace``; both may share a store.

    Its calls never wait for other processes, so that no thread is needed: each takes some microseconds.

    >>> import asyncio, limits.aio, shmspace
    >>> storage = limits.storage.storage_from_string("async+shmspace://doc-aio-limits", size="2M")
    >>> limiter = limits.aio.strategies.FixedWindowRateLimiter(storage)
    >>> asyncio.run(limiter.hit(limits.parse("2/minute"), "ann"))
    True
    >>> storage.close()
    >>> shmspace.destroy("doc-aio-limits")
    """

    STORAGE_SCHEME = ["async+shmspace"]

    async def incr(self, key: str, expiry: float, amount: int = 1, *, elastic_expiry: bool = False) -> int:
        """See `ShmspaceStorage.incr`."""
        return self._windows.hit_fixed(key, expiry, amount, prolong=elastic_expiry)

    async def get(self, key: str) -> int:
        """See `ShmspaceStorage.get`."""
        return self._windows.count_fixed(key)

    async def get_expiry(self, key: str) -> float:
        """See `ShmspaceStorage.get_expiry`."""
        return self._windows.end_fixed(key)

    async def check(self) -> bool:
        """See `ShmspaceStorage.check`."""
        return self._is_healthy()

    async def reset(self) -> int | None:
        """See `ShmspaceStorage.reset`."""
        return self._windows.clear_all()

    async def clear(self, key: str) -> None:
        """See `ShmspaceStorage.clear`."""
        self._windows.clear(key)

    async def acquire_entry(self, key: str, limit: int, expiry: float, amount: int = 1) -> bool:
        """See `ShmspaceStorage.acquire_entry`."""
        return self._windows.hit_moving(key, limit, expiry, amount)

    async def get_moving_window(self, key: str, limit: int, expiry: float) -> tuple[float, int]:
        """See `ShmspaceStorage.get_moving_window`."""
        return self._windows.look_moving(key, limit, expiry)

    async def acquire_sliding_window_entry(self, key: str, limit: int, expiry: float, amount: int = 1) -> bool:
        """See `ShmspaceStorage.acquire_sliding_window_entry`."""
        return self._windows.hit_sliding(key, limit, expiry, amount)

    async def get_sliding_window(self, key: str, expiry: float) -> tuple[int, float, int, float]:
        """See `ShmspaceStorage.get_sliding_window`."""
        return self._windows.look_sliding(key, expiry)

    async def clear_sliding_window(self, key: str, expiry: float) -> None:
        """See `ShmspaceStorage.clear_sliding_window`."""
        self._windows.clear_sliding(key)
