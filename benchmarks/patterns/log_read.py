"""log_read: records read back by another process, one by one and in batches of 100, from a quiet log and from one that
somebody appends to as fast as he can. Every record is compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.logs import LOG_KINDS, LogKind, LogStore, ShmspaceLog
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.log_append import ROOM
from benchmarks.patterns.pattern import Case, Contestant, Pattern, watchdog_seconds
from benchmarks.payload import BATCH, BATCH_PERIOD, batches, cycle
from benchmarks.scale import Scale
from benchmarks.stream import NS, send_each

_CYCLES = 4
_RECORDS = _CYCLES * BATCH_PERIOD


def _append(gate: Gate, store: LogStore, scale: Scale) -> None:
    writer = store.writer()
    messages = cycle(period=BATCH_PERIOD)
    for _ in range(_CYCLES):
        writer.append_many(messages)
    gate.start()
    gate.finish(send_each(writer.append, messages, scale.warm_seconds + scale.run_seconds))
    writer.close()


def _read(gate: Gate, store: LogStore, scale: Scale, many: bool) -> None:
    reader = store.reader()
    messages = cycle(period=BATCH_PERIOD)
    lists = batches(messages)
    read, read_many = reader.read, reader.read_many
    gate.start()
    warm_until_ns = time.monotonic_ns() + int(scale.warm_seconds * NS)
    begin_ns = count = 0
    while True:
        if many:
            for number, due in enumerate(lists):
                if list(read_many(number * BATCH, BATCH)) != due:
                    raise Failed("a batch is not what was appended")
        else:
            for offset, message in enumerate(messages):
                if read(offset) != message:
                    raise Failed("a record is not what was appended")
        now_ns = time.monotonic_ns()
        if begin_ns:
            count += len(messages)
            if now_ns - begin_ns >= scale.run_seconds * NS:
                break
        elif now_ns >= warm_until_ns:
            begin_ns = now_ns
    gate.finish((count, (now_ns - begin_ns) / NS))
    reader.close()


def _fill(store: LogStore) -> None:
    writer = store.writer()
    for _ in range(_CYCLES):
        writer.append_many(cycle(period=BATCH_PERIOD))
    writer.close()


def _measure(kind: LogKind, case: Case, scale: Scale) -> Run:
    store = kind.create(4 * ROOM)
    busy = case.name.endswith("busy")
    try:
        jobs = [Job(_read, (store, scale, case.name.startswith("batch")))]
        if busy:
            jobs.append(Job(_append, (store, scale)))
        else:
            _fill(store)
        count, seconds = run_jobs(jobs, watchdog_seconds(scale))[0]
    finally:
        store.close()
    return Run({"rate": count / seconds}, {"records": count, "seconds": seconds})


class LogRead(Pattern):
    """One process that reads, perhaps one that appends."""

    name = "log_read"
    title = "Reading from a log"
    cases = tuple(
        Case(name, title, "rate", "records/s", higher_is_better=True, ours=ShmspaceLog.name)
        for name, title in (
            ("one", "64 B records, one at a time by offset"),
            ("one_busy", "the same while another process appends at full speed"),
            ("batch", f"64 B records, {BATCH} at once"),
            ("batch_busy", "the same while another process appends at full speed"),
        )
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LOG_KINDS]
