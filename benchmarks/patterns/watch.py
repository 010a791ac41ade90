"""watch: changes of keys that another process watches: how soon one wakes it, and how many reach it when it runs.

In `slept` a key is set every 2 ms, so that the watcher sleeps; its value carries the time at which it was set. In
`running` keys are set as fast as that goes; `rate` is how many events a second reach the watcher, from the first write
to the last event. Writers do not wait for watchers: what was lost is counted, and that nothing is missing besides.
"""

from __future__ import annotations

import struct
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.store_kind import KeyStore, StoreKind, StoreSpec
from benchmarks.competitors.stores import LIBRARIES
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.figures import histogram, percentiles
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.kv_mixed import made
from benchmarks.patterns.pattern import Case, Contestant, Pattern, join_notes, watchdog_seconds
from benchmarks.payload import PERIOD, SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import NS

_PAUSE_SECONDS = 0.002
_STAMP = struct.Struct("<Q56x")
_COLUMNS = ("p50", "p90", "p99", "p99.9", "max")
_PREFIX = "bench"
_DRAIN = 10
"""How many times as long a slow watcher may take as the writer."""


def _set_stamps(gate: Gate, store: KeyStore, scale: Scale) -> None:
    access = store.open()
    put, key, clock, pack = access.set, access.key(f"{_PREFIX}/stamp"), time.monotonic_ns, _STAMP.pack
    gate.start()
    deadline_ns = clock() + int((scale.warm_seconds + scale.run_seconds) * NS)
    while clock() < deadline_ns:
        time.sleep(_PAUSE_SECONDS)
        put(key, pack(clock()))
    put(key, pack(0))
    gate.finish(None)
    access.close()


def _take_stamps(gate: Gate, store: KeyStore, scale: Scale) -> None:
    access = store.open()
    assert access.watch
    change, clock, unpack = access.watch(_PREFIX), time.monotonic_ns, _STAMP.unpack
    gate.start()
    warm_until_ns = clock() + int(scale.warm_seconds * NS)
    times_ns: list[int] = []
    while True:
        _, data, _ = change()
        now_ns = clock()
        (sent_ns,) = unpack(data)
        if sent_ns == 0:
            break
        if sent_ns >= warm_until_ns:
            times_ns.append(now_ns - sent_ns)
    gate.finish(times_ns)
    access.close()


def _set_all(gate: Gate, store: KeyStore, scale: Scale) -> None:
    access = store.open()
    put, clock = access.set, time.monotonic_ns
    pairs = [(access.key(f"{_PREFIX}/{number}"), message) for number, message in enumerate(cycle())]
    gate.start()
    begin_ns, cycles = clock(), 0
    while clock() < begin_ns + scale.run_seconds * NS:
        for key, message in pairs:
            put(key, message)
        cycles += 1
    put(access.key(f"{_PREFIX}/stop"), stop())
    gate.finish((begin_ns, cycles * PERIOD))
    access.close()


def _take_all(gate: Gate, store: KeyStore) -> None:
    access = store.open()
    assert access.watch
    change, end = access.watch(_PREFIX), stop()
    due = {f"{_PREFIX}/{number}": message for number, message in enumerate(cycle())}
    gate.start()
    count = lost = 0
    while True:
        key, value, missed = change()
        if due.get(key) == value:
            count += 1
        elif missed:
            lost += missed
        elif value == end:
            break
        else:
            raise Failed(f"an event of {key!r} has a wrong value")
    gate.finish((count, lost, time.monotonic_ns()))
    access.close()


def _slept(store: KeyStore, scale: Scale) -> Run:
    assert _STAMP.size == SMALL_BYTES
    jobs = [Job(_take_stamps, (store, scale)), Job(_set_stamps, (store, scale))]
    times_ns, _ = run_jobs(jobs, watchdog_seconds(scale))
    if not times_ns:
        raise Failed("too slow: nothing came after the warm-up")
    raw: dict[str, Any] = {"events": len(times_ns), "histogram_ns": histogram(times_ns)}
    return Run(percentiles([value / 1000 for value in times_ns]), raw, store.note)


def _running(store: KeyStore, scale: Scale) -> Run:
    jobs = [Job(_take_all, (store,)), Job(_set_all, (store, scale))]
    (count, lost, end_ns), (begin_ns, sent) = run_jobs(jobs, watchdog_seconds(scale) + _DRAIN * scale.run_seconds)
    if count + lost > sent or (not lost and count != sent) or not count:
        raise Failed(f"{sent} keys were set, {count} events came and {lost} were said to be lost")
    note = f"{100 * (sent - count) / sent:.0f} % lost" if lost else "none lost"
    raw = {"set": sent, "events": count, "lost": lost}
    return Run({"rate": count / ((end_ns - begin_ns) / NS)}, raw, join_notes(store.note, note))


def _measure(kind: StoreKind, case: Case, scale: Scale) -> Run:
    kind.demand("watch")
    with made(kind, StoreSpec(PERIOD, processes=2)) as store:
        return _slept(store, scale) if case.name == "slept" else _running(store, scale)


class Watching(Pattern):
    """A process that watches."""

    name = "watch"
    title = "Watching keys"
    cases = (
        Case("slept", "a change to a watcher that sleeps", "p50", "us", False, _COLUMNS, ours=ShmspaceStore.name),
        Case("running", "changes to a watcher that runs", "rate", "events/s", True, ours=ShmspaceStore.name),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LIBRARIES]
