"""executor: what a call in a pool of processes costs, an empty one and one with a big NumPy array as its argument.

`empty_map` is `map` with chunksize 1 and a function that returns its argument; every result is compared. `64MiB_array`
are calls one after the other with an array of 64 MiB, whose length and ends come back.
"""

from __future__ import annotations

import importlib
import importlib.util
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.executors import WORKERS, Pool, pools
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, NotApplicable, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern
from benchmarks.scale import Scale

_ARRAY_BYTES = 64 << 20
_GRACE_SECONDS = 120.0
_WARM_CALLS = 200
_WARM_ARRAYS = 4


def _same(value: int) -> int:
    return value


def _ends(array: Any) -> tuple[int, int, int]:
    return len(array), int(array[0]), int(array[-1])


def _map_empty(pool: Any, count: int) -> float:
    begin = time.perf_counter()
    if list(pool.map(_same, range(count), chunksize=1)) != list(range(count)):
        raise Failed("map gave something else than its arguments")
    return time.perf_counter() - begin


def _send_arrays(pool: Any, count: int) -> float:
    numpy: Any = importlib.import_module("numpy")
    array = numpy.arange(_ARRAY_BYTES // 8)
    seconds = 0.0
    for number in range(count + _WARM_ARRAYS):
        array[0] = number
        begin = time.perf_counter()
        if pool.submit(_ends, array).result() != (len(array), number, len(array) - 1):
            raise Failed("an array arrived damaged")
        if number >= _WARM_ARRAYS:
            seconds += time.perf_counter() - begin
    return seconds


def _work(gate: Gate, pool: Pool, case: str, count: int) -> None:
    gate.start()
    with pool.make() as executor:
        _map_empty(executor, _WARM_CALLS)
        seconds = _map_empty(executor, count) if case == "empty_map" else _send_arrays(executor, count)
    gate.finish(seconds)


def _measure(pool: Pool, case: Case, scale: Scale) -> Run:
    if case.name != "empty_map" and importlib.util.find_spec("numpy") is None:
        raise NotApplicable("numpy is not installed")
    count = scale.pool_calls if case.name == "empty_map" else scale.pool_arrays
    (seconds,) = run_jobs([Job(_work, (pool, case.name, count), daemon=False)], _GRACE_SECONDS)
    return Run({"rate": count / seconds}, {"calls": count, "seconds": seconds}, f"{WORKERS} workers")


class Executors(Pattern):
    """A pool with two workers."""

    name = "executor"
    title = "Calls in worker processes"
    cases = (
        Case("empty_map", "map of an empty function, chunksize 1", "rate", "calls/s", True, ours="shmspace.Executor"),
        Case("64MiB_array", "calls with a 64 MiB NumPy array", "rate", "calls/s", True, ours="shmspace.Executor"),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(pool.name, pool.version, partial(_measure, pool)) for pool in pools()]
