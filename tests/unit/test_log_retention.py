"""What a log in memory keeps: two segments, and no memory for the rest."""

from __future__ import annotations

import pytest

import shmspace


def kept(appended: int, segment_size: int) -> tuple[int, int] | None:
    """The first and last offset after so many appends, as the contract has it."""
    if not appended:
        return None
    active = (appended - 1) // segment_size
    return max(0, active - 1) * segment_size, appended - 1


def test_the_example_of_the_contract() -> None:
    assert [kept(0, 10), kept(20, 10), kept(21, 10)] == [None, (0, 19), (10, 20)]


@pytest.mark.parametrize("segment_size", [1, 2, 3, 7, 10, 16, 64])
def test_two_segments_are_kept(space: shmspace.Space, segment_size: int) -> None:
    log = space.log("l", segment_size=segment_size)
    for number in range(1, 5 * segment_size + 3):
        log.append(b"%d" % (number - 1))
        bounds = kept(number, segment_size)
        assert bounds is not None
        assert log.range() == bounds
        first, last = bounds
        assert [record.data for record in log.read_batch(first, number)] == [b"%d" % i for i in range(first, last + 1)]
        assert log.stat().records == last - first + 1
        if first:
            with pytest.raises(shmspace.OutOfRange):
                log.read(first - 1)


@pytest.mark.parametrize("segment_size", [1, 2, 3, 10])
@pytest.mark.parametrize("batch", [1, 2, 3, 5, 10, 11, 20, 21, 50])
def test_a_batch_purges_as_so_many_appends_do(space: shmspace.Space, segment_size: int, batch: int) -> None:
    log = space.log("l", segment_size=segment_size)
    for turn in range(1, 8):
        total = turn * batch
        assert log.publish([b"%d" % i for i in range(total - batch, total)]) == total
        bounds = kept(total, segment_size)
        assert log.range() == bounds
        assert bounds is not None
        found = [record.data for record in log.read_batch(bounds[0], total)]
        assert found == [b"%d" % i for i in range(bounds[0], total)]


def test_segments_are_counted_by_offsets_not_by_what_is_left(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=10)
    log.publish([b"x"] * 20)
    log.delete(range(5, 20))
    assert log.range() == (0, 4)
    log.append(b"x")
    assert log.range() == (20, 20)


@pytest.mark.parametrize("start", [3, 15, (1 << 32) - 15])
def test_segments_are_counted_from_the_start(space: shmspace.Space, start: int) -> None:
    log = space.log("l", segment_size=10, start_offset=start)
    log.publish([b"x"] * 20)
    assert log.range() == (start, start + 19)
    log.append(b"x")
    assert log.range() == (start + 10, start + 20)


def test_the_default_segment_holds_1024(space: shmspace.Space) -> None:
    log = space.log("l")
    log.publish([b"x"] * 2048)
    assert log.range() == (0, 2047)
    log.append(b"x")
    assert log.range() == (1024, 2048)


def test_a_log_that_goes_on_for_ever_needs_no_more_memory(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=16, key_index=True, time_index=True)
    sizes = (0, 1, 100, 5000, 30_000)

    def once_round() -> int:
        for number in range(32 * 5):
            log.append(bytes(sizes[number % 5]), key=b"k%d" % (number % 7))
        return space.stat().used

    once_round()
    before = once_round()
    assert max(once_round() for _ in range(10)) <= before + (1 << 16)


def test_other_keys_for_ever_need_no_more_memory(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=16, key_index=True)

    def once_round(turn: int) -> int:
        for number in range(64):
            log.append(b"x", key=b"%d-%d" % (turn, number) * 50)
        return space.stat().used

    before = max(once_round(turn) for turn in range(5))
    assert max(once_round(turn) for turn in range(5, 60)) <= before + (1 << 16)
    with pytest.raises(shmspace.NotFound):
        log.read_by_key(b"0-0" * 50)
