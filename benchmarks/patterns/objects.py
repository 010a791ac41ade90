"""objects: small pickled objects, a tuple of an int and a str, one at a time, from one process to another."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.competitors.objects import CARRIERS, ShmspaceDropIn
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Run
from benchmarks.patterns.one_way import DEPTH, rate_of
from benchmarks.patterns.pattern import Case, Contestant, Pattern, opened, watchdog_seconds
from benchmarks.payload import PERIOD, SMALL_BYTES
from benchmarks.scale import Scale
from benchmarks.stream import recv_each, send_each

_STOP = (-1, "")


def _pairs() -> list[Any]:
    return [(index, f"job number {index}") for index in range(PERIOD)]


def _produce(gate: Gate, link: Link, scale: Scale) -> None:
    sender = link.connect_sender()
    pairs, stop = _pairs(), _STOP
    send: Any = sender.send
    gate.start()
    cycles = send_each(send, pairs, scale.warm_seconds + scale.run_seconds)
    send(stop)
    gate.finish(cycles)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale) -> None:
    receiver = link.connect_receiver()
    stop: Any = _STOP
    pairs = _pairs()
    gate.start()
    gate.finish(recv_each(receiver.recv, pairs, stop, scale.warm_seconds))
    receiver.close()


def _measure(competitor: Competitor, case: Case, scale: Scale) -> Run:
    with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH)) as link:
        jobs = [Job(_consume, (link, scale)), Job(_produce, (link, scale))]
        flow, _ = run_jobs(jobs, watchdog_seconds(scale))
        return rate_of(flow, link.note)


class Objects(Pattern):
    """One producer, one consumer."""

    name = "objects"
    title = "Pickled objects"
    cases = (
        Case(
            "pairs", "pickled (int, str), one at a time, 1 to 1", "rate", "messages/s", True, ours=ShmspaceDropIn.name
        ),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(one.name, one.version(), partial(_measure, one)) for one in CARRIERS]
