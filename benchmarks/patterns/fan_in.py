"""fan_in: four producers send 64-byte messages to one consumer, one at a time.

Every message names its producer. In the end what came is compared with what was sent: none lost, none
doubled, none changed.
"""

from __future__ import annotations

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.one_way import DEPTH, rate_of
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import Share, recv_share, send_each

PRODUCERS = 4


def _produce(gate: Gate, link: Link, scale: Scale, number: int) -> None:
    sender = link.connect_sender()
    messages = cycle(sender=number)
    gate.start()
    cycles = send_each(sender.send, messages, scale.warm_seconds + scale.run_seconds)
    sender.send(stop())
    gate.finish(cycles)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale) -> None:
    receiver = link.connect_receiver()
    known = [message for number in range(PRODUCERS) for message in cycle(sender=number)]
    gate.start()
    gate.finish(recv_share(receiver.recv, known, stop(), PRODUCERS, scale.warm_seconds))
    receiver.close()


def _compare(share: Share, cycles_sent: list[int]) -> None:
    for number, cycles in enumerate(cycles_sent):
        for message in cycle(sender=number):
            if share.tally[message] != cycles:
                raise Failed(
                    f"a message sent {cycles} times by producer {number} came {share.tally[message]} times"
                )


class FanIn(LinkPattern):
    """Four producers, one consumer."""

    name = "fan_in"
    title = "Fan in"
    cases = (Case("4_to_1", f"64 B messages, {PRODUCERS} producers to 1 consumer", "rate", "messages/s", True),)

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        competitor.demand("fan_in")
        with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH, senders=PRODUCERS)) as link:
            jobs = [Job(_consume, (link, scale))]
            jobs += [Job(_produce, (link, scale, number)) for number in range(PRODUCERS)]
            share, *cycles_sent = run_jobs(jobs, watchdog_seconds(scale))
            _compare(share, cycles_sent)
            if not share.flow.messages:
                raise Failed("too slow: nothing came after the warm-up")
            return rate_of(share.flow, link.note)
