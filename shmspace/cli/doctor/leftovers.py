"""Probe of what dead processes left."""

from __future__ import annotations

import shlex
from pathlib import Path

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.leftover import Leftover, find_leftovers
from shmspace.cli.output import human_size, plural
from shmspace.layout import DEFAULT_DIRECTORY


def probe_leftovers(directory: Path, proc: Path) -> list[Finding]:
    """Look for regions that were never finished and for spaces without a living member."""
    found = find_leftovers(directory, unused=True, proc=proc)
    unused = [leftover for leftover in found if leftover.kind == "unused"]
    broken = [leftover for leftover in found if leftover.kind != "unused"]
    where = "" if directory == Path(DEFAULT_DIRECTORY) else f" --directory {shlex.quote(str(directory))}"
    findings = []
    if broken:
        text = f"{plural(len(broken), 'region')} of no use to anybody: {_listed(broken)}"
        findings.append(Finding("leftovers", Level.WARN, text, f"shmspace gc{where}"))
    if unused:
        text = f"{plural(len(unused), 'space')} without a living member: {_listed(unused)}"
        findings.append(Finding("leftovers", Level.WARN, text, f"shmspace gc --unused{where}"))
    return findings or [Finding("leftovers", Level.OK, f"none in {directory}")]


def _listed(leftovers: list[Leftover]) -> str:
    shown = ", ".join(leftover.name for leftover in leftovers[:5])
    more = f" and {len(leftovers) - 5} more" if len(leftovers) > 5 else ""
    return f"{shown}{more} ({human_size(sum(leftover.size_bytes for leftover in leftovers))})"
