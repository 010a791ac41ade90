"""Property: read, read_batch, consume and stream agree on what there is, from every offset, in pieces of every size."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

import shmspace
from shmspace import OLDEST, LogStream, Message
from tests.helpers.leftovers import unique_name

KEYS = (None, b"a", b"b")


def ready(stream: LogStream) -> list[shmspace.Record]:
    """All that it has without waiting."""
    found = list[shmspace.Record]()
    with stream:
        while True:
            try:
                found.append(stream.next(timeout=0))
            except shmspace.Empty:
                return found


@settings(max_examples=60, deadline=None)
@given(
    segment=st.integers(1, 6),
    start=st.sampled_from([0, 3]),
    batches=st.lists(st.integers(1, 7), max_size=6),
    deleted=st.sets(st.integers(0, 45), max_size=15),
    count=st.integers(1, 5),
)
def test_all_ways_of_reading_agree(segment: int, start: int, batches: list[int], deleted: set[int], count: int) -> None:
    with shmspace.open(unique_name("ways"), size="1M") as space:
        log = space.log("l", segment_size=segment, start_offset=start, key_index=True)
        for size in batches:
            log.publish([Message(bytes(40 * size), KEYS[(log.next_offset + place) % 3]) for place in range(size)])
        log.delete(deleted)
        try:
            agree(log, start, count)
        finally:
            space.destroy()


def agree(log: shmspace.Log, start: int, count: int) -> None:
    there = dict[int, shmspace.Record]()
    for offset in range(start, log.next_offset):
        try:
            there[offset] = log.read(offset)
        except shmspace.OutOfRange as refusal:
            if there or refusal.earliest != log.stat().first:
                raise
        except shmspace.NotFound:
            assert there, "with older ones still there"
    assert log.range() == ((min(there), max(there)) if there else None)
    for offset in range(log.stat().first, log.next_offset + 1):
        rest = [record for at, record in there.items() if at >= offset]
        batch, (following, records) = log.read_batch(offset, count), log.consume(offset, count)
        assert batch == records == rest[:count]
        assert batch.next_offset == following
        assert batch.at_end == (following == log.next_offset)
        assert batch.at_end or len(batch) == count
        assert ready(log.stream(offset)) == rest
        walked, at = list[shmspace.Record](), offset
        while at < log.next_offset:
            at, more = log.consume(at, count)
            walked += more
        assert walked == rest
        for key in KEYS[1:]:
            mine = [record for record in rest if record.key == key]
            following, records = log.consume(offset, count, key=key)
            assert records == mine[:count]
            assert following == (records[-1].offset + 1 if records else log.next_offset)
            assert ready(log.stream(offset, key=key)) == mine
    for offset in range(start, log.stat().first):
        assert log.consume(offset, count) == log.consume(OLDEST, count)
