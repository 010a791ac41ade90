"""What an index by a pool of workers came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Casualty:
    """A worker that died."""

    worker: int
    pid: int
    file: str | None
    """The file that it had announced and not finished."""
    asked: bool
    """We killed it, as we were asked to."""
    successor: int | None
    """The worker that took its place."""


@dataclass(frozen=True)
class Outcome:
    """The counts, and how they came about."""

    words: Counter[str]
    lost: list[str]
    """The files that are not in the counts: nobody was left to count them, or somebody else took their names."""
    casualties: list[Casualty]
    messages: int
    """Names through the queue and messages through the channel."""
    start_seconds: float
    """Until all workers were ready."""
    seconds: float
    """From the first file name that was sent to the end of the results."""
    audited: int
    """Records of the audit log: files that workers have done."""
    audit: list[dict[str, Any]]
    """The last of them: file, worker, tokens, seconds."""

    @property
    def unasked(self) -> list[Casualty]:
        """Deaths that nobody asked for."""
        return [casualty for casualty in self.casualties if not casualty.asked]
