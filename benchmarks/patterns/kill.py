"""kill: how long a waiter still waits for a lock after its holder was killed with SIGKILL.

Each kill has a holder process and a lock of its own; one waiter goes from lock to lock. It has slept
on the lock for a random 20 to 70 ms when the holder is killed. The time runs from just before the
kill to the moment when the waiter holds the lock. A waiter that does not get it in time is shown as
hanging, and nothing of that lock kind is compared.
"""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.locks import FileLock, LockKind, LockSet, MultiprocessingLock, SpaceLock
from benchmarks.crew import Crew, Gate, Job
from benchmarks.figures import percentiles
from benchmarks.outcome import Hung, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern
from benchmarks.scale import Scale

_COLUMNS = ("p50", "p90", "p99", "max")
_START_SECONDS_PER_PROCESS = 0.5
_SEED = 1


def _hold(gate: Gate, locks: LockSet, number: int) -> None:
    locks.connect()
    locks.acquire(number, 10.0)
    gate.start()
    gate.finish(None)  # never returns: killed here


def _wait(gate: Gate, locks: LockSet, count: int, timeout_seconds: float) -> None:
    locks.connect()
    gate.start()
    for number in range(count):
        gate.tell("waiting")
        got = locks.acquire(number, timeout_seconds)
        gate.tell("got", time.monotonic_ns() if got else None)
        if got:
            locks.release(number)
    gate.finish(None)


def _kill_all(crew: Crew, count: int, timeout_seconds: float) -> list[int]:
    pauses = random.Random(_SEED)
    times_ns = []
    crew.expect("ready")
    crew.release()
    for number in range(count):
        crew.expect("waiting", worker=0)
        time.sleep(pauses.uniform(0.02, 0.07))
        killed_ns = crew.kill(number + 1)
        (got_ns,) = crew.expect("got", worker=0)
        if got_ns is None:
            raise Hung(f"the waiter was not freed within {timeout_seconds} s")
        times_ns.append(got_ns - killed_ns)
    return times_ns


def _measure(kind: LockKind, case: Case, scale: Scale) -> Run:
    count = scale.kills
    locks = kind.create(count, case.name == "supervised")
    try:
        jobs = [Job(_wait, (locks, count, scale.lock_wait_seconds))]
        jobs += [Job(_hold, (locks, number)) for number in range(count)]
        start_seconds = _START_SECONDS_PER_PROCESS * len(jobs)
        with Crew(jobs, scale.grace_seconds + start_seconds) as crew:
            times_ns = _kill_all(crew, count, scale.lock_wait_seconds)
    finally:
        locks.close()
    figures = percentiles([value / 1_000_000 for value in times_ns])
    return Run(figures, {"kills": count, "times_ns": times_ns}, f"{count} kills")


class KilledHolder(Pattern):
    """Locks whose holder dies."""

    name = "kill"
    title = "Waiter freed after kill -9 of the holder"
    cases = (
        Case("alone", "lock handed on after kill -9, no supervisor", "max", "ms", False, _COLUMNS),
        Case(
            "supervised",
            "lock handed on after kill -9, with supervisor",
            "p50",
            "ms",
            higher_is_better=False,
            shown=_COLUMNS,
            only=("shmspace",),
        ),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        kinds = (SpaceLock(), FileLock(), MultiprocessingLock())
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in kinds]

    def repeats(self, scale: Scale) -> int:
        return 1  # many kills are in one run
