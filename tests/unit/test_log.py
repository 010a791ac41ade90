"""Appending to logs: what a record is, what is refused, and that a batch goes in whole or not at all."""

from __future__ import annotations

import array
import itertools
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import shmspace
from shmspace import Message, Record
from tests.helpers.peer_puppet import Puppet

NOON = datetime(2026, 2, 3, 12, tzinfo=timezone.utc)
NOON_NS = 1770120000 * 10**9


# What a record is


def test_a_record_is_a_tuple_of_offset_time_key_and_data(space: shmspace.Space) -> None:
    log = space.log("l")
    assert log.append(b"data", key=b"key", time=17) == 0
    record = log.read(0)
    assert record == (0, 17, b"key", b"data")
    assert record == Record(0, 17, b"key", b"data")
    assert (record.offset, record.time, record.key, record.data) == (0, 17, b"key", b"data")
    offset, stamp, key, data = record
    assert (type(offset), type(stamp), type(key), type(data)) == (int, int, bytes, bytes)
    assert isinstance(record, tuple)


def test_offsets_rise_by_one(space: shmspace.Space) -> None:
    log = space.log("l")
    assert log.next_offset == 0
    assert [log.append(b"x") for _ in range(5)] == list(range(5))
    assert (log.next_offset, log.range()) == (5, (0, 4))


@pytest.mark.parametrize("start", [1, 7, 1 << 31, (1 << 32) - 2, 1 << 32, (1 << 62) + 1])
def test_offsets_begin_where_they_are_told_to(space: shmspace.Space, start: int) -> None:
    log = space.log("l", start_offset=start, segment_size=3, time_index=True, key_index=True)
    assert (log.next_offset, log.range()) == (start, None)
    assert [log.append(b"%d" % i, key=b"k", time=i) for i in range(4)] == list(range(start, start + 4))
    assert (log.next_offset, log.range()) == (start + 4, (start, start + 3))
    assert log.publish([b"4", b"5", b"6"]) == start + 7
    assert log.range() == (start + 3, start + 6)
    assert [log.read(start + i).data for i in range(3, 7)] == [b"3", b"4", b"5", b"6"]
    assert [record.offset for record in log.read_batch(start + 3, 9)] == list(range(start + 3, start + 7))
    assert log.consume(start, 2) == (start + 5, log.read_batch(start + 3, 2))
    assert (log.offset_by_key(b"k"), log.offset_by_time(3)[0]) == (start + 3, start + 3)
    assert log.delete([start + 4]).offsets == [start + 4]
    with log.stream(start + 3) as stream:
        assert [stream.next(timeout=0).offset for _ in range(3)] == [start + 3, start + 5, start + 6]
    with pytest.raises(shmspace.OutOfRange) as refusal:
        log.read(start)
    assert (refusal.value.earliest, refusal.value.next) == (start + 3, start + 7)
    with pytest.raises(shmspace.FutureOffset):
        log.read(start + 7)


@pytest.mark.parametrize("data", [b"", b"x", bytes(range(256)) * 40, bytes(100_000)], ids=len)
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview, lambda data: array.array("B", data)])
def test_any_bytes_like_object_is_data(space: shmspace.Space, data: bytes, kind: Any) -> None:
    log = space.log("l")
    given = kind(data)
    assert log.append(given) == 0
    assert log.publish([given, Message(given, b"k")]) == 3
    assert [log.read(offset).data for offset in range(3)] == [data] * 3
    assert bytes(given) == data


def test_data_is_copied_in(space: shmspace.Space) -> None:
    log = space.log("l")
    buffer = bytearray(b"before")
    log.append(buffer)
    log.publish([buffer])
    buffer[:] = b"after!"
    assert [log.read(0).data, log.read(1).data] == [b"before"] * 2


def test_empty_data_is_legal_and_differs_from_none(space: shmspace.Space) -> None:
    log = space.log("l")
    log.append(b"", key=b"k")
    log.append(None, key=b"k")
    log.publish([Message(b"", b"k"), Message(None, b"k")])
    assert [log.read(offset).data for offset in range(4)] == [b"", None, b"", None]


def test_an_empty_key_differs_from_none(space: shmspace.Space) -> None:
    log = space.log("l", key_index=True)
    log.append(b"empty", key=b"")
    log.append(b"none")
    log.publish([Message(b"text", ""), Message(b"none"), b"none"])
    assert [log.read(offset).key for offset in range(5)] == [b"", None, b"", None, None]
    assert log.offset_by_key(b"") == log.offset_by_key("") == 2


