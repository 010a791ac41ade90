"""The files of a source tree, as the tidiness tests see it."""

from __future__ import annotations

import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
_GENERATED = {"__pycache__", "build", "dist"}


def source_files(root: Path) -> list[Path]:
    """List the files that belong to the tree, relative to it: those that git has or would take, else all it can tell.

    Raises nothing: a tree without git, such as an unpacked source distribution, is walked.
    """
    found: list[Path]
    try:
        command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        listed = subprocess.run(command, cwd=root, capture_output=True, check=True, timeout=60).stdout
        found = [Path(name.decode()) for name in listed.split(b"\0") if name] if (root / ".git").exists() else []
    except (OSError, subprocess.SubprocessError):
        found = []
    if not found:
        found = [path.relative_to(root) for path in root.rglob("*")]
    return sorted(path for path in found if (root / path).is_file() and not _is_generated(path))


def _is_generated(path: Path) -> bool:
    return any(part in _GENERATED or part.endswith(".egg-info") for part in path.parts)
