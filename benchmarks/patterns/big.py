"""big: 64 KiB and 1 MiB messages from one process to another, copied and by view.

- `copied`: `bytes` in, `bytes` out.
- `view`: the producer gets memory of the library and writes its first and last 8 bytes, the consumer
  looks at them in place: what handing over costs when the data is made and used where it lies.
- `filled`: as `view`, but the producer writes all of the message into place (one copy in all).

All bytes are compared during the warm-up (not by view), later the length and both ends.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Sender
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.one_way import rate_of
from benchmarks.patterns.pattern import Case, LinkPattern, opened, watchdog_seconds
from benchmarks.payload import BIG_PERIOD, EDGE_BYTES, cycle, stop
from benchmarks.scale import Scale
from benchmarks.stream import recv_edges, recv_views, send_each

How = Literal["copied", "view", "filled"]
_SIZES = {"64KiB": 64 << 10, "1MiB": 1 << 20}
_DEPTHS = {"64KiB": 64, "1MiB": 16}
_TITLES = {"copied": "copied in and out", "view": "by view, ends written", "filled": "by view, all written"}


def _sending(sender: Sender, how: How) -> Callable[[bytes], object]:
    """The call that sends one message this way."""
    if how == "copied":
        return sender.send
    send_view = sender.send_view
    if send_view is None:
        raise Failed("no views")

    def fill_ends(message: bytes) -> None:
        def fill(view: memoryview) -> None:
            view[:EDGE_BYTES] = message[:EDGE_BYTES]
            view[-EDGE_BYTES:] = message[-EDGE_BYTES:]

        send_view(len(message), fill)

    def fill_all(message: bytes) -> None:
        def fill(view: memoryview) -> None:
            view[:] = message

        send_view(len(message), fill)

    return fill_ends if how == "view" else fill_all


def _produce(gate: Gate, link: Link, scale: Scale, size: int, how: How) -> None:
    sender = link.connect_sender()
    messages = cycle(size, BIG_PERIOD)
    send = _sending(sender, how)
    gate.start()
    cycles = send_each(send, messages, scale.warm_seconds + scale.run_seconds)
    send(stop(size))
    gate.finish(cycles)
    sender.close()


def _consume(gate: Gate, link: Link, scale: Scale, size: int, how: How) -> None:
    receiver = link.connect_receiver()
    messages = cycle(size, BIG_PERIOD)
    gate.start()
    if how == "copied":
        flow = recv_edges(receiver.recv, messages, stop(size), scale.warm_seconds)
    elif receiver.recv_view is None:
        raise Failed("no views")
    else:
        flow = recv_views(receiver.recv_view, messages, stop(size), scale.warm_seconds)
    gate.finish(flow)
    receiver.close()


class BigMessages(LinkPattern):
    """One producer, one consumer, much data."""

    name = "big"
    title = "Big messages"
    cases = tuple(
        Case(f"{size}_{how}", f"{size} messages, {title}", "rate", "messages/s", True)
        for how, title in _TITLES.items()
        for size in _SIZES
    )

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        size_name, how = case.name.split("_")
        if how != "copied":
            competitor.demand("view")
        size = _SIZES[size_name]
        with opened(competitor, LinkSpec(size, _DEPTHS[size_name])) as link:
            args = (link, scale, size, cast(How, how))
            flow, _ = run_jobs([Job(_consume, args), Job(_produce, args)], watchdog_seconds(scale))
            run = rate_of(flow, link.note)
            run.figures["GiB/s"] = run.figures["rate"] * size / (1 << 30)
            return run