@pytest.mark.parametrize("key", ["text", "grüße", b"\xff\0", "k" * 5000, b"k" * 40])
def test_a_key_is_text_or_bytes_and_comes_back_as_bytes(space: shmspace.Space, key: str | bytes) -> None:
    log = space.log("l", key_index=True)
    log.append(b"x", key=key)
    log.publish([Message(b"y", key)])
    stored = key.encode() if isinstance(key, str) else key
    assert [log.read(offset).key for offset in (0, 1)] == [stored] * 2
    assert log.read_by_key(key) == log.read_by_key(stored) == log.read(1)


@pytest.mark.parametrize("key", [7, 1.5, ["k"], object()])
def test_a_key_of_another_type_is_refused(space: shmspace.Space, key: Any) -> None:
    log = space.log("l")
    with pytest.raises(TypeError):
        log.append(b"x", key=key)
    with pytest.raises(TypeError):
        log.publish([b"good", Message(b"x", key)])
    assert log.range() is None


# Times


def test_a_record_without_a_time_gets_the_time_it_was_appended(space: shmspace.Space) -> None:
    log = space.log("l")
    before = time.time_ns()
    log.append(b"x")
    log.publish([b"y", b"z"])
    after = time.time_ns()
    stamps = [log.read(offset).time for offset in range(3)]
    # Stamps of a space may run ahead of the clock by as many nanoseconds as there were stamps.
    assert before - 1000 <= stamps[0] < stamps[1] < stamps[2] <= after + 1000


@pytest.mark.parametrize("when", [0, 1, NOON_NS, (1 << 63) - 1])
def test_a_time_is_nanoseconds(space: shmspace.Space, when: int) -> None:
    log = space.log("l")
    log.append(b"x", time=when)
    log.publish([Message(b"y", time=when)])
    assert [log.read(offset).time for offset in (0, 1)] == [when] * 2


def test_a_time_is_an_aware_datetime(space: shmspace.Space) -> None:
    log = space.log("l")
    elsewhere = NOON.astimezone(timezone(timedelta(hours=5, minutes=30)))
    log.append(b"x", time=NOON)
    log.publish([Message(b"y", time=elsewhere), Message(b"z", time=NOON + timedelta(microseconds=1))])
    assert [log.read(offset).time - NOON_NS for offset in range(3)] == [0, 0, 1000]
    created = log.read(0).created
    assert (created, created.utcoffset()) == (NOON, timedelta(0))


@pytest.mark.parametrize(
    ("when", "error"),
    [(datetime(2026, 1, 1), ValueError), (1.5, TypeError), ("now", TypeError), (1 << 64, (ValueError, OverflowError))],
)
def test_a_time_that_is_none_is_refused(space: shmspace.Space, when: Any, error: Any) -> None:
    log = space.log("l")
    with pytest.raises(error):
        log.append(b"x", time=when)
    with pytest.raises(error):
        log.publish([b"good", Message(b"x", time=when)])
    assert log.range() is None


def test_stamps_strictly_increase_across_processes(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=500)
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        for turn in range(50):
            far.begin("log.publish", [b"far"] * 3)
            log.append(b"near")
            space.log("other").append(b"x")
            far.result()
            if turn % 5 == 0:
                far.do("log.append", b"far")
    stamps = [record.time for record in log.read_batch(0, 1000)]
    assert len(stamps) == 210
    assert all(earlier < later for earlier, later in itertools.pairwise(stamps))


def test_times_given_by_the_user_may_go_back(space: shmspace.Space) -> None:
    log = space.log("l")
    for when in (5, 3, 9, 9, 0):
        log.append(b"x", time=when)
    assert [record.time for record in log.read_batch(0, 9)] == [5, 3, 9, 9, 0]


# publish


def test_publish_is_consecutive_and_returns_the_next_offset(space: shmspace.Space) -> None:
    log = space.log("l")
    assert log.publish([b"a", Message(b"b", "k", 7), Message(b"c"), Message(b"d", time=9), Message(None, b"e")]) == 5
    assert log.publish([b"f"]) == 6
    batch = log.read_batch(0, 9)
    assert [record.offset for record in batch] == list(range(6))
    assert [record.data for record in batch] == [b"a", b"b", b"c", b"d", None, b"f"]
    assert [record.key for record in batch] == [None, b"k", None, None, b"e", None]
    assert (batch[1].time, batch[3].time) == (7, 9)


def test_publish_of_nothing_gives_the_next_offset(space: shmspace.Space) -> None:
    log = space.log("l", start_offset=5)
    assert log.publish([]) == 5
    log.append(b"x")
    assert log.publish(()) == 6
    assert log.range() == (5, 5)


def test_publish_takes_any_iterable(space: shmspace.Space) -> None:
    def values() -> Iterator[bytes]:
        yield from (b"%d" % i for i in range(5))

    log = space.log("l")
    assert log.publish(values()) == 5
    assert log.publish((b"5", b"6")) == 7
    assert [record.data for record in log.read_batch(0, 9)] == [b"%d" % i for i in range(7)]


