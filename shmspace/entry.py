"""What stores give: entries, events and numbers."""

from __future__ import annotations

from typing import Any, NamedTuple

__all__ = ["Entry", "Event", "StoreStat"]


class Entry(NamedTuple):
    """A key of a store with its value.

    >>> entry = Entry("jobs/7/state", "done", 1_700_000_000_000_000_000, 0, 12)
    >>> entry.value, entry.index
    ('done', 'state')
    """

    key: str
    value: Any
    created: int
    """When the key was made, nanoseconds since the epoch, UTC."""
    updated: int
    """When it was changed last, likewise; 0: not since it was made."""
    version: int
    """Rises with every change in the store."""

    @property
    def index(self) -> str:  # type: ignore[override]  # a tuple's method of that name is of no use here
        """The last segment of the key."""
        return self.key.rpartition("/")[2]


class Event(NamedTuple):
    """A change of a key, as a watch gives it.

    >>> event = Event("del", "jobs/7", Entry("jobs/7", "done", 1_700_000_000_000_000_000, 0, 12), 40)
    >>> event.op, event.entry.value
    ('del', 'done')
    """

    op: str
    """``"set"`` or ``"del"``."""
    key: str
    entry: Entry
    """The key as it is then; of ``"del"``: as it was."""
    seq: int
    """Rises with every event of the store."""


class StoreStat(NamedTuple):
    """A store in numbers."""

    keys: int
    """Keys."""
    nbytes: int
    """Bytes of the values."""
    shards: list[int]
    """Keys in each shard."""
    events: int
    """Events so far."""
    watchers: int
    """Watches that are open."""
