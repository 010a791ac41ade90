"""Stream: the measured loops of senders and receivers, one message or many at a time.

1. A sender repeats whole cycles until its time is over, then sends the stop message.
2. A receiver starts counting at the first whole cycle after its warm-up and stops at the stop message.
3. Clocks are read once per cycle or batch, not per message. All times are `time.monotonic_ns`, which
   is the same clock in all processes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import repeat

from benchmarks.competitors.adapter import Edges
from benchmarks.outcome import Failed
from benchmarks.payload import BATCH, EDGE_BYTES, PERIOD

_clock = time.monotonic_ns
NS = 1_000_000_000


@dataclass(frozen=True)
class Flow:
    """What one receiver counted between `begin_ns` and `end_ns`."""

    messages: int
    begin_ns: int
    end_ns: int

    @property
    def seconds(self) -> float:
        """How long it counted."""
        return (self.end_ns - self.begin_ns) / NS


def send_each(send: Callable[[bytes], object], messages: list[bytes], seconds: float) -> int:
    """Send whole cycles, one message at a time, for `seconds`; the number of cycles."""
    deadline = _clock() + int(seconds * NS)
    cycles = 0
    while _clock() < deadline:
        for message in messages:
            send(message)
        cycles += 1
    return cycles


def send_batches(send_many: Callable[[list[bytes]], object], lists: list[list[bytes]], seconds: float) -> int:
    """Send whole cycles, one list at a time, for `seconds`; the number of cycles."""
    deadline = _clock() + int(seconds * NS)
    cycles = 0
    while _clock() < deadline:
        for batch in lists:
            send_many(batch)
        cycles += 1
    return cycles


def recv_each(recv: Callable[[], bytes], messages: list[bytes], stop: bytes, warm_seconds: float) -> Flow:
    """Receive one at a time until `stop`; every byte and the order are checked."""
    begin_ns = count = 0
    warm_until_ns = _clock() + int(warm_seconds * NS)
    while True:
        for expected in messages:
            if (data := recv()) != expected:
                if data != stop or expected is not messages[0]:
                    raise Failed(f"received {data[:16]!r} in place of {expected[:16]!r}")
                return finished(begin_ns, count)
        if begin_ns:
            count += len(messages)
        elif (now_ns := _clock()) >= warm_until_ns:
            begin_ns = now_ns


def recv_edges(recv: Callable[[], bytes], messages: list[bytes], stop: bytes, warm_seconds: float) -> Flow:
    """As `recv_each` for big messages: the warm-up compares all bytes, afterwards length and both ends."""
    edges = [(message[:EDGE_BYTES], message[-EDGE_BYTES:]) for message in messages]
    size, begin_ns, count = len(stop), 0, 0
    warm_until_ns = _clock() + int(warm_seconds * NS)
    while True:
        for (head, tail), message in zip(edges, messages, strict=True):
            data = recv()
            if data[:EDGE_BYTES] != head or data[-EDGE_BYTES:] != tail or len(data) != size:
                if data != stop:
                    raise Failed(f"received {len(data)} bytes {data[:16]!r}")
                return finished(begin_ns, count)
            if not begin_ns and data != message:
                raise Failed("a message arrived damaged")
        if begin_ns:
            count += len(messages)
        elif (now_ns := _clock()) >= warm_until_ns:
            begin_ns = now_ns


def look(view: memoryview) -> Edges:
    """What is read of a message in place."""
    return bytes(view[:EDGE_BYTES]), bytes(view[-EDGE_BYTES:]), len(view)


def recv_views(
    recv_view: Callable[[Callable[[memoryview], Edges]], Edges],
    messages: list[bytes],
    stop: bytes,
    warm_seconds: float,
) -> Flow:
    """As `recv_each`, looking at length and both ends of each message in place."""
    due = [look(memoryview(message)) for message in messages]
    end = look(memoryview(stop))
    begin_ns = count = 0
    warm_until_ns = _clock() + int(warm_seconds * NS)
    while True:
        for expected in due:
            if (found := recv_view(look)) != expected:
                if found != end:
                    raise Failed(f"received {found} in place of {expected}")
                return finished(begin_ns, count)
        if begin_ns:
            count += len(messages)
        elif (now_ns := _clock()) >= warm_until_ns:
            begin_ns = now_ns


def recv_batches(
    recv_many: Callable[[int], list[bytes]], messages: list[bytes], stop: bytes, warm_seconds: float
) -> Flow:
    """Receive lists of up to `BATCH` until `stop`; every byte and the order are checked."""
    size, period = len(stop), len(messages)
    text = b"".join(messages + messages[:BATCH])
    position = begin_ns = count = 0
    warm_until_ns = _clock() + int(warm_seconds * NS)
    while True:
        batch = recv_many(BATCH)
        got = len(batch)
        if b"".join(batch) != text[position * size : (position + got) * size]:
            due = messages[position:] + messages
            if batch[-1] != stop or batch[:-1] != due[: got - 1]:
                raise Failed(f"received a wrong list of {got}, from {batch[0][:16]!r}")
            return finished(begin_ns, count + got - 1)
        position = (position + got) % period
        now_ns = _clock()
        if begin_ns:
            count += got
        elif now_ns >= warm_until_ns:
            begin_ns = now_ns


@dataclass(frozen=True)
class Share:
    """What one of several receivers counted, and how often each message came in all."""

    flow: Flow
    tally: dict[bytes, int]


def recv_share(
    recv: Callable[[], bytes], known: list[bytes], stop: bytes, stops: int, warm_seconds: float
) -> Share:
    """Receive until `stops` stop messages have come; nothing is known about the order."""
    tally = dict.fromkeys(known, 0)
    begin_ns = before = 0
    warm_until_ns = _clock() + int(warm_seconds * NS)
    while stops:
        try:
            while True:
                for _ in repeat(None, PERIOD // 8):
                    tally[recv()] += 1
                if not begin_ns and (now_ns := _clock()) >= warm_until_ns:
                    begin_ns, before = now_ns, sum(tally.values())
        except KeyError as error:
            if error.args != (stop,):
                raise Failed(f"received something that was not sent: {error!r:.80}") from None
            stops -= 1
    counted = sum(tally.values()) - before if begin_ns else 0
    return Share(Flow(counted, begin_ns, _clock()), tally)


def finished(begin_ns: int, count: int) -> Flow:
    """The flow that ends now; refuses one that never got past its warm-up."""
    if not begin_ns or not count:
        raise Failed("too slow: not one whole cycle of messages after the warm-up")
    return Flow(count, begin_ns, _clock())
