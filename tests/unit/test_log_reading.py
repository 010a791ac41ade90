"""read and read_batch of logs: every boundary, every refusal with class and attributes; range, next_offset, stat."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST


def numbered(space: shmspace.Space, count: int, **options: Any) -> shmspace.Log:
    """A log of records that say their offset."""
    log = space.log("l", **options)
    for number in range(count):
        log.append(b"%d" % (number + options.get("start_offset", 0)))
    return log


def offsets(records: list[shmspace.Record]) -> list[int]:
    """Their offsets; each says its own."""
    found = [record.offset for record in records]
    assert [record.data for record in records] == [b"%d" % offset for offset in found]
    return found


# read


def test_the_constants_are_what_they_are() -> None:
    assert (OLDEST, NEWEST) == (-2, -1)


def test_read_gives_the_record_at_an_offset(space: shmspace.Space) -> None:
    log = numbered(space, 25, segment_size=10)
    assert offsets([log.read(offset) for offset in range(10, 25)]) == list(range(10, 25))


def test_oldest_and_newest_are_the_first_and_last_that_exist(space: shmspace.Space) -> None:
    log = numbered(space, 1, segment_size=10)
    assert (log.read(OLDEST).offset, log.read(NEWEST).offset) == (0, 0)
    for _ in range(24):
        log.append(b"x")
    assert (log.read(OLDEST).offset, log.read(NEWEST).offset) == (10, 24)
    log.delete([10, 11, 23, 24])
    assert (log.read(OLDEST).offset, log.read(NEWEST).offset) == (12, 22)


@pytest.mark.parametrize("offset", [OLDEST, NEWEST])
@pytest.mark.parametrize("emptied", [False, True])
def test_an_empty_log_has_no_oldest_and_no_newest(space: shmspace.Space, offset: int, emptied: bool) -> None:
    log = numbered(space, 5 if emptied else 0)
    log.trim(count=0)
    with pytest.raises(shmspace.InvalidOffset):
        log.read(offset)
    log.append(b"x")
    assert log.read(offset).data == b"x"


@pytest.mark.parametrize("offset", [-3, -4, -100, -(1 << 63)])
def test_other_negatives_are_invalid_offsets(space: shmspace.Space, offset: int) -> None:
    log = numbered(space, 5)
    calls: list[Any] = [log.read, lambda o: log.read_batch(o, 5), log.consume, log.stream, lambda o: log.delete([1, o])]
    for call in calls:
        with pytest.raises(shmspace.InvalidOffset) as refusal:
            call(offset)
        assert not isinstance(refusal.value, shmspace.FutureOffset | shmspace.OutOfRange)
        assert str(offset) in str(refusal.value)
    assert log.range() == (0, 4)


@pytest.mark.parametrize("offset", ["1", 1.0, None])
def test_an_offset_is_an_int(space: shmspace.Space, offset: Any) -> None:
    log = numbered(space, 5)
    calls: list[Any] = [log.read, lambda o: log.read_batch(o, 5), log.consume, log.stream, lambda o: log.delete([o])]
    for call in calls:
        with pytest.raises(TypeError):
            call(offset)


@pytest.mark.parametrize("offset", [5, 6, 1000, 1 << 40, (1 << 63) - 1])
def test_at_or_after_the_next_is_the_future(space: shmspace.Space, offset: int) -> None:
    log = numbered(space, 5)
    with pytest.raises(shmspace.FutureOffset, match=str(offset)) as refusal:
        log.read(offset)
    assert isinstance(refusal.value, shmspace.InvalidOffset)
    assert isinstance(refusal.value, IndexError)


def test_everything_is_the_future_of_an_empty_log(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.FutureOffset):
        space.log("l").read(0)


def test_purged_is_out_of_range_and_tells_what_there_is(space: shmspace.Space) -> None:
    log = numbered(space, 25, segment_size=10)
    for offset in (0, 5, 9):
        with pytest.raises(shmspace.OutOfRange) as refusal:
            log.read(offset)
        assert (refusal.value.earliest, refusal.value.next) == (10, 25)
        assert isinstance(refusal.value, shmspace.InvalidOffset)
        back = pickle.loads(pickle.dumps(refusal.value))
        assert (type(back), str(back), back.earliest, back.next) == (
            type(refusal.value),
            str(refusal.value),
            10,
            25,
        )


def test_below_the_start_is_out_of_range(space: shmspace.Space) -> None:
    log = numbered(space, 3, start_offset=100)
    with pytest.raises(shmspace.OutOfRange) as refusal:
        log.read(99)
    assert (refusal.value.earliest, refusal.value.next) == (100, 103)


def test_deleted_below_the_first_is_out_of_range(space: shmspace.Space) -> None:
    log = numbered(space, 10)
    log.delete([0, 1, 2])
    for offset in (0, 1, 2):
        with pytest.raises(shmspace.OutOfRange) as refusal:
            log.read(offset)
        assert (refusal.value.earliest, refusal.value.next) == (3, 10)


def test_deleted_with_older_ones_still_there_is_not_found(space: shmspace.Space) -> None:
    log = numbered(space, 10)
    log.delete([3, 9])
    for offset in (3, 9):
        with pytest.raises(shmspace.NotFound, match=str(offset)) as refusal:
            log.read(offset)
        assert isinstance(refusal.value, KeyError)
    log.delete([0, 1, 2])
    with pytest.raises(shmspace.OutOfRange):
        log.read(3)
    with pytest.raises(shmspace.NotFound):
        log.read(9)


def test_when_all_are_deleted_the_last_is_out_of_range_and_the_next_the_future(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    log.delete(range(3))
    with pytest.raises(shmspace.OutOfRange) as refusal:
        log.read(2)
    assert (refusal.value.earliest, refusal.value.next) == (3, 3)
    with pytest.raises(shmspace.FutureOffset):
        log.read(3)


# read_batch


@pytest.mark.parametrize(
    ("offset", "count", "found", "next_offset", "at_end"),
    [
        (10, 1, [10], 11, False),
        (10, 5, [10, 11, 12, 13, 14], 15, False),
        (18, 4, [18, 19, 20, 21], 22, False),
        (10, 15, list(range(10, 25)), 25, True),
        (10, 14, list(range(10, 24)), 24, False),
        (10, 1 << 40, list(range(10, 25)), 25, True),
        (20, 5, [20, 21, 22, 23, 24], 25, True),
        (24, 1, [24], 25, True),
        (24, 9, [24], 25, True),
        (25, 1, [], 25, True),
    ],
)
def test_a_batch_is_what_there_is(
    space: shmspace.Space, offset: int, count: int, found: list[int], next_offset: int, at_end: bool
) -> None:
    batch = numbered(space, 25, segment_size=10).read_batch(offset, count)
    assert (offsets(batch), batch.next_offset, batch.at_end) == (found, next_offset, at_end)
    assert isinstance(batch, list)
    assert isinstance(batch, shmspace.Batch)


@pytest.mark.parametrize("offset", [26, 100, 1 << 40])
def test_a_batch_of_any_later_offset_is_empty(space: shmspace.Space, offset: int) -> None:
    """It is to be gone on with where it was to begin, which is not the end of the log."""
    batch = numbered(space, 25, segment_size=10).read_batch(offset, 5)
    assert (batch, batch.next_offset, batch.at_end) == ([], offset, False)


@pytest.mark.parametrize("offset", [0, 9, 10, 24, 25, 26, 1 << 40])
def test_a_batch_of_none_is_empty_whatever_the_offset(space: shmspace.Space, offset: int) -> None:
    assert numbered(space, 25, segment_size=10).read_batch(offset, 0) == []


@pytest.mark.parametrize("offset", [0, 9])
def test_a_purged_start_is_out_of_range(space: shmspace.Space, offset: int) -> None:
    log = numbered(space, 25, segment_size=10)
    with pytest.raises(shmspace.OutOfRange) as refusal:
        log.read_batch(offset, 100)
    assert (refusal.value.earliest, refusal.value.next) == (10, 25)


def test_a_negative_count_is_a_value_error(space: shmspace.Space) -> None:
    log = numbered(space, 5)
    with pytest.raises(ValueError, match="max_count"):
        log.read_batch(0, -1)
    with pytest.raises(TypeError):
        log.read_batch(0, 1.5)  # type: ignore[arg-type]


def test_a_batch_skips_what_was_deleted(space: shmspace.Space) -> None:
    log = numbered(space, 20, segment_size=10)
    log.delete([5, 6, 9, 10, 19])
    batch = log.read_batch(4, 5)
    assert (offsets(batch), batch.at_end) == ([4, 7, 8, 11, 12], False)
    assert offsets(log.read_batch(batch.next_offset, 3)) == [13, 14, 15]
    last = log.read_batch(16, 9)
    assert (offsets(last), last.next_offset, last.at_end) == ([16, 17, 18], 20, True)
    assert offsets(log.read_batch(5, 2)) == [7, 8]


def test_batches_go_through_the_whole_log(space: shmspace.Space) -> None:
    for count in (1, 2, 3, 7, 100):
        log = numbered(space, 47, segment_size=30)
        found, at = list[int](), 0
        while True:
            batch = log.read_batch(at, count)
            found += offsets(batch)
            at = batch.next_offset
            if batch.at_end:
                break
        assert (found, at) == (list(range(47)), 47)
        log.drop()


# range, next_offset, stat


def test_the_range_is_first_and_last_that_exist(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=10)
    assert (log.range(), log.next_offset) == (None, 0)
    log.append(b"x")
    assert (log.range(), log.next_offset) == ((0, 0), 1)
    for _ in range(20):
        log.append(b"x")
    assert (log.range(), log.next_offset) == ((10, 20), 21)
    log.delete([10, 20, 19, 13])
    assert (log.range(), log.next_offset) == ((11, 18), 21)
    log.delete(range(30))
    assert (log.range(), log.next_offset) == (None, 21)
    log.append(b"x")
    assert (log.range(), log.next_offset) == ((21, 21), 22)


def test_stat_counts(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=10)
    empty = log.stat()
    assert (empty.records, empty.nbytes, empty.next_offset) == (0, 0, 0)
    for _ in range(5):
        log.append(b"data", key="key")
    full = log.stat()
    assert (full.segments, full.records, full.first, full.next_offset) == (1, 5, 0, 5)
    assert full.nbytes == 5 * log.size(b"data", "key")
    for _ in range(20):
        log.append(b"")
    later = log.stat()
    assert (later.segments, later.records, later.first, later.next_offset) == (2, 15, 10, 25)
    assert later.nbytes == 15 * log.size(b"")
    log.delete([10, 12])
    assert (log.stat().records, log.stat().first, log.stat().nbytes) == (13, 11, 13 * log.size(b""))
    assert isinstance(later, shmspace.LogStat)
    assert later._fields == ("segments", "records", "nbytes", "first", "next_offset", "durable_offset")
