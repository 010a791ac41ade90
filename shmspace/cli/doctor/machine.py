"""What the doctor needs to know about the machine before it can word a remedy."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mount:
    """A mounted file system, as /proc/self/mountinfo tells."""

    point: str
    kind: str
    """Its type, such as ``tmpfs``."""
    readonly: bool


def read_text(path: Path) -> str | None:
    """Give the contents of a file, or None if it cannot be read."""
    try:
        return path.read_text(errors="replace")
    except OSError:
        return None


def mount_of(path: Path, mountinfo: Path) -> Mount | None:
    """Find the mount that holds `path`; None if `mountinfo` cannot be read."""
    best: Mount | None = None
    wanted = os.path.realpath(path)
    for line in (read_text(mountinfo) or "").splitlines():
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) < 6 or len(kinds) < 1:
            continue
        point = fields[4].encode().decode("unicode_escape")  # a blank is written \040
        holds = wanted == point or wanted.startswith(point.rstrip("/") + "/")
        if holds and (best is None or len(point) >= len(best.point)):  # of two at one point the later one counts
            options = {*fields[5].split(","), *(kinds[2].split(",") if len(kinds) > 2 else ())}
            best = Mount(point, kinds[0], "ro" in options)
    return best


def container_of(root: Path) -> str | None:
    """Name the kind of container that `root` is the file tree of; None outside of containers."""
    if (root / ".dockerenv").exists():
        return "docker"
    if (root / "run/.containerenv").exists():
        return "podman"
    if (root / "var/run/secrets/kubernetes.io").exists():
        return "kubernetes"
    return None
