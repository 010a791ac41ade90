"""Work for other processes about logs: handles that travel, appenders, and readers that look closely."""

from __future__ import annotations

import multiprocessing
import random
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import shmspace
from shmspace import NEWEST, Message, Record
from tests.helpers.peer_wait import blocked
from tests.helpers.scenario_fork import in_child, refused
from tests.helpers.scenario_traffic import BATCH, SIZES, Ledger, message, opened

STYLES = ("read", "read_batch", "consume", "stream")


def answer(log: shmspace.Log, questions: shmspace.ShardedLog) -> None:
    """Append what the next questions are, until one is empty."""
    with questions.stream("q") as stream:
        for question in stream:
            if not question.data:
                return
            log.append(question.value, key=b"answer")


def give_a_log_away(talk: Connection, name: str, method: str) -> None:
    """Give two logs to a process started in the given way; says how it ended."""
    with shmspace.open(name, create=False) as space:
        log, questions = space.log("l", key_index=True), space.sharded_log("s", shards=2)
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=answer, args=(log, questions))
        child.start()
        with log.stream() as stream:
            for question in (b"1", b"two", bytes(100_000)):
                questions.append("q", question)
                assert next(stream).data == question
        questions.append("q", b"")
        child.join()
        talk.send(child.exitcode)


def use_what_was_inherited(talk: Connection, name: str) -> None:
    """Use a log and its stream after a fork, on both sides; says `done`."""
    with shmspace.open(name, create=False) as space:
        log, sharded = space.log("l", key_index=True), space.sharded_log("s", shards=2)
        log.publish([b"0", b"1", b"2"])
        sharded.append("k", b"sharded")
        stream = log.stream()
        next(stream)
        waiting = blocked(log.consume, NEWEST, timeout=None)

        def work() -> list[Any]:
            found = [next(stream).data, log.read(0).data, sharded.read("k", 0).data]
            log.append(b"child", key=b"k")
            return [*found, log.offset_by_key("k"), sharded.append("k", b"child")]

        assert in_child(work) == [b"1", b"0", b"sharded", 3, 1]
        assert waiting.result()[1][0].data == b"child"
        assert [next(stream).data for _ in range(3)] == [b"1", b"2", b"child"]

        def close_all() -> tuple[bool, str]:
            space.close()
            return stream.closed, refused(lambda: log.append(b"x"))

        assert in_child(close_all) == (True, "Closed")
        log.append(b"parent")
        assert next(stream).data == b"parent"
        assert sharded.range("k") == (0, 1)
    talk.send("done")


def append(name: str, ledger: Path, producer: int, count: int, style: str) -> None:
    """Append `count` records, or with a negative count until the file `stop` beside the ledger.

    What was appended is noted as (offset, number).
    """
    chance, stop, number = random.Random(producer), ledger.with_name("stop"), 0
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        log, key = space.log("traffic"), b"%d" % producer
        while number < count if count >= 0 else not stop.exists():
            left = count - number if count >= 0 else BATCH
            size = min(left, chance.randint(1, BATCH)) if style == "publish" else 1
            batch = [message(producer, number + i, chance.choice(SIZES)) for i in range(size)]
            if style == "publish":
                first = log.publish([Message(data, key) for data in batch]) - size
            else:
                first = log.append(batch[0], key=key)
            book.note(*((first + i, number + i) for i in range(size)))
            number += size


class Judge:
    """Looks at records one after the other: whole, with the key of their producer, in order, with rising times.

    Without gaps the next record is the next offset, and each producer's next number.
    """

    def __init__(self, *, gaps: bool) -> None:
        self.gaps = gaps
        self.next = self.missed = 0
        self.numbers: dict[int, int] = {}
        self.time = 0

    def see(self, record: Record) -> int:
        """Judge one record; how many were missed before it."""
        assert record.data is not None
        producer, number = opened(record.data)
        assert record.key == b"%d" % producer, "a record has the key of another"
        missed, more = record.offset - self.next, number - self.numbers.get(producer, -1) - 1
        self.missed += missed
        assert missed >= 0 <= more <= self.missed, f"offset {record.offset} came where {self.next} was due"
        assert self.gaps or missed == 0, f"{missed} are missing before {record.offset}"
        assert record.time > self.time, "a time stamp does not rise"
        self.numbers[producer], self.time, self.next = number, record.time, record.offset + 1
        return missed


