"""Streams of logs: what they give, from where, and what becomes of one that is overtaken."""

from __future__ import annotations

import gc
import pickle
import threading
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, LogStream, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked, until


def numbered(space: shmspace.Space, count: int, **options: Any) -> shmspace.Log:
    log = space.log("l", **options)
    log.publish([b"%d" % number for number in range(count)])
    return log


def ready(stream: LogStream) -> list[int]:
    """The offsets of all that it has without waiting; each record says its own."""
    found = list[shmspace.Record]()
    while True:
        try:
            record = stream.next(timeout=0)
        except shmspace.Empty:
            assert [record.data for record in found] == [b"%d" % record.offset for record in found]
            return [record.offset for record in found]
        found.append(record)


# From where


@pytest.mark.parametrize(("start", "first"), [(OLDEST, 10), (10, 10), (17, 17), (24, 24), (25, 25), (NEWEST, 25)])
def test_it_begins_where_it_is_told_to(space: shmspace.Space, start: int, first: int) -> None:
    log = numbered(space, 25, segment_size=10)
    stream = log.stream(start)
    assert stream.next_offset == first
    assert ready(stream) == list(range(first, 25))
    log.append(b"25")
    assert ready(stream) == [25]
    assert (stream.next_offset, stream.lost) == (26, 0)


