"""incr: integers that are counted up, by one process, by two on keys of their own, and by two on the same key.

`rate` is of all processes together. Every process counts in rounds until its time is over; in the end the numbers must
be what all have counted.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from itertools import repeat

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.store_kind import KeyStore, StoreKind, StoreSpec
from benchmarks.competitors.stores import COUNTER_KINDS
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.kv_mixed import made, timed
from benchmarks.patterns.pattern import Case, Contestant, Pattern, watchdog_seconds
from benchmarks.scale import Scale
from benchmarks.stream import NS

_ROUND = 200
_CASES = {"one": (0,), "two_keys": (0, 1), "same_key": (0, 0)}
"""The number of the key for each process."""


def _count(gate: Gate, store: KeyStore, scale: Scale, number: int) -> None:
    access = store.open()
    incr, key, rounds = access.incr, access.key(f"bench/{number}"), 0
    assert incr

    def work() -> int:
        nonlocal rounds
        for _ in repeat(None, _ROUND):
            incr(key)
        rounds += 1
        return _ROUND

    gate.start()
    result = timed(work, scale)
    gate.finish((number, rounds * _ROUND, *result))
    access.close()


def _look(gate: Gate, store: KeyStore, numbers: Sequence[int]) -> None:
    access = store.open()
    assert access.number
    found = {number: access.number(access.key(f"bench/{number}")) for number in numbers}
    gate.start()
    gate.finish(found)
    access.close()


def _measure(kind: StoreKind, case: Case, scale: Scale) -> Run:
    numbers = _CASES[case.name]
    with made(kind, StoreSpec(2, processes=len(numbers), counters=True)) as store:
        jobs = [Job(_count, (store, scale, number)) for number in numbers]
        results = run_jobs(jobs, watchdog_seconds(scale))
        (found,) = run_jobs([Job(_look, (store, sorted(set(numbers))))], watchdog_seconds(scale))
        due = dict.fromkeys(numbers, 0)
        for number, everything, *_ in results:
            due[number] += everything
        if found != due:
            raise Failed(f"the numbers are {found} but {due} was counted")
        rates = [count / ((end_ns - begin_ns) / NS) for _, _, count, begin_ns, end_ns in results]
        return Run({"rate": sum(rates)}, {"counted": due, "rates": rates}, store.note)


class Counters(Pattern):
    """Counting."""

    name = "incr"
    title = "Counting"
    cases = tuple(
        Case(name, title, "rate", "counts/s", higher_is_better=True, ours=ShmspaceStore.name)
        for name, title in (
            ("one", "integers counted up by one process"),
            ("two_keys", "the same by two processes, each its own key, together"),
            ("same_key", "the same by two processes on one key, together"),
        )
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in COUNTER_KINDS]
