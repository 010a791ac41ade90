"""wake_up: how long a process that sleeps in a receive takes to have the message, from before the send on.

Every send comes 2 ms after the last one, so that the receiver sleeps (receivers must block here). The message carries
the time at which it was sent; the clock is the same in all processes.
"""

from __future__ import annotations

import struct
import time

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.figures import histogram, percentiles
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.one_way import DEPTH
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES
from benchmarks.scale import Scale
from benchmarks.stream import NS

_PAUSE_SECONDS = 0.002
_STAMP = struct.Struct("<Q56x")
_COLUMNS = ("p50", "p90", "p99", "p99.9", "max")


def _send(gate: Gate, link: Link, scale: Scale) -> None:
    sender = link.connect_sender()
    send, clock, pack = sender.send, time.monotonic_ns, _STAMP.pack
    gate.start()
    deadline_ns = clock() + int((scale.warm_seconds + scale.run_seconds) * NS)
    while clock() < deadline_ns:
        time.sleep(_PAUSE_SECONDS)
        send(pack(clock()))
    send(pack(0))
    gate.finish(None)
    sender.close()


def _receive(gate: Gate, link: Link, scale: Scale) -> None:
    receiver = link.connect_receiver()
    recv, clock, unpack = receiver.recv, time.monotonic_ns, _STAMP.unpack
    gate.start()
    warm_until_ns = clock() + int(scale.warm_seconds * NS)
    times_ns: list[int] = []
    while True:
        data = recv()
        now_ns = clock()
        (sent_ns,) = unpack(data)
        if sent_ns == 0:
            break
        if sent_ns >= warm_until_ns:
            times_ns.append(now_ns - sent_ns)
    gate.finish(times_ns)
    receiver.close()


class WakeUp(LinkPattern):
    """One message at a time to a process that sleeps."""

    name = "wake_up"
    title = "Waking a receiver"
    cases = (Case("slept", "64 B to a receiver that sleeps, one way", "p50", "us", False, _COLUMNS),)

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        assert _STAMP.size == SMALL_BYTES
        with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH, waiting="block")) as link:
            jobs = [Job(_receive, (link, scale)), Job(_send, (link, scale))]
            times_ns, _ = run_jobs(jobs, watchdog_seconds(scale))
            if not times_ns:
                raise Failed("too slow: nothing came after the warm-up")
            figures = percentiles([value / 1000 for value in times_ns])
            raw = {"messages": len(times_ns), "histogram_ns": histogram(times_ns)}
            return Run(figures, raw, link.note)
