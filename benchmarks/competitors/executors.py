"""Executors: pools of worker processes, as `concurrent.futures.Executor`, all started by spawn.

loky is the pool behind joblib; it is used with its own way of starting processes, which it needs.
"""

from __future__ import annotations

import importlib
import importlib.util
import platform
from collections.abc import Callable
from concurrent import futures
from dataclasses import dataclass
from typing import Any

from benchmarks.competitors.adapter import distribution_version
from benchmarks.crew import CONTEXT

WORKERS = 2


@dataclass(frozen=True)
class Pool:
    """A kind of pool; `make` gives one with `WORKERS` workers."""

    name: str
    version: str | None
    make: Callable[[], futures.Executor]


def _shmspace() -> Any:
    return importlib.import_module("shmspace").Executor(WORKERS, mp_context=CONTEXT)


def _standard() -> futures.Executor:
    return futures.ProcessPoolExecutor(WORKERS, mp_context=CONTEXT)


def _loky() -> Any:
    return importlib.import_module("loky").ProcessPoolExecutor(WORKERS)


def pools() -> list[Pool]:
    """All that there are."""
    ours = distribution_version("shmspace") if importlib.util.find_spec("shmspace") else None
    return [
        Pool("shmspace.Executor", ours, _shmspace),
        Pool("ProcessPoolExecutor", f"Python {platform.python_version()}", _standard),
        Pool("loky", distribution_version("loky"), _loky),
    ]