def test_the_callers_list_is_left_alone(space: shmspace.Space) -> None:
    log = space.log("l", codec="auto")
    inner = [1, 2]
    messages = [b"a", inner, Message({"a": 1}, "k"), Message(None, "k", NOON)]
    kept, items = list(messages), [id(item) for item in messages]
    log.publish(messages)
    assert messages == kept
    assert [id(item) for item in messages] == items
    assert inner == [1, 2]
    with pytest.raises(shmspace.CodecError):
        log.publish([*messages, object()])
    assert messages == kept


def test_a_message_has_defaults() -> None:
    assert Message(b"x") == Message(b"x", None, None) == (b"x", None, None)
    assert Message(b"x", key="k", time=3) == (b"x", "k", 3)


@pytest.mark.parametrize("place", [0, 2, 4])
@pytest.mark.parametrize(
    ("bad", "error"),
    [
        ("text", shmspace.CodecError),
        (bytes(5001), shmspace.TooLarge),
        (Message(7), shmspace.CodecError),
        (Message(bytes(5001), "k"), shmspace.TooLarge),
        (Message(b"x", 7), TypeError),  # type: ignore[arg-type]
        (Message(b"x", None, "now"), TypeError),  # type: ignore[arg-type]
    ],
    ids=["text", "too large", "message of text", "too large message", "key", "time"],
)
def test_one_bad_value_and_nothing_happened(
    space: shmspace.Space, bad: Any, error: type[Exception], place: int
) -> None:
    log = space.log("l", segment_size=3, max_record=5000, key_index=True, time_index=True)
    log.publish([b"there", Message(b"too", "key")])
    before = (log.stat(), log.read_batch(0, 9))
    messages: list[Any] = [Message(b"good", "key")] * 4
    messages.insert(place, bad)
    with pytest.raises(error):
        log.publish(messages)
    assert (log.stat(), log.read_batch(0, 9)) == before
    assert log.read_by_key("key").data == b"too"
    assert log.append(b"after") == 2


def test_an_iterable_that_fails_publishes_nothing(space: shmspace.Space) -> None:
    def values() -> Iterator[bytes]:
        yield b"first"
        raise KeyError("halfway")

    log = space.log("l")
    with pytest.raises(KeyError, match="halfway"):
        log.publish(values())
    assert (log.range(), log.append(b"x")) == (None, 0)


# TooLarge


def test_a_record_over_max_record_is_too_large(space: shmspace.Space) -> None:
    log = space.log("l", max_record=1000, key_index=True)
    assert log.append(bytes(1000)) == 0
    with pytest.raises(shmspace.TooLarge, match=r"1,?001.*1,?000"):
        log.append(bytes(1001))
    with pytest.raises(shmspace.TooLarge):
        log.append(bytes(100_000), key=b"k")
    assert (log.next_offset, log.append(bytes(1000))) == (1, 1)
    with pytest.raises(shmspace.NotFound):
        log.read_by_key(b"k")


@pytest.mark.parametrize("key", [None, b"", b"k" * 600])
def test_what_size_says_is_freed_when_it_is_deleted(space: shmspace.Space, key: bytes | None) -> None:
    log = space.log("l", key_index=True)
    for data in (b"", b"x", bytes(5000), None):
        before = log.stat().nbytes
        offset = log.append(data, key=key)
        assert log.stat().nbytes - before == log.size(data, key)
        assert log.delete([offset]) == ([offset], log.size(data, key))
        assert log.stat().nbytes == before


def test_a_key_and_more_data_take_more(space: shmspace.Space) -> None:
    log = space.log("l")
    assert log.size(bytes(100)) >= 100
    assert log.size(bytes(101)) > log.size(bytes(100))
    assert log.size(bytes(100), b"k" * 100) >= 200
    assert log.size(b"", "ü") == log.size(b"", b"kk")


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_an_impossible_timeout_is_a_value_error(space: shmspace.Space, timeout: float) -> None:
    log = space.log("l")
    with pytest.raises(ValueError, match="timeout"):
        log.append(b"x", timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        log.publish([b"x"], timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        log.consume(0, timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        log.stream(timeout=timeout).next()
    with pytest.raises(ValueError, match="timeout"):
        log.stream().next(timeout=timeout)
    assert log.range() is None


@pytest.mark.parametrize("timeout", [None, 0, 0.5, 5])
def test_any_other_timeout_will_do(space: shmspace.Space, timeout: float | None) -> None:
    log = space.log("l")
    assert (log.append(b"x", timeout=timeout), log.publish([b"y"], timeout=timeout)) == (0, 2)
