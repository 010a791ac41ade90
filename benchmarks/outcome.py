"""Outcome: how one run of one competitor ended, as figures or as a refusal with a name.

Whatever a competitor does, its run ends as one of these and the next one starts.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar


@dataclass
class Run:
    """One successful run: `figures` are compared and reduced to medians, `raw` is kept as it is."""

    figures: dict[str, float]
    raw: dict[str, Any] = field(default_factory=dict)
    note: str = ""


class RunEnded(Exception):
    """A run that gave no figures; `status` is the word shown in the row."""

    status: ClassVar[str] = "failed"


class Failed(RunEnded):
    """The competitor raised, or delivered something else than what was sent."""


class Hung(RunEnded):
    """Nothing came within the watchdog's time."""

    status = "hangs"


class Crashed(RunEnded):
    """A process of the run died."""

    status = "crashed"


class NotApplicable(RunEnded):
    """The competitor cannot do this by its design, or not on this machine."""

    status = "not applicable"
