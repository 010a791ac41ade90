"""What a test may leave behind on the machine and must not: files in shared memory, semaphores and processes.

Names of spaces made with `unique_name` carry the test session and its process, so that sessions at the same time, and
the processes of pytest-xdist within one, do not take each other's files for leftovers.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import multiprocessing
import os
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import psutil

from shmspace.layout import REGION_PREFIX, TEMPORARY_PREFIX

SHM = Path("/dev/shm")

# Through the environment, so that the processes of pytest-xdist and all that a test starts belong to one session.
SESSION_TAG = f"t{os.environ.setdefault('SHMSPACE_TEST_SESSION', str(os.getpid()))}-"
PROCESS_TAG = f"{SESSION_TAG}{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-"

# Python's own helpers live as long as the process that started them.
_SESSION_LONG = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
_PR_SET_CHILD_SUBREAPER = 36
_counter = itertools.count(1)


def unique_name(hint: str = "space") -> str:
    """Give a name for a space that nobody else has, and that `snapshot` recognises as ours."""
    return f"{PROCESS_TAG}{os.getpid()}-{next(_counter)}-{hint}"[:100]


def adopt_orphans() -> None:
    """Make this process the parent of every descendant whose own parent dies, so that none gets out of sight."""
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


class Leftovers(NamedTuple):
    """Files in shared memory (regions, semaphores) and living child processes, by path and by (pid, start time)."""

    files: frozenset[str]
    processes: frozenset[psutil.Process]

    def describe(self, more_files: frozenset[str] = frozenset()) -> str:
        """Name each of them, one per line."""
        return "\n".join([*sorted(self.files | more_files), *sorted(map(_describe, self.processes))])

    def __bool__(self) -> bool:
        return bool(self.files or self.processes)


def snapshot(tag: str = PROCESS_TAG) -> Leftovers:
    """Look at what there is now: the files whose name has `tag` in it (``""``: all) and all our descendants."""
    return Leftovers(frozenset(_files(tag)), frozenset(_children()))


def since(before: Leftovers, *, tag: str = PROCESS_TAG, grace_s: float = 5.0) -> Leftovers:
    """Give what has come since `before` and is still there; a process that is about to end gets `grace_s` seconds."""
    new = [child for child in _children() if child not in before.processes]
    if new:
        _, new = psutil.wait_procs(new, timeout=grace_s)
    # Files second: a process that ends takes its files with it.
    return Leftovers(frozenset(_files(tag)) - before.files, frozenset(child for child in new if _is_alive(child)))


def strays() -> frozenset[str]:
    """Give the regions that bear no session's name and that no process is attached to.

    A program that a test starts may make a space of its own choice, and so may anybody else on this machine; but the
    member tokens of who still uses it are locks, which the kernel lists.
    """
    with open("/proc/locks", encoding="ascii") as lines:
        locked = {int(line.split()[-3].rpartition(":")[2]) for line in lines if "OFDLCK" in line}
    found: set[str] = set()
    for path in _files(""):
        ours = Path(path).name.startswith((REGION_PREFIX, TEMPORARY_PREFIX))
        if ours and not re.search(r"t[0-9]+-(main|gw[0-9]+)-", path):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_ino not in locked:
                    found.add(path)
    return frozenset(found)


def remove(left: Leftovers) -> None:
    """Kill and unlink what was left, so that only the test that is at fault fails."""
    for child in left.processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
    psutil.wait_procs(left.processes, timeout=5)
    for path in left.files:
        Path(path).unlink(missing_ok=True)


def _files(tag: str) -> Iterable[str]:
    user = os.geteuid()
    for entry in os.scandir(SHM):
        with contextlib.suppress(FileNotFoundError):
            if tag in entry.name and entry.stat(follow_symlinks=False).st_uid == user:
                yield entry.path


def _children() -> list[psutil.Process]:
    multiprocessing.active_children()  # collects those of its own that have ended
    found = psutil.Process().children(recursive=True)
    return [child for child in found if _is_alive(child) and not _is_session_long(child)]


def _is_alive(child: psutil.Process) -> bool:
    """Tell whether it still runs; a zombie is only a line in a table, which whoever started it will collect."""
    try:
        return child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def _is_session_long(child: psutil.Process) -> bool:
    try:
        command = " ".join(child.cmdline())
    except psutil.Error:
        return False
    return any(name in command for name in _SESSION_LONG)


def _describe(child: psutil.Process) -> str:
    try:
        return f"process {child.pid}: {' '.join(child.cmdline()) or child.name()}"
    except psutil.Error:
        return f"process {child.pid}"
