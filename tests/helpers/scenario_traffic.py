"""Traffic between processes that can be accounted for message by message.

Every message says who sent it, as what number, and carries a checksum. Producers note in a ledger
(a file of their own) what was sent, after the send has returned; consumers note what they received.
A ledger survives the kill of its process, so that the books can be compared afterwards.
"""

from __future__ import annotations

import contextlib
import os
import random
import struct
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import shmspace

HEAD = struct.Struct("<III")
SIZES = (0, 1, 20, 50, 100, 1000, 4096, 5000, 20_000)
BATCH = 8
STYLES = ("single", "many", "view")


def message(producer: int, number: int, size: int) -> bytes:
    """A message of `size` bytes more than its head, with a checksum over all of it."""
    body = bytes([(producer + number) % 256]) * size
    return (
        HEAD.pack(zlib.crc32(struct.pack("<II", producer, number) + body), producer, number) + body
    )


def opened(data: bytes | memoryview) -> tuple[int, int]:
    """Who sent it as what number; a torn message is an error."""
    checksum, producer, number = HEAD.unpack_from(data)
    if zlib.crc32(bytes(data[4:])) != checksum:
        raise ValueError(f"torn message {producer} {number} of {len(data)} bytes")
    return producer, number


class Ledger:
    """Pairs of numbers in a file, each written with one system call."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    def note(self, *entries: tuple[int, int]) -> None:
        for entry in entries:
            os.write(self._file, b"%d %d\n" % entry)

    def __enter__(self) -> Ledger:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        os.close(self._file)


def entries(path: Path) -> list[tuple[int, int]]:
    """What is in a ledger, in the order it was noted; one that was never begun is empty.

    Whoever is killed while the kernel writes a line across two pages leaves half of it: that was not noted.
    """
    try:
        text = path.read_text()
    except FileNotFoundError:
        return []
    lines = text[: text.rfind("\n") + 1].splitlines()
    return [(int(first), int(second)) for first, second in map(str.split, lines)]


def produce(name: str, ledger: Path, producer: int, count: int, style: str) -> None:
    """Send `count` messages, or with a negative count until the file `stop` beside the ledger."""
    chance = random.Random(producer)
    stop = ledger.with_name("stop")
    number = 0
    with (
        shmspace.open(name, create=False) as space,
        space.channel("traffic").writer() as writer,
        Ledger(ledger) as book,
    ):
        while number < count if count >= 0 else not stop.exists():
            left = count - number if count >= 0 else BATCH
            size = min(left, chance.randint(1, BATCH)) if style == "many" else 1
            batch = [message(producer, number + i, chance.choice(SIZES)) for i in range(size)]
            send(writer, batch, style)
            book.note(*((producer, number + i) for i in range(size)))
            number += size


def send(writer: shmspace.Writer, batch: Sequence[bytes], style: str) -> None:
    """Send in the given style, for as long as it takes."""
    if style == "many":
        assert writer.send_many(batch) == len(batch)
    elif style == "view":
        with writer.reserve(len(batch[0])) as view:
            view[:] = batch[0]
    else:
        writer.send(batch[0])


def consume(name: str, ledger: Path, style: str) -> None:
    """Receive until the stream ends."""
    with (
        shmspace.open(name, create=False) as space,
        space.channel("traffic").reader() as reader,
        Ledger(ledger) as book,
        contextlib.suppress(shmspace.EndOfStream),
    ):
        while True:
            for entry in received(reader, style):
                book.note(entry)


def received(reader: shmspace.Reader, style: str) -> Iterator[tuple[int, int]]:
    """What one call in the given style brings."""
    if style == "many":
        yield from map(opened, reader.recv_many(BATCH))
    elif style == "view":
        with reader.recv_view() as view:
            found = opened(view)
        yield found
    else:
        yield opened(reader.recv())


def consume_and_count_the_lost(name: str, ledger: Path) -> None:
    """Receive until the stream ends; what was lost on the way is noted as a negative producer."""
    with (
        shmspace.open(name, create=False) as space,
        space.channel("traffic").reader() as reader,
        Ledger(ledger) as book,
    ):
        while True:
            try:
                book.note(opened(reader.recv()))
            except shmspace.Lagged as overtaken:
                book.note((-1, overtaken.lost))
            except shmspace.EndOfStream:
                return


def join_late(name: str, ledger: Path, times: int) -> None:
    """Open a reader again and again in the middle of the traffic; note its first ten messages."""
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        for turn in range(times):
            with space.channel("traffic").reader() as reader:
                for _ in range(10):
                    _, number = opened(reader.recv())
                    book.note((turn, number))


def pass_on(name: str, place: int, size: int, rounds: int) -> None:
    """Take the number from one's place, add one, hand it to the next place."""
    with shmspace.open(name, create=False) as space:
        mine = space.channel(f"place-{place}")
        following = space.channel(f"place-{(place + 1) % size}")
        for _ in range(rounds):
            following.send(mine.recv() + 1)


def per_producer(found: Sequence[tuple[int, int]]) -> dict[int, list[int]]:
    """The numbers of each producer in the order they were noted."""
    numbers: dict[int, list[int]] = {}
    for producer, number in found:
        numbers.setdefault(producer, []).append(number)
    return numbers


def in_order(found: Sequence[tuple[int, int]]) -> bool:
    """Whether the numbers of each producer rise."""
    return all(seen == sorted(set(seen)) for seen in per_producer(found).values())


def options_for(chance: random.Random) -> dict[str, Any]:
    """Some capacity: tight, odd or roomy."""
    return {"capacity": chance.choice([1, 2, 7, 100])}
