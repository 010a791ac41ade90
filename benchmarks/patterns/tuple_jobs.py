"""tuple_jobs: four producers hand 64-byte jobs to four consumers, under one key or spread over 64.

Each consumer takes from its share of the keys in turn. In the end what came is compared with what was sent.
"""

from __future__ import annotations

from itertools import cycle as endless

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, NotApplicable, Run
from benchmarks.patterns.one_way import DEPTH, rate_of
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import SMALL_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import Flow, recv_share, send_each

_WORKERS = 4
_KEYS = {"one_key": 1, "64_keys": 64}
_LEFT_OUT = ("multiprocessing.Pipe", "iceoryx2", "POSIX mq", "faster-fifo", "pyzmq")


def _produce(gate: Gate, link: Link, scale: Scale, number: int, keys: int) -> None:
    senders = [link.connect_sender(key) for key in range(keys)]
    sends = endless([sender.send for sender in senders])
    messages = cycle(sender=number)
    gate.start()
    cycles = send_each(lambda message: next(sends)(message), messages, scale.warm_seconds + scale.run_seconds)
    if keys == 1:
        senders[0].send(stop())
    else:
        for sender in senders:
            sender.send(stop())
    gate.finish(cycles)
    for sender in senders:
        sender.close()


def _consume(gate: Gate, link: Link, scale: Scale, number: int, keys: int) -> None:
    mine = [0] if keys == 1 else list(range(number, keys, _WORKERS))
    receivers = [link.connect_receiver(key) for key in mine]
    recvs = endless([receiver.recv for receiver in receivers])
    known = [message for sender in range(_WORKERS) for message in cycle(sender=sender)]
    stops = 1 if keys == 1 else _WORKERS * len(mine)
    gate.start()
    gate.finish(recv_share(lambda: next(recvs)(), known, stop(), stops, scale.warm_seconds))
    for receiver in receivers:
        receiver.close()


class TupleJobs(LinkPattern):
    """Keyed jobs, four to four."""

    name = "tuple_jobs"
    title = "Jobs under keys"
    cases = tuple(
        Case(
            name,
            f"64 B jobs under {keys} key{'s' * (keys > 1)}, 4 producers to 4 consumers",
            "rate",
            "messages/s",
            higher_is_better=True,
            ours="shmspace.Tuples",
        )
        for name, keys in _KEYS.items()
    )

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        competitor.demand("fan_in")
        competitor.demand("fan_out")
        if competitor.name in _LEFT_OUT:
            raise NotApplicable("it has no keys")
        keys = _KEYS[case.name]
        spec = LinkSpec(SMALL_BYTES, DEPTH, senders=_WORKERS, receivers=_WORKERS, lanes=keys)
        with opened(competitor, spec) as link:
            jobs = [Job(_consume, (link, scale, number, keys)) for number in range(_WORKERS)]
            jobs += [Job(_produce, (link, scale, number, keys)) for number in range(_WORKERS)]
            results = run_jobs(jobs, watchdog_seconds(scale))
            shares, cycles_sent = results[:_WORKERS], results[_WORKERS:]
            for number, cycles in enumerate(cycles_sent):
                for message in cycle(sender=number):
                    came = sum(share.tally[message] for share in shares)
                    if came != cycles:
                        raise Failed(f"a message sent {cycles} times by producer {number} came {came} times")
            flows = [share.flow for share in shares if share.flow.messages]
            if not flows:
                raise Failed("too slow: nothing came after the warm-up")
            begin_ns, end_ns = min(flow.begin_ns for flow in flows), max(flow.end_ns for flow in flows)
            return rate_of(Flow(sum(flow.messages for flow in flows), begin_ns, end_ns), link.note)
