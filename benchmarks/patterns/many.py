"""many: 64-byte messages in lists of 100, where the library takes or gives lists; else one at a time."""

from __future__ import annotations

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Run
from benchmarks.patterns.one_way import DEPTH, rate_of
from benchmarks.patterns.pattern import Case, LinkPattern, join_notes, opened, watchdog_seconds
from benchmarks.payload import BATCH, BATCH_PERIOD, SMALL_BYTES, batches, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import recv_batches, recv_each, send_batches, send_each


def _produce(gate: Gate, link: Link, scale: Scale) -> None:
    sender = link.connect_sender()
    messages = cycle(period=BATCH_PERIOD)
    lists = batches(messages)
    seconds = scale.warm_seconds + scale.run_seconds
    gate.start()
    if sender.send_many is None:
        send_each(sender.send, messages, seconds)
    else:
        send_batches(sender.send_many, lists, seconds)
    sender.send(stop())
    gate.finish(sender.send_many is not None)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale) -> None:
    receiver = link.connect_receiver()
    messages = cycle(period=BATCH_PERIOD)
    gate.start()
    if receiver.recv_many is None:
        flow = recv_each(receiver.recv, messages, stop(), scale.warm_seconds)
    else:
        flow = recv_batches(receiver.recv_many, messages, stop(), scale.warm_seconds)
    gate.finish((flow, receiver.recv_many is not None))
    receiver.close()


class Many(LinkPattern):
    """One producer, one consumer, lists of 100."""

    name = "many"
    title = "One way, many at a time"
    cases = (Case("64B_x100", f"64 B messages, {BATCH} per call, 1 to 1", "rate", "messages/s", True),)

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        with opened(competitor, LinkSpec(SMALL_BYTES, DEPTH)) as link:
            jobs = [Job(_consume, (link, scale)), Job(_produce, (link, scale))]
            (flow, takes), gives = run_jobs(jobs, watchdog_seconds(scale))
            how = {(True, True): "", (False, False): "one at a time"}.get((takes, gives))
            return rate_of(flow, join_notes(link.note, "one side one at a time" if how is None else how))
