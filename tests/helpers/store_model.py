"""What a store is, in a few lines, to compare the real one with: globs, JSON merge patch, order, shards."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import shmspace

PATIENCE_S = 20.0  # who has waited as long waits in vain


def matches(glob: str, key: str) -> bool:
    """Whether a key fits a glob, in which `*` is any characters but the slash; a plain key fits itself."""
    return re.fullmatch("[^/]*".join(map(re.escape, glob.split("*"))), key) is not None


def merged(target: Any, patch: Any) -> Any:
    """Give what section 2 of RFC 7396 says, in its own words, and leave the arguments alone."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for name, value in patch.items():
        if value is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), value)
    return result


def shard_of(key: str, shards: int) -> int:
    """FNV-1a of 32 bits, modulo the shards."""
    number = 0x811C9DC5
    for byte in key.encode():
        number = (number ^ byte) * 0x01000193 & 0xFFFFFFFF
    return number % shards


def drained(watch: shmspace.Watch) -> list[shmspace.Event]:
    """Every event that is there now, in the order in which it came; being overtaken is an error."""
    events = []
    while True:
        try:
            events.append(watch.next(timeout=0))
        except shmspace.Empty:
            return events


def given(watch: shmspace.Watch, count: int) -> list[shmspace.Event]:
    """So many events, however late they come (that of an expiry may), and whatever else is there already."""
    return [watch.next(timeout=PATIENCE_S) for _ in range(count)] + drained(watch)


def by_seq(events: Iterable[shmspace.Event]) -> list[shmspace.Event]:
    """Events in the order of their numbers, each number once."""
    found = sorted(events, key=lambda event: event.seq)
    assert len({event.seq for event in found}) == len(found), "two events of one number"
    return found


def by_key(events: Iterable[shmspace.Event]) -> dict[str, list[shmspace.Event]]:
    """The events of every key, in the order in which they came."""
    found: dict[str, list[shmspace.Event]] = {}
    for event in events:
        found.setdefault(event.key, []).append(event)
    return found
