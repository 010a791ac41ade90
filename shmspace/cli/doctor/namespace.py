"""Probe of PID namespaces: do the process ids that members tell mean the same processes here?"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import read_text

_SLACK_NS = 2_000_000_000  # boot time is told in whole seconds


def probe_namespaces(members: Mapping[str, Iterable[Any]], proc: Path) -> list[Finding]:
    """Look for living members whose process id is nobody, or somebody else, here.

    `members` has the members of each space (`shmspace.Space.members`), by the space's name.
    """
    findings = []
    for name, found in sorted(members.items()):
        living = [member for member in found if member.alive]
        strange = sorted(member.pid for member in living if not _is_here(member.pid, member.since, proc))
        if strange:
            pids = ", ".join(map(str, strange))
            text = f"members of {name!r} live in another PID namespace; here {pids} would be nobody or somebody else"
            remedy = "docker run --pid=container:NAME ... (in a pod: shareProcessNamespace: true)"
            findings.append(Finding("PID namespace", Level.WARN, text, remedy))
    return findings or [Finding("PID namespace", Level.OK, "all members have their process ids here")]


def _is_here(pid: int, since_ns: int, proc: Path) -> bool:
    started_ns = _started_ns(pid, proc)
    if started_ns is None:
        return (proc / str(pid)).is_dir()
    return started_ns <= since_ns + _SLACK_NS  # one that started after the member attached is another process


def _started_ns(pid: int, proc: Path) -> int | None:
    after_command = (read_text(proc / str(pid) / "stat") or "").rpartition(")")[2].split()
    for line in (read_text(proc / "stat") or "").splitlines():
        words = line.split()
        if words[:1] == ["btime"] and len(after_command) > 19:
            ticks = int(after_command[19])
            return int(words[1]) * 1_000_000_000 + ticks * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return None