def follow(name: str, ledger: Path, style: str, until: int) -> None:
    """Look at every record up to offset `until`; note (offset, number) of each. None may be missing."""
    judge = Judge(gaps=False)
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        log = space.log("traffic")
        stream, at = log.stream(), 0
        while at < until:
            if style == "stream":
                records: list[Record] = [next(stream)]
            elif style == "consume":
                records = log.consume(at, 10, timeout=None)[1]
            elif style == "read_batch":
                records = log.read_batch(at, 10)
            else:
                log.consume(at, 1, timeout=None)
                records = [log.read(at)]
            for record in records:
                judge.see(record)
                assert record.data is not None
                book.note((record.offset, opened(record.data)[1]))
                at = record.offset + 1


def chase(name: str, ledger: Path, style: str, until: int) -> None:
    """Look at what can be had of a log that runs away; note (offset, missed before it)."""
    judge = Judge(gaps=True)
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        log = space.log("traffic")
        stream, at, lost = log.stream(0, lost="skip"), 0, 0
        while at < until:
            records: list[Record] = []
            try:
                if style in ("stream", "among deletions"):
                    records = [next(stream)]
                    gap, missed, lost = records[0].offset - at, stream.lost - lost, stream.lost
                    # What was deleted was not lost, but if it was overtaken too nobody can tell.
                    assert gap == missed if style == "stream" else gap >= missed, "what was lost was counted wrongly"
                elif style == "consume":
                    following, records = log.consume(at, 10, timeout=None)
                    assert following == records[-1].offset + 1
                elif style == "read_batch":
                    records = log.read_batch(at, 10)
                    assert not records or records[0].offset == at
                else:
                    log.consume(at, 1, timeout=None)
                    records = [log.read(at)]
            except shmspace.OutOfRange as overtaken:
                if style not in ("read", "read_batch") or not at < overtaken.earliest <= overtaken.next:
                    raise
                at = overtaken.earliest
            for place, record in enumerate(records):
                missed = judge.see(record)
                assert missed == 0 or place == 0, "records were purged in the middle of a batch"
                book.note((record.offset, missed))
                at = record.offset + 1


def remove(name: str, ledger: Path, seed: int) -> None:
    """Delete, trim and compact until the file `stop` beside the ledger."""
    chance, stop = random.Random(seed), ledger.with_name("stop")
    with shmspace.open(name, create=False) as space:
        log = space.log("traffic")
        while not stop.exists():
            following, way = log.next_offset, chance.randrange(3)
            if way == 0:
                gone = log.delete([chance.randrange(max(0, following - 100), following + 1) for _ in range(9)])
            elif way == 1:
                gone = log.trim(count=chance.randrange(100))
            else:
                gone = log.compact(updates_before=1 << 62)
            assert gone.offsets == sorted(gone.offsets)


def append_long(name: str, stop: Path) -> None:
    """Append records that take a while to copy, until the file `stop` is there."""
    bodies = [message(0, number, 150_000 + number) for number in range(16)]
    with shmspace.open(name, create=False) as space:
        log = space.log("traffic")
        while not stop.exists():
            for body in bodies:
                log.append(body, key=b"0")


def fill_and_empty(talk: Connection, name: str) -> None:
    """Append many records and delete them all at once, for ever."""
    with shmspace.open(name, create=False) as space:
        log = space.log("traffic")
        talk.send("ready")
        while not talk.poll():
            following = log.publish([b"x"] * 5000)
            log.delete(range(following - 5000, following))
