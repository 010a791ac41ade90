"""Finding records by key and by time."""

from __future__ import annotations

import random
from datetime import datetime, timezone
from itertools import accumulate
from typing import Any

import pytest

import shmspace
from shmspace import OLDEST, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded


def test_without_an_index_nothing_is_found(space: shmspace.Space) -> None:
    log = space.log("l")
    log.append(b"x", key="k", time=1)
    for call in (log.read_by_key, log.offset_by_key):
        with pytest.raises(shmspace.NoIndex, match="key_index") as refusal:
            call("k")
        assert isinstance(refusal.value, LookupError)
    for look in (log.read_by_time, log.offset_by_time):
        with pytest.raises(shmspace.NoIndex, match="time_index"):
            look(1)


# keys


def test_the_newest_with_the_key_is_found(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.publish([Message(b"%d" % number, key) for number, key in enumerate("abacab")])
    assert [log.offset_by_key(key) for key in "abc"] == [4, 5, 3]
    assert [log.read_by_key(key) for key in (b"a", "b", b"c")] == [log.read(4), log.read(5), log.read(3)]
    for key in ("d", "", b"\xff", "a" * 300):
        with pytest.raises(shmspace.NotFound, match="key") as refusal:
            log.read_by_key(key)
        assert isinstance(refusal.value, KeyError)
        with pytest.raises(shmspace.NotFound):
            log.offset_by_key(key)


def test_a_tombstone_is_the_newest_too(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.append(b"x", key="k")
    log.append(None, key="k")
    assert (log.offset_by_key("k"), log.read_by_key("k").data) == (1, None)


def test_after_deletion_the_one_before_is_the_newest(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.publish([Message(b"x", "k"), Message(b"x", "j"), Message(b"x", "k"), Message(b"x", "k")])
    for gone, found in ((3, 2), (2, 0)):
        log.delete([gone])
        assert log.offset_by_key("k") == found
    log.delete([0])
    with pytest.raises(shmspace.NotFound):
        log.offset_by_key("k")
    assert log.offset_by_key("j") == 1


def test_a_key_is_gone_with_its_segment(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True, segment_size=4)
    log.append(b"old", key="old")
    for number in range(1, 8):
        log.append(b"x", key=f"k{number % 2}")
    assert log.offset_by_key("old") == 0
    log.append(b"x", key="k")
    with pytest.raises(shmspace.NotFound):
        log.offset_by_key("old")
    assert (log.offset_by_key("k0"), log.offset_by_key("k1")) == (6, 7)


def test_no_key_and_other_types_are_not_looked_for(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.append(b"x")
    for key in (None, 7, ["k"]):
        with pytest.raises(TypeError):
            log.read_by_key(key)  # type: ignore[arg-type]


def test_every_key_is_found_as_a_dictionary_would(space: shmspace.Space) -> None:
    _, chance = seeded()
    log = space.log("l", key_index=True, segment_size=50)
    keys = [b"", b"k" * 40, b"k" * 300, *(b"key %d" % number for number in range(30))]
    rows: dict[int, bytes] = {}
    for _ in range(20):
        batch = [chance.choice(keys) for _ in range(chance.randrange(1, 30))]
        rows |= {log.next_offset + place: key for place, key in enumerate(batch)}
        log.publish([Message(b"x", key) for key in batch])
        for offset in log.delete(chance.sample(range(log.next_offset + 9), 5)).offsets:
            del rows[offset]
        first = log.consume(OLDEST, 1)[1][0].offset
        rows = {offset: key for offset, key in rows.items() if offset >= first}
        newest = {key: offset for offset, key in rows.items()}
        for key in keys:
            if key in newest:
                assert log.offset_by_key(key) == newest[key]
            else:
                with pytest.raises(shmspace.NotFound):
                    log.offset_by_key(key)


def test_another_process_finds_it(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True, time_index=True)
    log.append(b"x", key="k", time=5)
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        assert far.do("log.offset_by_key", "k") == 0
        assert far.do("log.offset_by_time", 3) == (0, 5)
        far.do("log.append", b"y", key="k", time=7)
    assert (log.offset_by_key("k"), log.offset_by_time(6)) == (1, (1, 7))


# times


def timed(space: shmspace.Space, *times: int, **options: Any) -> shmspace.Log:
    log = space.log("l", time_index=True, **options)
    log.publish([Message(b"x", time=when) for when in times])
    return log


@pytest.mark.parametrize(("when", "found"), [(0, 0), (10, 0), (11, 1), (20, 1), (21, 3), (30, 3), (31, None)])
def test_the_first_at_or_after_a_time_is_found(space: shmspace.Space, when: int, found: int | None) -> None:
    log = timed(space, 10, 20, 20, 30)
    if found is None:
        with pytest.raises(shmspace.NotFound):
            log.read_by_time(when)
        with pytest.raises(shmspace.NotFound):
            log.offset_by_time(when)
    else:
        assert log.read_by_time(when) == log.read(found)
        assert log.offset_by_time(when) == (found, log.read(found).time)


def test_an_empty_log_has_no_time(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.NotFound):
        timed(space).read_by_time(0)


def test_times_that_go_back_count_as_the_largest_so_far(space: shmspace.Space) -> None:
    times = (10, 50, 20, 30, 60, 5, 70)
    log = timed(space, *times)
    largest = list(accumulate(times, max))
    for when in range(0, 71):
        found = next(offset for offset, running in enumerate(largest) if running >= when)
        assert log.offset_by_time(when)[0] == log.read_by_time(when).offset == found
    with pytest.raises(shmspace.NotFound):
        log.read_by_time(71)


def test_the_running_maximum_outlives_the_record_it_came_from(space: shmspace.Space) -> None:
    log = timed(space, 100, 1, 2, 3, segment_size=2)
    log.publish([Message(b"x", time=4), Message(b"x", time=5)])
    assert log.range() == (2, 5)
    assert log.offset_by_time(50)[0] == 2
    log.delete([2])
    assert log.offset_by_time(50)[0] == 3
    with pytest.raises(shmspace.NotFound):
        log.offset_by_time(101)


def test_times_from_before_the_epoch_are_times(space: shmspace.Space) -> None:
    log = timed(space, -(1 << 63), -5, 5)
    assert [log.read_by_time(when).offset for when in (-(1 << 63), -6, -5, -4)] == [0, 1, 1, 2]
    assert log.read(1).created.year == 1969


def test_a_datetime_is_looked_for_too(space: shmspace.Space) -> None:
    log = space.log("l", time_index=True)
    days = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 3)]
    log.publish([Message(b"x", time=day) for day in days])
    assert [log.read_by_time(day).offset for day in days] == [0, 1, 2]
    assert log.read_by_time(days[1]).created == days[1]
    with pytest.raises(ValueError, match="time zone"):
        log.read_by_time(datetime(2026, 1, 1))


def test_deleted_ones_are_passed(space: shmspace.Space) -> None:
    log = timed(space, 10, 20, 30, 40)
    log.delete([1, 2])
    assert [log.read_by_time(when).offset for when in (5, 15, 25, 35)] == [0, 3, 3, 3]
    log.delete([3])
    with pytest.raises(shmspace.NotFound):
        log.read_by_time(15)
    assert log.read_by_time(10).offset == 0


def test_every_time_is_found_as_a_list_would(space: shmspace.Space) -> None:
    _, chance = seeded()
    log, times = timed(space, segment_size=20), list[int]()
    for _ in range(30):
        batch = [chance.randrange(1000) for _ in range(chance.randrange(1, 9))]
        times += batch
        log.publish([Message(b"x", time=when) for when in batch])
        largest = list(accumulate(times, max))
        first = log.consume(OLDEST, 1)[1][0].offset
        for when in random.Random(len(times)).sample(range(1000), 20):
            expected = next((offset for offset in range(first, len(times)) if largest[offset] >= when), None)
            if expected is None:
                with pytest.raises(shmspace.NotFound):
                    log.read_by_time(when)
            else:
                assert log.read_by_time(when).offset == expected
