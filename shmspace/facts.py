"""What a space says about itself."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Broadcast", "Member", "Problem", "SpaceStat"]


class SpaceStat(NamedTuple):
    """What a space takes and holds."""

    size: int
    """Most bytes that it may grow to."""
    committed: int
    """Bytes that have memory by now."""
    used: int
    """Bytes in use, with the fixed tables."""
    free: int
    """Bytes left below `size`."""
    members: int
    """Living processes attached."""
    structures: int
    """Named structures."""
    recoveries: int
    """Dead members whose leavings were handed back."""


class Member(NamedTuple):
    """A process attached to a space."""

    pid: int
    command: str
    alive: bool
    """The kernel's word; False until what it left has been handed back."""
    since: int
    """When it attached, nanoseconds since the epoch, UTC."""
    holds: list[str]
    """What it holds, such as ``lock 'build'`` and ``a lease on queue 'jobs' since 2.5 s``."""
    waits: list[str]
    """What its threads sleep on, such as ``a message in channel 'jobs'``."""


class Problem(NamedTuple):
    """An invariant that does not hold."""

    structure: str
    what: str
    where: str


class Broadcast(NamedTuple):
    """Which channels took a broadcast, and which did not."""

    sent: list[str | bytes]
    skipped: list[str | bytes]
