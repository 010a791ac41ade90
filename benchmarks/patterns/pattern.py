"""Pattern: one kind of work, in one or more cases, run once per contestant and repeat."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.outcome import Run
from benchmarks.scale import Scale

OURS = "shmspace"


@dataclass(frozen=True)
class Case:
    """One table of the report: `figure` is what contestants are compared by, `shown` what is printed.

    `only` names the contestants that take part; empty is all. `ours` is the one the others are compared with.
    """

    name: str
    title: str
    figure: str
    unit: str
    higher_is_better: bool
    shown: tuple[str, ...] = ()
    only: tuple[str, ...] = ()
    ours: str = OURS


@dataclass(frozen=True)
class Contestant:
    """One row of a table; `version` is None when it is not installed."""

    name: str
    version: str | None
    run: Callable[[Case, Scale], Run]


class Pattern(ABC):
    """Files in this package have one subclass each."""

    name: ClassVar[str]
    title: ClassVar[str]
    cases: ClassVar[tuple[Case, ...]]

    @abstractmethod
    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        """Who takes part; `competitors` are all message-passing libraries."""

    def repeats(self, scale: Scale) -> int:
        """How many runs of each contestant."""
        return scale.repeats


class LinkPattern(Pattern):
    """A pattern that passes messages, so all libraries take part."""

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [
            Contestant(competitor.name, competitor.version(), partial(self.measure, competitor))
            for competitor in competitors
        ]

    @abstractmethod
    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        """One run of one library."""


@contextmanager
def opened(competitor: Competitor, spec: LinkSpec) -> Iterator[Link]:
    """A link for the time of one run."""
    link = competitor.create(spec)
    try:
        yield link
    finally:
        link.close()


def watchdog_seconds(scale: Scale) -> float:
    """After how long a run counts as hanging."""
    return scale.warm_seconds + scale.run_seconds + scale.grace_seconds


def join_notes(*notes: str) -> str:
    """Those that say something."""
    return "; ".join(note for note in notes if note)
