"""What a probe of the doctor found."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """How bad a finding is."""

    OK = 0
    WARN = 1
    """Works now, breaks in a situation that the finding names."""
    FAIL = 2
    """Something does not work."""


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    probe: str
    """What was looked at, in a word or two."""
    level: Level
    found: str
    """What there is, with numbers."""
    remedy: str | None = None
    """The exact command that mends it; None if there is nothing to mend."""
