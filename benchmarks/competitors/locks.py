"""Locks: what a waiter can be freed from when the holder is killed, one small adapter each."""

from __future__ import annotations

import fcntl
import importlib
import importlib.util
import itertools
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from contextlib import ExitStack
from multiprocessing.synchronize import Lock
from pathlib import Path
from typing import Any, ClassVar

from benchmarks.competitors.adapter import distribution_version
from benchmarks.crew import CONTEXT
from benchmarks.outcome import NotApplicable

_numbers = itertools.count()


class LockSet(ABC):
    """Some locks known by number; made in the parent, pickled to the workers."""

    @abstractmethod
    def connect(self) -> None:
        """Attach this process."""

    @abstractmethod
    def acquire(self, number: int, timeout_seconds: float) -> bool:
        """Take a lock; False at the time-out."""

    @abstractmethod
    def release(self, number: int) -> None:
        """Give it back."""

    def close(self) -> None:
        """Remove everything; called in the parent."""


class LockKind(ABC):
    """A way to lock between processes."""

    name: ClassVar[str]

    @abstractmethod
    def version(self) -> str | None:
        """What is installed, None when it is not."""

    @abstractmethod
    def create(self, count: int, supervised: bool) -> LockSet:
        """Make `count` locks."""


class _SpaceLocks(LockSet):
    def __init__(self, supervised: bool) -> None:
        self._space_name = f"bench-lock-{os.getpid()}-{next(_numbers)}"
        self._space: Any = None
        self._stack = ExitStack()
        self._directory = ""
        self._supervisor: subprocess.Popen[bytes] | None = None
        importlib.import_module("shmspace").open(self._space_name, size="64M").close()
        if supervised:
            self._supervise()

    def _supervise(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-lock-")
        command = [sys.executable, "-m", "shmspace", "serve", self._space_name, "--persist", self._directory]
        self._supervisor = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(1.0)  # nothing says when it is ready; a late one only makes the first kills slower

    def __getstate__(self) -> dict[str, Any]:
        return {"_space_name": self._space_name}

    def connect(self) -> None:
        self._stack = ExitStack()
        self._space = importlib.import_module("shmspace").open(self._space_name, size="64M")

    def acquire(self, number: int, timeout_seconds: float) -> bool:
        try:
            self._stack.enter_context(self._space.lock(f"lock{number}", timeout=timeout_seconds))
        except TimeoutError:
            return False
        return True

    def release(self, number: int) -> None:
        self._stack.close()

    def close(self) -> None:
        if self._supervisor is not None:
            self._supervisor.kill()
            self._supervisor.wait()
            shutil.rmtree(self._directory, ignore_errors=True)
        importlib.import_module("shmspace").destroy(self._space_name, missing_ok=True)


class SpaceLock(LockKind):
    """`space.lock(name)`: given up when its process dies."""

    name = "shmspace"

    def version(self) -> str | None:
        return distribution_version("shmspace")

    def create(self, count: int, supervised: bool) -> LockSet:
        if supervised and not _has_supervisor():
            raise NotApplicable("this version has no supervisor")
        return _SpaceLocks(supervised)


def _has_supervisor() -> bool:
    try:
        return importlib.util.find_spec("shmspace.supervisor") is not None
    except ModuleNotFoundError:
        return False


class _SemaphoreLocks(LockSet):
    def __init__(self, count: int) -> None:
        self._locks: list[Lock] = [CONTEXT.Lock() for _ in range(count)]

    def connect(self) -> None:
        pass

    def acquire(self, number: int, timeout_seconds: float) -> bool:
        return self._locks[number].acquire(timeout=timeout_seconds)

    def release(self, number: int) -> None:
        self._locks[number].release()


class MultiprocessingLock(LockKind):
    """`multiprocessing.Lock`: a semaphore, which does not know its holder."""

    name = "multiprocessing.Lock"

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, count: int, supervised: bool) -> LockSet:
        return _SemaphoreLocks(count)


class _FileLocks(LockSet):
    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-flock-")
        self._descriptors: dict[int, int] = {}

    def connect(self) -> None:
        pass

    def acquire(self, number: int, timeout_seconds: float) -> bool:
        path = Path(self._directory) / str(number)
        self._descriptors[number] = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        fcntl.flock(self._descriptors[number], fcntl.LOCK_EX)  # has no time-out; the watchdog bounds it
        return True

    def release(self, number: int) -> None:
        os.close(self._descriptors.pop(number))

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class FileLock(LockKind):
    """`fcntl.flock` on a file: the kernel gives it up with the process."""

    name = "fcntl.flock"

    def version(self) -> str | None:
        return f"Linux {platform.release()}"

    def create(self, count: int, supervised: bool) -> LockSet:
        return _FileLocks()
