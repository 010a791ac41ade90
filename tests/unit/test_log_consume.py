"""consume of logs: lenient about where it starts, and a wait for what comes."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def numbered(space: shmspace.Space, count: int, **options: Any) -> shmspace.Log:
    log = space.log("l", **options)
    log.publish([b"%d" % number for number in range(count)])
    return log


def taken(log: shmspace.Log, offset: int, *args: Any, **options: Any) -> tuple[int, list[int]]:
    """Where to go on, and the offsets; each record says its own."""
    position, records = log.consume(offset, *args, **options)
    assert type(records) is list
    found = [record.offset for record in records]
    assert [record.data for record in records] == [b"%d" % offset for offset in found]
    return position, found


@pytest.mark.parametrize(
    ("offset", "count", "position", "found"),
    [
        (OLDEST, 3, 13, [10, 11, 12]),
        (0, 3, 13, [10, 11, 12]),
        (9, 1, 11, [10]),
        (10, 1, 11, [10]),
        (10, 10, 20, list(range(10, 20))),
        (15, 8, 23, list(range(15, 23))),
        (10, 14, 24, list(range(10, 24))),
        (10, 15, 25, list(range(10, 25))),
        (10, 1 << 70, 25, list(range(10, 25))),
        (24, 1, 25, [24]),
        (24, 9, 25, [24]),
        (25, 1, 25, []),
        (NEWEST, 5, 25, []),
    ],
)
def test_every_boundary(space: shmspace.Space, offset: int, count: int, position: int, found: list[int]) -> None:
    log = numbered(space, 25, segment_size=10)
    assert taken(log, offset, min(count, (1 << 63) - 1)) == (position, found)


def test_thirty_two_at_a_time(space: shmspace.Space) -> None:
    assert taken(numbered(space, 40), 3) == (35, list(range(3, 35)))


@pytest.mark.parametrize("offset", [26, 100, (1 << 63) - 1])
@pytest.mark.parametrize("timeout", [0, 0.01, None])
def test_beyond_the_end_is_the_future(space: shmspace.Space, offset: int, timeout: float | None) -> None:
    log = numbered(space, 25, segment_size=10)
    with pytest.raises(shmspace.FutureOffset, match=str(offset)):
        log.consume(offset, timeout=timeout)


@pytest.mark.parametrize("offset", [OLDEST, NEWEST, 0])
def test_an_empty_log_gives_nothing(space: shmspace.Space, offset: int) -> None:
    log = space.log("l")
    assert log.consume(offset) == (0, [])
    with pytest.raises(shmspace.FutureOffset):
        log.consume(1)


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError), (1.0, TypeError)])
def test_a_wrong_count_is_refused(space: shmspace.Space, count: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="max_count"):
        numbered(space, 5).consume(0, count)


def test_deleted_ones_are_skipped(space: shmspace.Space) -> None:
    log = numbered(space, 20, segment_size=10)
    log.delete([0, 1, 5, 9, 10, 11, 18, 19])
    assert taken(log, OLDEST, 2) == (4, [2, 3])
    assert taken(log, 0, 4) == (7, [2, 3, 4, 6])
    assert taken(log, 5, 1) == (7, [6])
    assert taken(log, 7, 4) == (14, [7, 8, 12, 13])
    position, found = taken(log, 14, 9)
    assert found == [14, 15, 16, 17]
    assert taken(log, position) == (20, [])
    log.append(b"20")
    assert taken(log, position) == (21, [20])


def test_a_log_with_everything_deleted_goes_on_at_the_end(space: shmspace.Space) -> None:
    log = numbered(space, 15, segment_size=10)
    log.trim(count=0)
    for offset in (OLDEST, NEWEST, 0, 7, 15):
        assert log.consume(offset) == (15, [])


def test_consuming_goes_through_the_whole_log(space: shmspace.Space) -> None:
    for count in (1, 2, 3, 7, 100):
        log = numbered(space, 47, segment_size=30)
        found, at = list[int](), 0
        while at < log.next_offset:
            at, more = taken(log, at, count)
            found += more
        assert found == list(range(47))
        log.drop()


# key=


def keyed(space: shmspace.Space, keys: str, **options: Any) -> shmspace.Log:
    log = space.log("l", key_index=True, **options)
    log.publish([Message(b"%d" % number, key) for number, key in enumerate(keys)])
    return log


def test_a_key_picks_its_records_only(space: shmspace.Space) -> None:
    log = keyed(space, "abacabad")
    assert taken(log, 0, key="a") == (7, [0, 2, 4, 6])
    assert taken(log, OLDEST, key=b"a") == (7, [0, 2, 4, 6])
    assert taken(log, 1, 2, key="a") == (5, [2, 4])
    assert taken(log, 5, 2, key="a") == (7, [6])
    assert taken(log, 7, key="a") == (8, [])
    assert taken(log, 0, key="d") == (8, [7])
    assert taken(log, 0, key="none") == (8, [])
    assert taken(log, 3, 1, key="b") == (6, [5])
    assert taken(log, NEWEST, key="a") == (8, [])


def test_a_key_is_found_behind_a_purge_and_among_deletions(space: shmspace.Space) -> None:
    log = keyed(space, "ab" * 13, segment_size=10)
    log.delete([12, 15])
    assert taken(log, 0, 3, key="a") == (17, [10, 14, 16])
    assert taken(log, OLDEST, 3, key="b") == (18, [11, 13, 17])
    assert taken(log, 20, key="b") == (26, [21, 23, 25])


def test_an_empty_key_is_a_key(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.publish([b"0", Message(b"1", ""), b"2", Message(b"3", b"")])
    assert taken(log, 0, key="") == (4, [1, 3])


def test_keys_with_the_same_beginning_are_told_apart(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.publish([Message(b"%d" % size, b"k" * size) for size in range(200)])
    for size in (1, 31, 63, 64, 65, 199):
        assert taken(log, 0, key=b"k" * size) == (size + 1, [size])


def test_a_key_needs_the_index(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    with pytest.raises(shmspace.NoIndex, match="key_index"):
        log.consume(0, key="k")
    with pytest.raises(shmspace.NoIndex):
        log.stream(key="k")
    log.drop()
    with pytest.raises(TypeError):
        keyed(space, "a").consume(0, key=7)  # type: ignore[arg-type]


# timeout=


@pytest.mark.parametrize(("offset", "keys"), [(OLDEST, ""), (0, ""), (NEWEST, ""), (NEWEST, "abc"), (3, "abc")])
@pytest.mark.parametrize("timeout", [None, 60])
def test_it_waits_for_a_record(space: shmspace.Space, offset: int, keys: str, timeout: float | None) -> None:
    log = keyed(space, keys)
    call = blocked(taken, log, offset, timeout=timeout)
    log.append(b"%d" % len(keys))
    assert call.result() == (len(keys) + 1, [len(keys)])


def test_what_is_there_is_given_at_once(space: shmspace.Space) -> None:
    log = keyed(space, "ab")
    for timeout in (0, None, 1000):
        assert taken(log, 0, timeout=timeout) == (2, [0, 1])
        assert taken(log, 0, timeout=timeout, key="b") == (2, [1])


@pytest.mark.parametrize("offset", [OLDEST, NEWEST, 2])
def test_expiry_gives_no_records_and_no_error(space: shmspace.Space, offset: int) -> None:
    log = keyed(space, "ab")
    start = 2 if offset == OLDEST else offset
    assert log.consume(start, timeout=0.01) == (2, [])
    assert log.consume(start, key="a", timeout=0.01) == (2, [])


def test_only_a_record_of_the_key_ends_the_wait(space: shmspace.Space) -> None:
    log = keyed(space, "aa", segment_size=4)
    calls = [blocked(taken, log, offset, key="b", timeout=None) for offset in (OLDEST, 0, 2, NEWEST)]
    for number in range(2, 20):
        log.append(b"%d" % number, key="a")
    for call in calls:
        call.until_blocked()
    log.append(b"20", key="b")
    assert [call.result() for call in calls] == [(21, [20])] * 4


def test_a_record_of_another_process_ends_the_wait(space: shmspace.Space) -> None:
    log = space.log("l")
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        call = blocked(taken, log, 0, timeout=None)
        far.do("log.append", b"0")
        assert call.result() == (1, [0])
        far.begin("log.consume", 1, timeout=None).until_blocked()
        log.append(b"1")
        position, (record,) = far.result()
        assert (position, record.offset, record.value) == (2, 1, b"1")


def test_all_who_wait_see_it(space: shmspace.Space) -> None:
    log = numbered(space, 1)
    calls = [blocked(taken, log, 1, timeout=None) for _ in range(20)]
    log.publish([b"1", b"2"])
    assert [call.result() for call in calls] == [(3, [1, 2])] * 20


def test_a_wait_outlives_purge_and_deletion(space: shmspace.Space) -> None:
    """Who waits at the end is not bothered by what becomes of the past."""
    log = keyed(space, "a" * 5, segment_size=2)
    call = blocked(taken, log, 5, key="b", timeout=None)
    log.trim(count=0)
    log.publish([Message(b"%d" % number, "a") for number in range(5, 12)])
    log.trim(count=0)
    call.until_blocked()
    log.append(b"12", key="b")
    assert call.result() == (13, [12])
