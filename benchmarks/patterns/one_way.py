"""one_way: 64-byte messages, one at a time, from one process to another, as fast as it goes."""

from __future__ import annotations

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Run
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import Flow, recv_each, send_each

DEPTH = 1024


def _produce(gate: Gate, link: Link, scale: Scale) -> None:
    sender = link.connect_sender()
    messages = cycle()
    gate.start()
    cycles = send_each(sender.send, messages, scale.warm_seconds + scale.run_seconds)
    sender.send(stop())
    gate.finish(cycles)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale) -> None:
    receiver = link.connect_receiver()
    messages = cycle()
    gate.start()
    gate.finish(recv_each(receiver.recv, messages, stop(), scale.warm_seconds))
    receiver.close()


def rate_of(flow: Flow, note: str = "") -> Run:
    """The run that a flow makes."""
    return Run(
        {"rate": flow.messages / flow.seconds},
        {"messages": flow.messages, "seconds": flow.seconds},
        note,
    )


class OneWay(LinkPattern):
    """One producer, one consumer."""

    name = "one_way"
    title = "One way, one at a time"
    cases = (Case("64B", "64 B messages, one at a time, 1 to 1", "rate", "messages/s", True),)

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH)) as link:
            jobs = [Job(_consume, (link, scale)), Job(_produce, (link, scale))]
            flow, _ = run_jobs(jobs, watchdog_seconds(scale))
            return rate_of(flow, link.note)
