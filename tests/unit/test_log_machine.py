"""Logs against a list, in any order of calls that hypothesis can think of.

Property: whatever is appended, purged, deleted, trimmed and compacted in whatever order, every way of reading gives
what the list says, each refusal is the list's, the numbers agree, and the region is sound.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.leftovers import unique_name

datas = st.one_of(
    st.none(),
    st.builds(lambda size, n: bytes([n]) * size, st.sampled_from([0, 1, 30, 64, 65, 200, 5000]), st.integers(0, 255)),
)
KEYS: list[bytes | None] = [None, b"", b"a", b"b", b"k" * 90]
keys = st.sampled_from(KEYS)
times = st.integers(0, 30)
messages = st.lists(st.builds(Message, datas, keys, times), max_size=9)
places = st.integers(-3, 45)

Row = tuple[int, int, bytes | None, bytes | None]


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the class of its refusal."""
    try:
        return call()
    except (shmspace.ShmspaceError, ValueError) as error:
        return type(error)


class LogMachine(RuleBasedStateMachine):
    """Two handles on one log, a stream of each kind, and the list of what there is."""

    @initialize(segment=st.sampled_from([1, 2, 3, 5, 8, 20]), start=st.sampled_from([0, 1, (1 << 32) - 7]))
    def create(self, segment: int, start: int) -> None:
        self.space = shmspace.open(unique_name("machine"), size="4M")
        self.segment, self.start = segment, start
        options: dict[str, Any] = {"segment_size": segment, "start_offset": start, "key_index": True}
        self.logs = [self.space.log("l", **options, time_index=True), self.space.log("l")]
        self.rows: list[Row] = []
        self.largest: list[int] = []
        self.next, self.floor, self.turn = start, start, 0
        self.streams = {lost: self.logs[0].stream(start, lost=lost) for lost in ("error", "skip")}
        self.position = {"error": start, "skip": start}
        self.lost = 0

    def log(self) -> shmspace.Log:
        self.turn += 1
        return self.logs[self.turn % 2]

    def at(self, place: int) -> int:
        """An offset near the log: small negatives as they are."""
        return place if place < 0 else max(self.start, self.next - 40) + place

    @property
    def first(self) -> int:
        return self.rows[0][0] if self.rows else self.next

    def refusal(self, offset: int) -> type[Exception]:
        """Why there is no such record."""
        if offset < 0:
            return shmspace.InvalidOffset
        if offset >= self.next:
            return shmspace.FutureOffset
        return shmspace.OutOfRange if offset < self.first else shmspace.NotFound

    def rows_from(self, offset: int, key: bytes | None = None) -> list[Row]:
        return [row for row in self.rows if row[0] >= offset and (key is None or row[2] == key)]

    def note(self, given: list[Message]) -> None:
        """What comes of an append; a purge of deleted records only overtakes nobody."""
        first = self.first
        for value, key, when in given:
            assert key is None or isinstance(key, bytes)
            assert isinstance(when, int)
            self.rows.append((self.next, when, key, value))
            self.largest.append(when)
            self.next += 1
        if given:
            active = (self.next - self.start - 1) // self.segment
            kept = self.start + max(0, active - 1) * self.segment
            self.floor = max(self.floor, kept) if kept > first else self.floor
            self.rows = [row for row in self.rows if row[0] >= kept]

    def forget(self, gone: list[Row], deleted: shmspace.Deleted) -> None:
        """What comes of a deletion."""
        assert deleted.offsets == [row[0] for row in gone]
        assert deleted.nbytes == sum(self.logs[0].size(row[3], row[2]) for row in gone)
        self.rows = [row for row in self.rows if row not in gone]

    @rule(message=st.builds(Message, datas, keys, times))
    def append(self, message: Message) -> None:
        assert self.log().append(message.value, key=message.key, time=message.time) == self.next
        self.note([message])

    @rule(batch=messages)
    def publish(self, batch: list[Message]) -> None:
        assert self.log().publish(batch) == self.next + len(batch)
        self.note(batch)

    @rule(wanted=st.lists(st.integers(0, 45), max_size=9))
    def delete(self, wanted: list[int]) -> None:
        offsets = [self.at(place) for place in wanted]
        self.forget([row for row in self.rows if row[0] in offsets], self.log().delete(offsets))

    @rule(first=st.integers(0, 45), count=st.integers(1, 20))
    def delete_a_stretch(self, first: int, count: int) -> None:
        offsets = range(self.at(first), self.at(first) + count)
        self.forget([row for row in self.rows if row[0] in offsets], self.log().delete(offsets))

    @rule(count=st.integers(0, 12))
    def trim_by_count(self, count: int) -> None:
        self.forget(self.rows[: max(0, len(self.rows) - count)], self.log().trim(count=count))

    @rule(room=st.integers(0, 9000))
    def trim_by_bytes(self, room: int) -> None:
        sizes = [self.logs[0].size(row[3], row[2]) for row in self.rows]
        gone = 0
        while sum(sizes[gone:]) > room:
            gone += 1
        self.forget(self.rows[:gone], self.log().trim(nbytes=room))

    @rule(place=st.integers(0, 45))
    def trim_by_offset(self, place: int) -> None:
        limit = self.at(place)
        self.forget([row for row in self.rows if row[0] < limit], self.log().trim(before_offset=limit))

    @rule(when=times)
    def trim_by_time(self, when: int) -> None:
        self.forget([row for row in self.rows if row[1] <= when], self.log().trim(before_time=when))

    @rule(updates=st.one_of(st.none(), times), deletes=st.one_of(st.none(), times))
    def compact(self, updates: int | None, deletes: int | None) -> None:
        left = self.rows
        if updates is not None:
            old = [row for row in left if row[2] is not None and row[1] <= updates]
            left = [row for row in left if row not in old or all(one[2] != row[2] or one[0] <= row[0] for one in old)]
        if deletes is not None:
            kept: list[Row] = []
            for row in left:
                tombstone = row[3] is None and row[2] is not None and row[1] <= deletes
                if not tombstone or any(one[2] == row[2] for one in kept):
                    kept.append(row)
            left = kept
        gone = [row for row in self.rows if row not in left]
        self.forget(gone, self.log().compact(updates_before=updates, deletes_before=deletes))

    @rule(place=places)
    def read(self, place: int) -> None:
        offset = self.at(place)
        found: list[Row] = [row for row in self.rows if row[0] == offset]
        if offset in (OLDEST, NEWEST):
            found = self.rows[:1] if offset == OLDEST else self.rows[-1:]
        assert outcome(lambda: self.log().read(offset)) == (found[0] if found else self.refusal(offset))

    @rule(place=places, count=st.integers(0, 12))
    def read_batch(self, place: int, count: int) -> None:
        offset, batch = self.at(place), outcome(lambda: self.log().read_batch(self.at(place), count))
        if offset < 0:
            assert batch is shmspace.InvalidOffset
        elif count == 0:
            assert batch == []
        elif offset < self.first and offset < self.floor:
            assert batch is shmspace.OutOfRange
        elif offset < self.first:  # deleted, not purged: either will do, and nothing else
            assert batch is shmspace.OutOfRange or batch == self.rows[:count]
        else:
            assert batch == self.rows_from(offset)[:count]
            full = len(batch) == count
            assert batch.next_offset == (batch[-1].offset + 1 if full else max(offset, self.next))
            assert batch.at_end == (batch.next_offset == self.next)

    @rule(place=places, count=st.integers(1, 12), key=keys)
    def consume(self, place: int, count: int, key: bytes | None) -> None:
        offset = self.at(place)
        given = outcome(lambda: self.log().consume(offset, count, key=key))
        if offset not in (OLDEST, NEWEST) and (offset < 0 or offset > self.next):
            assert given is self.refusal(offset)
            return
        found = [] if offset == NEWEST else self.rows_from(offset, key)[:count]
        last = found[-1][0] + 1 if found else self.next
        following, records = given
        assert records == found
        if key is not None or len(found) in (0, count):
            assert following == last
        else:
            assert following == self.next

    @rule(key=st.sampled_from(KEYS[1:]))
    def find_by_key(self, key: bytes) -> None:
        found = self.rows_from(0, key)
        assert outcome(lambda: self.log().read_by_key(key)) == (found[-1] if found else shmspace.NotFound)
        assert outcome(lambda: self.log().offset_by_key(key)) == (found[-1][0] if found else shmspace.NotFound)

    @rule(when=times)
    def find_by_time(self, when: int) -> None:
        running = list(accumulate(self.largest, max))
        found = [row for row in self.rows if running[row[0] - self.start] >= when]
        assert outcome(lambda: self.log().read_by_time(when)) == (found[0] if found else shmspace.NotFound)
        assert outcome(lambda: self.log().offset_by_time(when)) == (found[0][:2] if found else shmspace.NotFound)

    @rule(lost=st.sampled_from(["error", "skip"]), count=st.integers(1, 9))
    def go_on_with_a_stream(self, lost: str, count: int) -> None:
        for _ in range(count):
            position = self.position[lost]
            given = outcome(lambda: self.streams[lost].next(timeout=0))
            if position < self.floor and lost == "error":
                assert given is shmspace.OutOfRange
                return
            self.lost += max(0, self.floor - position)
            found = self.rows_from(position)
            assert given == (found[0] if found else shmspace.Empty)
            self.position[lost] = found[0][0] + 1 if found else max(position, self.next)
            assert self.streams["skip"].lost == self.lost

    @precondition(lambda self: self.position["error"] < self.floor)
    @rule()
    def open_the_stream_anew(self) -> None:
        self.streams["error"].close()
        self.streams["error"] = self.log().stream(OLDEST)
        self.position["error"] = self.first

    @rule(data=st.sampled_from(["text", 7]))
    def refuse_a_batch(self, data: Any) -> None:
        assert outcome(lambda: self.log().publish([b"good", Message(data, b"a"), b"good"])) is shmspace.CodecError

    @invariant()
    def numbers_agree(self) -> None:
        log = self.logs[0]
        assert log.range() == ((self.rows[0][0], self.rows[-1][0]) if self.rows else None)
        assert log.next_offset == self.next
        numbers = log.stat()
        assert (numbers.records, numbers.first, numbers.next_offset) == (len(self.rows), self.first, self.next)
        assert numbers.nbytes == sum(log.size(row[3], row[2]) for row in self.rows)
        assert log.consume(OLDEST, 100)[1] == self.rows
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.space.destroy()
            self.space.close()


TestLogMachine = LogMachine.TestCase
TestLogMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
