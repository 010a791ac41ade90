"""Windows of rate limits in a store: how often something happened lately, for any number of processes.

Each window is one value under one key, which is only ever replaced as a whole and only by who has seen the one before
(``if_version``). So two processes that hit the same limit cannot both take its last place, nobody waits for anybody,
and whoever is killed leaves either what was or what comes next. A window goes away by itself when it is over (``ttl``).

==============  ==========================================================================
``fixed/...``   ``[count, end]``: the end in seconds since the epoch
``moving/...``  the times of the hits, oldest first, as doubles in the machine's byte order
``sliding/...`` ``[seconds, number, count, count before]``: windows are numbered from the epoch on
==============  ==========================================================================
"""

from __future__ import annotations

import functools
import math
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote

from .errors import NotFound, VersionMismatch

if TYPE_CHECKING:
    from .store import Store

__all__ = ["GLOBS", "Windows"]

GLOBS = ("fixed/*", "moving/*", "sliding/*")
"""All keys of windows."""

_KEY_MAX_BYTES = 1000


class Changed(NamedTuple):
    """What a call gives, the value that shall be (None: as it was), and for how many seconds it shall be there."""

    result: Any
    value: Any = None
    seconds: float = 0.0


@functools.lru_cache(maxsize=8192)
def _segment(key: str) -> str:
    """Any text as one segment of a key: whatever may not stand in one is escaped, what is too long is hashed."""
    text = quote(key, safe=" :@,;=+$!()", errors="surrogatepass")
    if len(text) <= _KEY_MAX_BYTES:
        return text or "%"
    return "%%" + blake2b(text.encode(), digest_size=32).hexdigest()  # no escape begins so


class Windows:
    """The windows in one store. Times are seconds since the epoch, lengths of windows are seconds.

    Every call raises what the store raises, such as `SpaceFull` when there is no room for another window.

    >>> import shmspace
    >>> with shmspace.open("doc-windows", size="2M") as space:
    ...     windows = Windows(space.store())
    ...     [windows.hit_moving("login/ann", limit=2, seconds=60) for attempt in range(3)]
    ...     space.destroy()
    [True, True, False]
    """

    def __init__(self, store: Store) -> None:
        self.store = store

    def _update(self, key: str, change: Callable[[Any], Changed]) -> Any:
        """Replace a value (None: there is none) by what `change` makes of it, until nobody else did meanwhile."""
        while True:
            entry = self.store.get(key, None)
            value, version = (None, 0) if entry is None else (entry.value, entry.version)
            changed = change(value)
            if changed.value is not None:
                try:
                    self.store.set(key, changed.value, ttl=changed.seconds, if_version=version, silent=True)
                except VersionMismatch:
                    continue
            return changed.result

    def _value(self, key: str) -> Any:
        entry = self.store.get(key, None)
        return None if entry is None else entry.value

    # Fixed windows begin with the first hit.

    def hit_fixed(self, key: str, seconds: float, amount: int = 1, *, prolong: bool = False) -> int:
        """Count `amount` hits, and give how many the window has now; `prolong` lets it begin anew with each hit."""

        def change(value: Any) -> Changed:
            now = time.time()
            count, end = value or (0, 0.0)
            if end <= now:
                count = 0
            if end <= now or prolong or end > now + seconds:  # the clock may have stepped back
                end = now + seconds
            return Changed(int(count + amount), [count + amount, end], end - now)

        return int(self._update(f"fixed/{_segment(key)}", change))

    def count_fixed(self, key: str) -> int:
        """How many hits the window has; 0 when there is none."""
        count, end = self._value(f"fixed/{_segment(key)}") or (0, 0.0)
        return int(count) if end > time.time() else 0

    def end_fixed(self, key: str) -> float:
        """When the window ends; now when there is none."""
        now = time.time()
        _, end = self._value(f"fixed/{_segment(key)}") or (0, now)
        return max(now, float(end))

    # Moving windows remember every hit.

    def hit_moving(self, key: str, limit: int, seconds: float, amount: int = 1) -> bool:
        """Take `amount` places if so many of the `limit` are free; whether it did."""
        if amount > limit:
            return False

        def change(value: Any) -> Changed:
            hits = _hits(value)
            now = time.time()
            del hits[: bisect_left(hits, now - seconds)]
            if len(hits) + amount > limit:
                return Changed(False)
            newest = max(now, hits[-1]) if hits else now  # they stay in order when the clock steps back
            hits.extend([newest] * amount)
            return Changed(True, hits.tobytes(), seconds)

        return bool(self._update(f"moving/{_segment(key)}", change))

    def look_moving(self, key: str, limit: int, seconds: float) -> tuple[float, int]:
        """When the oldest hit was that still counts (now if none does), and how many count."""
        now = time.time()
        hits = _hits(self._value(f"moving/{_segment(key)}"))
        first = bisect_left(hits, now - seconds)
        return (hits[first], len(hits) - first) if first < len(hits) else (now, 0)

    # Sliding windows count by windows that begin at multiples of their length.

    def hit_sliding(self, key: str, limit: int, seconds: float, amount: int = 1) -> bool:
        """Take `amount` places, if this window's hits and the part of those before that still counts leave so many."""
        if amount > limit:
            return False

        def change(value: Any) -> Changed:
            number, count, before, passed = _counts(value, time.time(), seconds)
            if math.floor(before * (1 - passed) + count) + amount > limit:
                return Changed(False)
            return Changed(True, [seconds, number, count + amount, before], 2 * seconds)

        return bool(self._update(f"sliding/{_segment(key)}", change))

    def look_sliding(self, key: str, seconds: float) -> tuple[int, float, int, float]:
        """Hits in the window before, and for how long some of them count; those in this one, and for how long."""
        _, count, before, passed = _counts(self._value(f"sliding/{_segment(key)}"), time.time(), seconds)
        left = (1 - passed) * seconds
        return before, left if before else 0.0, count, left + seconds

    # All of them

    def clear(self, key: str) -> None:
        """Forget the windows of a key."""
        for kind in ("fixed", "moving", "sliding"):
            self._forget(f"{kind}/{_segment(key)}")

    def clear_sliding(self, key: str) -> None:
        """Forget the sliding window of a key."""
        self._forget(f"sliding/{_segment(key)}")

    def _forget(self, place: str) -> None:
        try:
            self.store.delete(place, silent=True)
        except NotFound:
            pass  # it is over

    def clear_all(self) -> int:
        """Forget all windows; how many there were."""
        return sum(self.store.delete(glob, silent=True) for glob in GLOBS)


def _hits(value: bytes | None) -> array[float]:
    hits = array("d")
    hits.frombytes(value or b"")
    return hits


def _counts(value: Any, now: float, seconds: float) -> tuple[int, int, int, float]:
    """Number of the window at `now`, hits in it, hits in the one before, and what part of it has passed."""
    number, passed = int(now // seconds), now / seconds % 1
    length, found, count, before = value or (seconds, number, 0, 0)
    if length != seconds:
        return number, 0, 0, passed
    if found >= number:  # the clock may have stepped back
        return found, count, before, passed
    return number, 0, count if found == number - 1 else 0, passed
