"""What an index through channels came to."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass


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
    lost: dict[str, str]
    """Why each file is not in the counts, by its name."""
    casualties: list[Casualty]
    messages: int
    """Messages through both channels."""
    start_seconds: float
    """Until all workers were ready."""
    seconds: float
    """From the first file name that was sent to the end of the results."""

    @property
    def unasked(self) -> list[Casualty]:
        """Deaths that nobody asked for."""
        return [casualty for casualty in self.casualties if not casualty.asked]
