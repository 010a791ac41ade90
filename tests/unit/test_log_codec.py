"""The values of records: what each codec carries and refuses, and that None is a tombstone whatever the codec."""

from __future__ import annotations

from datetime import datetime, timezone
from typing import Any

import pytest

import shmspace
from shmspace import Message

NOON = datetime(2026, 2, 3, 12, tzinfo=timezone.utc)
CARRIED: list[tuple[str, Any]] = [
    *(("auto", value) for value in (True, 0, -(1 << 63), 0.5, "", "grüße", [1, [2]], {"a": [1]}, (1, "b"), b"", NOON)),
    *(("raw", value) for value in (b"", b"abc")),
    *(("json", value) for value in ([1, 2.5], {"a": None}, "text")),
    *(("msgpack", value) for value in ([1, 2.5], {"a": b"x"}, "text")),
    *(("pickle", value) for value in ({1, 2}, 1j, (1, (2,)), {(1, 2): 3})),
]


@pytest.mark.parametrize(("codec", "value"), CARRIED, ids=repr)
def test_values_come_back_as_they_were(space: shmspace.Space, codec: str, value: Any) -> None:
    log = space.log("l", codec=codec, key_index=True, time_index=True)
    log.append(value, key="k", time=5)
    log.publish([value, Message(value, "k")])
    with log.stream() as stream:
        streamed = stream.next(timeout=0)
    records = [
        *(log.read(0), *log.read_batch(0, 9), *log.consume(0)[1], *log.consume(0, key="k")[1]),
        *(streamed, log.read_by_key("k"), log.read_by_time(5)),
    ]
    assert len(records) == 12
    for record in records:
        assert (type(record.value), record.value) == (type(value), value)


@pytest.mark.parametrize("codec", ["raw", "auto", "json", "msgpack", "pickle"])
def test_none_is_a_tombstone_whatever_the_codec(space: shmspace.Space, codec: str) -> None:
    log = space.log("l", codec=codec)
    log.append(None, key="k")
    log.publish([None, Message(None, "k")])
    assert [(record.data, record.value) for record in log.read_batch(0, 9)] == [(None, None)] * 3


def test_data_is_what_is_stored(space: shmspace.Space) -> None:
    log = space.log("l", codec="json")
    log.append([1, 2])
    record = log.read(0)
    assert record.data == b"[1,2]"
    assert record.value == [1, 2]


@pytest.mark.parametrize(
    ("codec", "value"),
    [
        ("auto", object()),
        ("auto", {1}),
        ("auto", 1 << 64),
        ("auto", datetime(2026, 1, 1)),
        ("raw", "text"),
        ("raw", 7),
        ("json", b"x"),
        ("pickle", lambda: 0),
    ],
)
def test_what_a_codec_refuses_is_not_appended(space: shmspace.Space, codec: str, value: Any) -> None:
    log = space.log("l", codec=codec)
    with pytest.raises(shmspace.CodecError):
        log.append(value)
    with pytest.raises(shmspace.CodecError):
        log.publish([None, value])
    assert (log.range(), log.next_offset, log.stat().nbytes) == (None, 0, 0)


def test_raw_is_the_default_and_names_the_codecs_that_would_take_it(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.CodecError, match="str.*auto"):
        space.log("l").append("text")


def test_arrays_come_back_writable_in_memory_of_their_own(space: shmspace.Space) -> None:
    numpy = pytest.importorskip("numpy")
    log = space.log("l", codec="auto")
    for array in (numpy.arange(100_000, dtype="int32").reshape(10, -1), numpy.zeros((0, 3)), numpy.float64([1.5])):
        back = log.read(log.append(array)).value
        assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())
        assert back.flags.writeable


def test_the_encoded_size_counts_for_max_record(space: shmspace.Space) -> None:
    log = space.log("l", codec="json", max_record=100)
    assert log.append("x" * 98) == 0
    with pytest.raises(shmspace.TooLarge):
        log.append("x" * 99)


def test_a_pickle_log_of_a_shared_space_must_be_allowed(space_name: str) -> None:
    with shmspace.open(space_name, size="4M", mode=0o666) as mine:
        with pytest.raises(shmspace.CodecError, match="allow_pickle"):
            mine.log("l", codec="pickle")
        with shmspace.open(space_name, mode=0o666, allow_pickle=True) as trusting:
            trusting.log("l", codec="pickle").append({1})
            with pytest.raises(shmspace.CodecError, match="allow_pickle"):
                mine.log("l")
            assert trusting.log("l").read(0).value == {1}


def test_a_record_outlives_its_log(space: shmspace.Space) -> None:
    with space.log("l", codec="auto") as log:
        log.append([1, 2], key="k", time=NOON)
        record = log.read(0)
        log.drop()
    assert (record.value, record.created, record.key) == ([1, 2], NOON, b"k")