def test_oldest_is_the_default_and_none_is_lost_by_what_comes(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    with log.stream() as stream:
        assert iter(stream) is stream
        assert next(stream).offset == 0
        log.publish([b"3", b"4"])
        assert ready(stream) == [1, 2, 3, 4]


def test_it_may_start_in_the_future(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    stream = log.stream(6)
    call = blocked(next, stream)
    log.publish([b"3", b"4", b"5"])
    call.until_blocked()
    log.append(b"6")
    assert call.result().offset == 6
    log.append(b"7")
    assert ready(stream) == [7]


def test_a_start_in_the_future_may_be_purged_when_it_comes(space: shmspace.Space) -> None:
    log = numbered(space, 3, segment_size=2)
    stream, skipping = log.stream(6), log.stream(6, lost="skip")
    log.publish([b"%d" % number for number in range(3, 11)])
    assert log.range() == (8, 10)
    with pytest.raises(shmspace.OutOfRange):
        next(stream)
    assert (ready(skipping), skipping.lost) == ([8, 9, 10], 2)


def test_newest_is_what_is_appended_from_now_on(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    stream = log.stream(NEWEST)
    assert ready(stream) == []
    call = blocked(next, stream)
    log.append(b"3")
    assert call.result().offset == 3


def test_an_empty_log_is_waited_for(space: shmspace.Space) -> None:
    log = space.log("l")
    calls = [blocked(next, log.stream(start)) for start in (OLDEST, NEWEST, 0)]
    log.append(b"0")
    assert [call.result().offset for call in calls] == [0, 0, 0]


# Waiting


def test_a_timeout_ends_in_empty_and_the_stream_goes_on(space: shmspace.Space) -> None:
    log = numbered(space, 1)
    stream = log.stream(timeout=0.01)
    assert next(stream).offset == 0
    for _ in range(2):
        with pytest.raises(shmspace.Empty):
            next(stream)
    log.append(b"1")
    assert next(stream).offset == 1


def test_the_timeout_of_a_call_comes_first(space: shmspace.Space) -> None:
    log = space.log("l")
    with pytest.raises(shmspace.Empty):
        log.stream(timeout=1000).next(timeout=0.01)
    with pytest.raises(shmspace.Empty):
        log.stream().next(timeout=0)
    call = blocked(log.stream(timeout=0).next, timeout=1000)
    log.append(b"0")
    assert call.result().offset == 0
    assert log.stream(timeout=0).next(timeout=0).offset == 0


def test_a_record_of_another_process_is_waited_for(space: shmspace.Space) -> None:
    stream = space.log("l").stream()
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        far.do("log.stream", keep="stream")
        for number in range(20):
            call = blocked(next, stream)
            far.do("log.append", b"%d" % number)
            assert call.result().value == b"%d" % number
            assert far.do("stream.next").offset == number
        far.begin("stream.next").until_blocked()
        space.log("l").append(b"20")
        assert far.result().offset == 20


def test_two_streams_do_not_know_each_other(space: shmspace.Space) -> None:
    log = numbered(space, 5)
    one, other = log.stream(), space.log("l").stream(2)
    assert [next(one).offset, next(other).offset, next(one).offset] == [0, 2, 1]
    one.close()
    assert ready(other) == [3, 4]


def test_iteration_gives_each_in_order(space: shmspace.Space) -> None:
    log = numbered(space, 2000)
    with log.stream() as stream:
        for number, record in enumerate(stream):
            assert (record.offset, record.data) == (number, b"%d" % number)
            if number == 1999:
                break


@pytest.mark.parametrize("size", [5, 100_000])
def test_threads_that_share_a_stream_share_its_records(space: shmspace.Space, size: int) -> None:
    """Each record is given to one of them, and none to nobody."""
    log = space.log("l")
    log.publish([number.to_bytes(4, "big") * (size // 4) for number in range(100)])
    stream = log.stream(timeout=0)
    start = threading.Barrier(4)

    def take() -> list[int]:
        found = []
        start.wait()
        try:
            for record in stream:
                assert record.data == record.offset.to_bytes(4, "big") * (size // 4)
                found.append(record.offset)
        except shmspace.Empty:
            return found
        raise AssertionError("the stream ended")

    calls = [Call(take) for _ in range(4)]
    taken = [call.result() for call in calls]
    assert sorted(offset for found in taken for offset in found) == list(range(100))
    assert all(found == sorted(found) for found in taken)


# key=


def test_a_key_picks_its_records_only(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.publish([Message(b"%d" % number, key) for number, key in enumerate("abacabad")])
    stream = log.stream(1, key="a")
    assert ready(stream) == [2, 4, 6]
    call = blocked(next, stream)
    log.append(b"8", key="b")
    log.append(b"9")
    call.until_blocked()
    log.append(b"10", key=b"a")
    assert call.result().offset == 10
    assert (ready(log.stream(key="none")), ready(log.stream(key=b""))) == ([], [])


# What went away


def test_deleted_records_are_left_out(space: shmspace.Space) -> None:
    log = numbered(space, 10)
    stream = log.stream()
    log.delete([1, 2, 5, 9])
    assert ready(stream) == [0, 3, 4, 6, 7, 8]
    log.append(b"10")
    assert ready(stream) == [10]


@pytest.mark.parametrize("lost", ["error", "skip"])
def test_what_is_deleted_in_front_of_it_is_left_out_and_not_counted(space: shmspace.Space, lost: str) -> None:
    log = numbered(space, 10)
    stream = log.stream(lost=lost)
    assert next(stream).offset == 0
    log.trim(before_offset=6)
    assert ready(stream) == [6, 7, 8, 9]
    log.trim(count=0)
    assert ready(stream) == []
    log.append(b"10")
    assert (ready(stream), stream.lost) == ([10], 0)


def test_deleted_before_it_waits_it_waits(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    log.delete([0, 1, 2])
    call = blocked(next, log.stream(1))
    log.append(b"3")
    assert call.result().offset == 3


@pytest.mark.parametrize("start", [0, 5, 9])
def test_a_start_below_the_log_is_out_of_range_for_good(space: shmspace.Space, start: int) -> None:
    log = numbered(space, 25, segment_size=10)

    def go() -> None:
        stream = log.stream(start)
        for _ in range(2):
            with pytest.raises(shmspace.OutOfRange):
                next(stream)
        next(stream)

    with pytest.raises(shmspace.OutOfRange) as refusal:
        go()
    assert (refusal.value.earliest, refusal.value.next) == (10, 25)


def test_being_overtaken_is_out_of_range_for_good(space: shmspace.Space) -> None:
    log = numbered(space, 20, segment_size=10)
    stream = log.stream()
    assert [next(stream).offset for _ in range(5)] == list(range(5))
    log.append(b"20")
    for _ in range(3):
        with pytest.raises(shmspace.OutOfRange) as refusal:
            next(stream)
        assert (refusal.value.earliest, refusal.value.next) == (10, 21)
        with pytest.raises(shmspace.OutOfRange):
            stream.next(timeout=0)
    log.trim(count=0)
    with pytest.raises(shmspace.OutOfRange):
        next(stream)


def test_one_at_the_edge_of_the_purge_is_not_overtaken(space: shmspace.Space) -> None:
    log = numbered(space, 20, segment_size=10)
    stream = log.stream()
    for _ in range(10):
        next(stream)
    log.append(b"20")
    assert ready(stream) == list(range(10, 21))


@pytest.mark.parametrize(("start", "lost"), [(0, 10), (3, 7), (9, 1), (10, 0), (15, 0)])
def test_skipping_goes_on_at_the_earliest_and_counts(space: shmspace.Space, start: int, lost: int) -> None:
    log = numbered(space, 25, segment_size=10)
    stream = log.stream(start, lost="skip")
    assert ready(stream) == list(range(start + lost, 25))
    assert stream.lost == lost
    log.publish([b"%d" % number for number in range(25, 60)])
    assert ready(stream) == list(range(40, 60))
    assert stream.lost == lost + 15
    with pytest.raises(AttributeError):
        stream.lost = 0


def test_what_a_stream_that_skips_gave_and_lost_is_all_there_was(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=16)
    stream = log.stream(0, lost="skip")
    over, total = threading.Event(), 20_000

    def append() -> None:
        for number in range(total):
            log.append(b"%d" % number)
        over.set()

    call, found = Call(append), list[int]()
    while not over.is_set():
        found += ready(stream)
    found += ready(stream)
    call.result()
    assert found == sorted(set(found))
    assert len(found) + stream.lost == total
    assert found[-1] == total - 1


# The end


@pytest.mark.parametrize("start", [OLDEST, NEWEST, 100])
def test_closing_from_another_thread_ends_it(space: shmspace.Space, start: int) -> None:
    stream = space.log("l").stream(start)
    calls = [blocked(lambda: list(stream)), blocked(stream.next, timeout=1000) if start == 100 else None]
    stream.close()
    stream.close()
    assert calls[0] is not None
    assert calls[0].result() == []
    if calls[1] is not None:
        with pytest.raises(StopIteration):
            calls[1].result()
    assert stream.closed
    for _ in range(2):
        with pytest.raises(StopIteration):
            next(stream)
        with pytest.raises(StopIteration):
            stream.next(timeout=0)


def test_a_closed_stream_gives_nothing_that_is_there(space: shmspace.Space) -> None:
    log = numbered(space, 5)
    with log.stream() as stream:
        assert (next(stream).offset, stream.closed) == (0, False)
    assert (list(stream), stream.closed, log.closed) == ([], True, False)


def ends(space: shmspace.Space, log: shmspace.Log, how: str) -> None:
    {"close": log.close, "close the space": space.close, "drop": log.drop, "destroy": space.destroy}[how]()


@pytest.mark.parametrize("how", ["close", "close the space", "drop", "destroy"])
def test_the_end_of_its_log_is_closed(space_name: str, how: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        log = numbered(space, 3)
        idle = log.stream()
        calls = [blocked(next, log.stream(NEWEST)), blocked(log.stream(100).next, timeout=1000)]
        ends(space, log, how)
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()
        with pytest.raises(shmspace.Closed):
            next(idle)
        if how == "close":
            assert idle.closed
        idle.close()


def test_a_drop_by_another_process_is_closed(space: shmspace.Space) -> None:
    call = blocked(next, space.log("l").stream())
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        far.do("log.drop")
    with pytest.raises(shmspace.Closed):
        call.result()


def test_a_stream_is_not_pickled(space: shmspace.Space) -> None:
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(space.log("l").stream())


def test_a_repr_tells_the_log(space: shmspace.Space) -> None:
    stream = numbered(space, 3).stream(2)
    for part in ("LogStream", "'l'", space.name, "2"):
        assert part in repr(stream)
    stream.close()
    assert "closed" in repr(stream)


@pytest.mark.parametrize(
    ("lost", "error"), [("ignore", ValueError), ("", ValueError), (None, TypeError), (1, TypeError)]
)
def test_what_to_do_about_losses_is_checked(space: shmspace.Space, lost: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="lost"):
        space.log("l").stream(lost=lost)


def test_forgotten_streams_cost_nothing(space: shmspace.Space) -> None:
    log = numbered(space, 3)
    for _ in range(3):
        next(log.stream())
    gc.collect()
    before = (len(gc.get_objects()), space.stat().used)
    for _ in range(2000):
        next(log.stream())
    gc.collect()
    assert len(gc.get_objects()) < before[0] + 500
    assert space.stat().used == before[1]
    kept = log.stream(NEWEST)
    until(lambda: not kept.closed)
