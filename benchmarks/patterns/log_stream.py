"""log_stream: one process appends a fixed number of records, one at a time, while 0, 1 or 8 others stream all of them.

`writer` is how fast the appending goes; `reader`, how many records come to each reader a second, until the last has
all. Every record is compared.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.logs import LOG_KINDS, LogKind, LogStore, ShmspaceLog
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern
from benchmarks.payload import cycle
from benchmarks.scale import Scale
from benchmarks.stream import NS

_STREAMS = {"alone": 0, "1_stream": 1, "8_streams": 8}
_GRACE_SECONDS = 120.0
_SLOW = 20
"""How many times fewer records the others get: they take as long."""


def _append(gate: Gate, store: LogStore, cycles: int) -> None:
    writer = store.writer()
    append, messages = writer.append, cycle()
    gate.start()
    begin_ns = time.monotonic_ns()
    for _ in range(cycles):
        for message in messages:
            append(message)
    gate.finish((begin_ns, time.monotonic_ns()))
    writer.close()


def _stream(gate: Gate, store: LogStore, cycles: int) -> None:
    reader = store.reader()
    messages = cycle()
    gate.start()
    stream = reader.stream()
    for _ in range(cycles):
        for message in messages:
            if next(stream) != message:
                raise Failed("a record is not what was appended")
    gate.finish(time.monotonic_ns())
    reader.close()


def _measure(kind: LogKind, case: Case, scale: Scale) -> Run:
    cycles = scale.log_cycles if kind.name == ShmspaceLog.name else max(2, scale.log_cycles // _SLOW)
    messages = cycles * len(cycle())
    store = kind.create(messages)
    try:
        jobs = [Job(_append, (store, cycles))]
        jobs += [Job(_stream, (store, cycles)) for _ in range(_STREAMS[case.name])]
        (begin_ns, end_ns), *ends_ns = run_jobs(jobs, _GRACE_SECONDS)
    finally:
        store.close()
    figures = {"writer": messages / ((end_ns - begin_ns) / NS)}
    if ends_ns:
        figures["reader"] = messages / ((max(ends_ns) - begin_ns) / NS)
    return Run(figures, {"records": messages, "begin_ns": begin_ns, "end_ns": end_ns, "ends_ns": ends_ns}, store.note)


class LogStreams(Pattern):
    """One process that appends, others that stream."""

    name = "log_stream"
    title = "Streaming from a log"
    cases = tuple(
        Case(
            name,
            f"64 B records appended one at a time, with {count} processes that stream",
            "reader" if count else "writer",
            "records/s",
            higher_is_better=True,
            shown=("writer", "reader") if count else ("writer",),
            ours=ShmspaceLog.name,
        )
        for name, count in _STREAMS.items()
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LOG_KINDS]
