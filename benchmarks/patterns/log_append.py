"""log_append: 64-byte records appended to a log, one at a time and in lists of 100; nobody reads meanwhile."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.logs import LOG_KINDS, LogKind, LogStore, ShmspaceLog
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern, watchdog_seconds
from benchmarks.payload import BATCH, BATCH_PERIOD, batches, cycle
from benchmarks.scale import Scale
from benchmarks.stream import NS, send_batches, send_each

ROOM = 1 << 20
"""Records that shmspace keeps in a segment: more than any run appends between two checks."""


def _append(gate: Gate, store: LogStore, scale: Scale, many: bool) -> None:
    writer = store.writer()
    messages = cycle(period=BATCH_PERIOD)
    lists = batches(messages)

    def work(seconds: float) -> int:
        if many:
            return send_batches(writer.append_many, lists, seconds)
        return send_each(writer.append, messages, seconds)

    gate.start()
    warm = work(scale.warm_seconds)
    begin_ns = time.monotonic_ns()
    cycles = work(scale.run_seconds)
    seconds = (time.monotonic_ns() - begin_ns) / NS
    gate.finish((warm + cycles, cycles * len(messages), seconds))
    writer.close()


def check_last(store: LogStore, records: int) -> None:
    """Compare the last records with what must be there."""
    reader = store.reader()
    messages = cycle(period=BATCH_PERIOD)
    found = list(reader.read_many(records - BATCH, BATCH))
    reader.close()
    if found != messages[-BATCH:]:
        raise Failed(f"the last {BATCH} of {records} records are not those that were appended")


def _measure(kind: LogKind, case: Case, scale: Scale) -> Run:
    store = kind.create(ROOM)
    try:
        job = Job(_append, (store, scale, case.name != "64B"))
        ((cycles, records, seconds),) = run_jobs([job], watchdog_seconds(scale))
        if records == 0:
            raise Failed("too slow: nothing was appended after the warm-up")
        check_last(store, cycles * BATCH_PERIOD)
    finally:
        store.close()
    return Run({"rate": records / seconds}, {"records": records, "seconds": seconds})


class LogAppend(Pattern):
    """One process that appends."""

    name = "log_append"
    title = "Appending to a log"
    cases = (
        Case("64B", "64 B records, one at a time", "rate", "records/s", True, ours=ShmspaceLog.name),
        Case("64B_x100", f"64 B records, {BATCH} at once", "rate", "records/s", True, ours=ShmspaceLog.name),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LOG_KINDS]
