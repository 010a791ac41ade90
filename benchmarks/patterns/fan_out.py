"""fan_out: one producer sends 64-byte messages, four consumers compete for them, one at a time.

The rate is that of all consumers together. In the end what they got is compared with what was sent:
none lost, none doubled, none changed.
"""

from __future__ import annotations

import time
from typing import Any

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import CONTEXT, Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.one_way import DEPTH, rate_of
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import Flow, Share, recv_share, send_each

CONSUMERS = 4
_PAUSE_SECONDS = 0.001


def _produce(gate: Gate, link: Link, scale: Scale, done: Any) -> None:
    sender = link.connect_sender()
    messages = cycle()
    gate.start()
    cycles = send_each(sender.send, messages, scale.warm_seconds + scale.run_seconds)
    while done.value < CONSUMERS:  # a library that deals out in turn may give two stops to one consumer
        sender.send(stop())
        time.sleep(_PAUSE_SECONDS)
    gate.finish(cycles)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale, done: Any) -> None:
    receiver = link.connect_receiver()
    known = cycle()
    gate.start()
    share = recv_share(receiver.recv, known, stop(), 1, scale.warm_seconds)
    with done.get_lock():
        done.value += 1
    gate.finish(share)
    receiver.close()


def _compare(shares: list[Share], cycles: int) -> None:
    for message in cycle():
        came = sum(share.tally[message] for share in shares)
        if came != cycles:
            raise Failed(f"a message sent {cycles} times came {came} times")


def _together(shares: list[Share]) -> Flow:
    flows = [share.flow for share in shares if share.flow.messages]
    if not flows:
        raise Failed("too slow: nothing came after the warm-up")
    return Flow(
        sum(flow.messages for flow in flows),
        min(flow.begin_ns for flow in flows),
        max(flow.end_ns for flow in flows),
    )


class FanOut(LinkPattern):
    """One producer, four competing consumers."""

    name = "fan_out"
    title = "Fan out"
    cases = (
        Case("1_to_4", f"64 B messages, 1 producer to {CONSUMERS} competing consumers", "rate", "messages/s", True),
    )

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        competitor.demand("fan_out")
        with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH, receivers=CONSUMERS)) as link:
            done = CONTEXT.Value("i", 0)
            jobs = [Job(_produce, (link, scale, done))]
            jobs += [Job(_consume, (link, scale, done)) for _ in range(CONSUMERS)]
            cycles, *shares = run_jobs(jobs, watchdog_seconds(scale))
            _compare(shares, cycles)
            run = rate_of(_together(shares), link.note)
            run.raw["per_consumer"] = [share.flow.messages for share in shares]
            return run
