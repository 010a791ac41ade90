"""round_trip: a 64-byte message goes to the other process and comes back.

- `awake`: the next ping follows at once. Both sides are hot; a library that polls or spins may.
- `one_cpu`: the same with both processes on one CPU and without polling. Libraries that sleep for every
  message are at their best here, since the kernel just switches over; on two CPUs each message pays
  for waking the other one.
- `slept`: a pause of 2 ms before every ping, so that the other side has gone to sleep (receivers must
  block here) and the CPU perhaps with it: what waking up costs, twice.

The time is taken by the process that pings, around send and receive; reading the clock is in it.
"""

from __future__ import annotations

import os
import time
from itertools import cycle as endless

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.figures import histogram, percentiles
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.one_way import DEPTH
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import NS

_PING, _PONG = 0, 1
_PAUSE_SECONDS = 0.002
_MOST_SAMPLES = 500_000
_COLUMNS = ("p50", "p90", "p99", "p99.9", "max")


def _stay_on_one_cpu() -> None:
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})


def _answer(gate: Gate, link: Link, one_cpu: bool) -> None:
    if one_cpu:
        _stay_on_one_cpu()
    receiver = link.connect_receiver(_PING)
    sender = link.connect_sender(_PONG)
    recv, send, end = receiver.recv, sender.send, stop()
    gate.start()
    while (data := recv()) != end:
        send(data)
    gate.finish(None)
    receiver.close()
    sender.close()


def _ask(gate: Gate, link: Link, one_cpu: bool, scale: Scale, pause_seconds: float) -> None:
    if one_cpu:
        _stay_on_one_cpu()
    sender = link.connect_sender(_PING)
    receiver = link.connect_receiver(_PONG)
    recv, send, clock = receiver.recv, sender.send, time.monotonic_ns
    pings = endless(cycle())
    gate.start()
    warm_until_ns = clock() + int(scale.warm_seconds * NS)
    deadline_ns = warm_until_ns + int(scale.run_seconds * NS)
    times_ns: list[int] = []
    for ping in pings:
        if pause_seconds:
            time.sleep(pause_seconds)
        before_ns = clock()
        send(ping)
        pong = recv()
        after_ns = clock()
        if pong != ping:
            raise Failed(f"sent {ping[:16]!r}, {pong[:16]!r} came back")
        if before_ns >= warm_until_ns:
            times_ns.append(after_ns - before_ns)
            if after_ns >= deadline_ns or len(times_ns) >= _MOST_SAMPLES:
                break
    send(stop())
    gate.finish(times_ns)
    receiver.close()
    sender.close()


class RoundTrip(LinkPattern):
    """One process pings, the other answers."""

    name = "round_trip"
    title = "Round trip"
    cases = (
        Case("awake", "64 B there and back, both sides awake", "p50", "us", False, _COLUMNS),
        Case("one_cpu", "64 B there and back, both on one CPU", "p50", "us", False, _COLUMNS),
        Case("slept", "64 B there and back, 2 ms pause before each", "p50", "us", False, _COLUMNS),
    )

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        one_cpu = case.name == "one_cpu"
        pause_seconds = _PAUSE_SECONDS if case.name == "slept" else 0.0
        spec = LinkSpec(SMALL_BYTES, DEPTH, lanes=2, waiting="spin" if case.name == "awake" else "block")
        with opened(competitor, spec) as link:
            jobs = [Job(_answer, (link, one_cpu)), Job(_ask, (link, one_cpu, scale, pause_seconds))]
            times_ns: list[int] = run_jobs(jobs, watchdog_seconds(scale))[1]
            figures = percentiles([value / 1000 for value in times_ns])
            raw = {"round_trips": len(times_ns), "histogram_ns": histogram(times_ns)}
            return Run(figures, raw, link.note)
