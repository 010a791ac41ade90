"""Probe of the memory limit of our control group, versions 1 and 2.

Shared memory counts against the group of the process that touches it first, and there running out is not an error but
the death of a process, so the head-room matters before anything is committed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import read_text
from shmspace.cli.output import human_size

# Version 1 writes "no limit" as the largest multiple of a page.
_UNLIMITED_BYTES = 1 << 60


@dataclass(frozen=True)
class MemoryLimit:
    """The limit of one control group."""

    file: Path
    limit_bytes: int
    used_bytes: int
    reclaimable_bytes: int
    """Part of what is used that the kernel takes back when it is needed: file pages not used lately."""

    @property
    def free_bytes(self) -> int:
        """What may still be committed."""
        return self.limit_bytes - self.used_bytes + self.reclaimable_bytes


def probe_cgroup(membership: Path, groups: Path, wanted_bytes: int, container: str | None) -> Finding:
    """Compare the tightest memory limit on this process with what a space is to grow to.

    `membership` is /proc/self/cgroup and `groups` /sys/fs/cgroup, or what stands for them.
    """
    limits = list(memory_limits(membership, groups))
    if not limits:
        return Finding("cgroup", Level.OK, "no memory limit on this control group")
    tightest = min(limits, key=lambda limit: limit.free_bytes)
    text = (
        f"the control group may use {human_size(tightest.limit_bytes)} of memory, "
        f"{human_size(max(0, tightest.free_bytes))} are left ({tightest.file})"
    )
    if tightest.free_bytes >= wanted_bytes:
        return Finding("cgroup", Level.OK, text)
    # What is used now may be needed as well, so the limit is raised by what is wanted.
    level = Level.FAIL if tightest.limit_bytes < wanted_bytes else Level.WARN
    text += f"; a space that grows to {human_size(wanted_bytes)} ends in a kill by the kernel"
    return Finding("cgroup", level, text, _remedy(tightest, tightest.used_bytes + wanted_bytes, container))


def memory_limits(membership: Path, groups: Path) -> Iterator[MemoryLimit]:
    """Find every memory limit that applies to this process: its group's and those of all groups above."""
    for line in (read_text(membership) or "").splitlines():
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if "memory" in controllers.split(","):
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
            yield from _upwards(groups / "memory", path, *names)
        elif number == "0" and not controllers:
            # Beside version 1, version 2 is mounted one level down.
            root = groups / "unified" if (groups / "unified").is_dir() else groups
            yield from _upwards(root, path, "memory.max", "memory.current", "inactive_file")


def _upwards(root: Path, path: str, limit: str, used: str, reclaimable: str) -> Iterator[MemoryLimit]:
    inside = PurePosixPath(path.lstrip("/"))
    # In a container the path is often the host's, and what is mounted here begins at our own group.
    if ".." in inside.parts or not (root / inside).is_dir():
        inside = PurePosixPath()
    for folder in (inside, *inside.parents) if inside.parts else (inside,):
        limit_bytes = _number(root / folder / limit)
        used_bytes = _number(root / folder / used)
        if limit_bytes is not None and used_bytes is not None and limit_bytes < _UNLIMITED_BYTES:
            yield MemoryLimit(root / folder / limit, limit_bytes, used_bytes, _counter(root / folder, reclaimable))


def _number(path: Path) -> int | None:
    text = (read_text(path) or "").strip()
    return int(text) if text.isdigit() else None  # "max" is no limit


def _counter(folder: Path, name: str) -> int:
    for line in (read_text(folder / "memory.stat") or "").splitlines():
        key, _, value = line.partition(" ")
        if key == name and value.strip().isdigit():
            return int(value)
    return 0


def _remedy(limit: MemoryLimit, needed_bytes: int, container: str | None) -> str:
    size = f"{-(-needed_bytes // (1 << 20))}M"
    if container == "kubernetes":
        return f"kubectl set resources deployment NAME --limits=memory={size}i"
    if container is not None:
        return f"{container} update --memory={size.lower()} --memory-swap={size.lower()} CONTAINER"
    unit = limit.file.parent.name
    if unit.endswith((".service", ".scope", ".slice")):
        return f"systemctl set-property {unit} MemoryMax={size}"
    return f"echo {needed_bytes} > {limit.file}"
