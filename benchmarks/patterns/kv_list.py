"""kv_list: the 100 keys that begin alike, with their values, out of 1,000 keys and out of 1,000,000.

`time` is of one listing. It should not depend on how many other keys there are, which all begin otherwise, 100 alike.
Every value is compared. Who has no order among the keys walks over all of them, and the row says so.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.store_kind import KeyStore, StoreKind, StoreSpec
from benchmarks.competitors.stores import LIBRARIES
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.figures import median
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.kv_mixed import fill_in_worker, made
from benchmarks.patterns.pattern import Case, Contestant, Pattern, join_notes, watchdog_seconds
from benchmarks.payload import cycle
from benchmarks.scale import Scale
from benchmarks.stream import NS

FEW = 1000
_ALIKE = 100
_GROUPS = 10
"""Prefixes that are listed in turn."""
_GRACE_SECONDS = 240.0
_LEAST = 3
"""Listings in each run, however long they take."""


def pairs_of(keys: int) -> list[tuple[str, bytes]]:
    """So many keys, 100 under each prefix, with values that are all different."""
    values = cycle(period=keys)
    return [(f"p{number // _ALIKE:05d}/{number % _ALIKE:02d}", value) for number, value in enumerate(values)]


def _list(gate: Gate, store: KeyStore, scale: Scale, keys: int) -> None:
    access = store.open()
    values_under, clock = access.values_under, time.monotonic_ns
    assert values_under
    values = cycle(period=keys)
    firsts = range(0, keys, keys // _GROUPS)
    groups = [(f"p{first // _ALIKE:05d}", values[first : first + _ALIKE]) for first in firsts]
    gate.start()
    times_ns: list[int] = []
    values_under(groups[0][0])
    deadline_ns = clock() + int(scale.run_seconds * NS)
    while len(times_ns) < _LEAST or clock() < deadline_ns:
        prefix, due = groups[len(times_ns) % _GROUPS]
        begin_ns = clock()
        found = values_under(prefix)
        times_ns.append(clock() - begin_ns)
        if sorted(found) != sorted(due):
            raise Failed(f"a listing has {len(found)} values that are not all those that were stored")
    gate.finish(times_ns)
    access.close()


def _measure(kind: StoreKind, case: Case, scale: Scale) -> Run:
    kind.demand("list")
    keys = FEW if case.name == "1k" else scale.store_keys
    with made(kind, StoreSpec(keys)) as store:
        run_jobs([Job(fill_in_worker, (store, partial(pairs_of, keys)))], _GRACE_SECONDS)
        (times_ns,) = run_jobs([Job(_list, (store, scale, keys))], _GRACE_SECONDS + watchdog_seconds(scale))
        note = join_notes(store.note, "" if keys in (FEW, 1_000_000) else f"out of {keys} keys only")
        return Run({"time": median(times_ns) / 1000}, {"keys": keys, "listings": len(times_ns)}, note)


class KeyListings(Pattern):
    """Keys that begin alike."""

    name = "kv_list"
    title = "Keys that begin alike"
    cases = tuple(
        Case(name, f"{_ALIKE} entries out of {count} keys", "time", "us", False, ours=ShmspaceStore.name)
        for name, count in (("1k", "1,000"), ("1M", "1,000,000"))
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LIBRARIES]
