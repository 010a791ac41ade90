"""What dead processes left in a directory of regions, and how to remove it.

1. Death is proved by the kernel: a region that a process is just making, or uses, is locked by an open-file-description
   lock, or open in a process that /proc shows. Either one keeps it.
2. Between creating a temporary file and locking it lies an instant that a process in another PID namespace can be in
   unseen, so a file younger than a second is looked at again when it is a second old.
"""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import shmspace
from shmspace.cli.file_lock import is_locked
from shmspace.layout import TEMPORARY_PREFIX, SpaceInfo, read_space, read_spaces
from shmspace.layout.tables import Record, constant

PROC = Path("/proc")
_YOUNG_SECONDS = 1.0


@dataclass(frozen=True)
class Leftover:
    """Something that nobody uses any more."""

    kind: str
    """``"temporary"``: a region that did not get its name yet; ``"half_made"``: one that got it without being finished;
    ``"destroyed"``: a destroyed space whose file is still there; ``"rebooted"``: a space from before a reboot;
    ``"unused"``: a healthy space with no living member, which may have been left on purpose."""
    name: str
    """The space's name; for a temporary file the file's."""
    path: Path
    size_bytes: int
    """Memory or disk that it takes."""
    inode: int
    """So that another file that comes to stand under the same name is not taken for it."""


def find_leftovers(directory: Path, *, unused: bool, proc: Path = PROC) -> list[Leftover]:
    """Find what dead processes left in `directory`, sorted by path.

    `unused` adds healthy spaces without a living member. Files that this user cannot look at are left out.
    """
    found = _temporaries(directory, proc)
    for info in read_spaces(directory):
        leftover = _of_space(info, unused, proc)
        if leftover is not None:
            found.append(leftover)
    return sorted(found, key=lambda leftover: leftover.path)


def remove_leftover(leftover: Leftover) -> bool:
    """Remove it; False if it is gone or in use by now. Raises `OSError` or `ShmspaceError` if that is refused."""
    directory = leftover.path.parent
    try:
        if leftover.path.lstat().st_ino != leftover.inode:
            return False
        if leftover.kind != "unused":
            leftover.path.unlink()
        elif read_space(leftover.name, directory).members == 0:
            shmspace.destroy(leftover.name, directory=directory)
        else:
            return False
    except (FileNotFoundError, shmspace.NotFound):
        return False
    return True


def is_in_use(path: Path, proc: Path = PROC) -> bool:
    """Tell whether a living process has a lock on the file, or has it open."""
    return is_locked(path) or is_open(path, proc)


def is_open(path: Path, proc: Path = PROC) -> bool:
    """Tell whether a process that `proc` shows to this user has the file open."""
    wanted = str(path.resolve())
    return any(_has_open(process / "fd", wanted) for process in proc.iterdir() if process.name.isdigit())


def _has_open(descriptors: Path, wanted: str) -> bool:
    try:
        links = list(descriptors.iterdir())
    except OSError:  # the process has ended, or is another user's
        return False
    for link in links:
        with contextlib.suppress(OSError):  # closed meanwhile
            if os.readlink(link) == wanted:
                return True
    return False


def _temporaries(directory: Path, proc: Path) -> list[Leftover]:
    candidates = [path for path in _listed(directory) if path.name.startswith(TEMPORARY_PREFIX) and _is_file(path)]
    _let_age(candidates)
    return [_leftover("temporary", path.name, path) for path in candidates if _is_file(path) and not _held(path, proc)]


def _listed(directory: Path) -> Iterable[Path]:
    try:
        return list(directory.iterdir())
    except FileNotFoundError:
        return []


def _is_file(path: Path) -> bool:
    try:
        return stat.S_ISREG(path.lstat().st_mode)
    except FileNotFoundError:
        return False


def _let_age(paths: list[Path]) -> None:
    youngest = max((path.lstat().st_ctime for path in paths if _is_file(path)), default=0.0)
    wait_seconds = youngest + _YOUNG_SECONDS - time.time()
    if 0 < wait_seconds <= _YOUNG_SECONDS:
        time.sleep(wait_seconds)


def _held(path: Path, proc: Path) -> bool:
    try:
        return is_in_use(path, proc)
    except OSError:  # not ours to look at, so not ours to call dead
        return True


def _leftover(kind: str, name: str, path: Path) -> Leftover:
    found = path.lstat()
    return Leftover(kind, name, path, found.st_blocks * 512, found.st_ino)


def _of_space(info: SpaceInfo, unused: bool, proc: Path) -> Leftover | None:
    path = Path(info.path)
    kind = None
    with contextlib.suppress(OSError):  # it has just gone, or is not ours to look into
        if info.state == "ok" and info.members == 0 and unused:
            kind = "unused"
        elif info.state == "destroyed":
            kind = "destroyed"
        elif info.state == "leftover" and not _held(path, proc):
            kind = "rebooted"
        elif info.state == "not a space" and _is_file(path) and _is_unfinished(path) and not _held(path, proc):
            kind = "half_made"
        return _leftover(kind, info.name, path) if kind else None
    return None


def _is_unfinished(path: Path) -> bool:
    # A region is finished before it gets its name, so one under that name that is not was cut short by a crash: it is
    # still blank, or its ready word is.
    with path.open("rb") as file:
        head = file.read(constant("SHM_HEADER_BYTES"))
    if not any(head):
        return True
    if len(head) < constant("SHM_HEADER_BYTES"):
        return False
    header = Record("shm_header", 0, head)
    return header.word("magic") == constant("SHM_MAGIC") and header.word("ready") == 0
