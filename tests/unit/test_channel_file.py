"""The file protocol: write, read and readinto, bytes of at most one message at a time."""

from __future__ import annotations

import array
import io
import json
import shutil
from collections.abc import Iterator
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_wait import blocked


@pytest.fixture
def channel(space: shmspace.Space) -> shmspace.Channel:
    return space.channel("c", max_message=100_000)


@pytest.fixture
def writer(channel: shmspace.Channel) -> Iterator[shmspace.Writer]:
    with channel.writer() as writer:
        yield writer


@pytest.fixture
def reader(channel: shmspace.Channel) -> Iterator[shmspace.Reader]:
    with channel.reader() as reader:
        yield reader


# write


@pytest.mark.parametrize(
    ("data", "size"),
    [(b"abc", 3), (bytearray(5000), 5000), (memoryview(b"ab"), 2), (array.array("I", [1, 2]), 8)],
)
def test_write_gives_the_bytes_taken(
    writer: shmspace.Writer, reader: shmspace.Reader, data: Any, size: int
) -> None:
    assert writer.write(data) == size
    assert reader.recv() == bytes(memoryview(data).cast("B"))


def test_each_write_is_a_message(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.write(b"a")
    writer.write(b"")
    writer.write(b"b")
    assert reader.recv_many(5) == [b"a", b"", b"b"]


@pytest.mark.parametrize("value", ["text", 7, None])
def test_only_bytes_can_be_written(
    writer: shmspace.Writer, channel: shmspace.Channel, value: Any
) -> None:
    with pytest.raises((TypeError, shmspace.CodecError)):
        writer.write(value)
    assert channel.stat().waiting == 0


def test_writing_over_max_message_is_too_large(writer: shmspace.Writer) -> None:
    with pytest.raises(shmspace.TooLarge):
        writer.write(bytes(100_001))


def test_write_waits_for_room(space: shmspace.Space) -> None:
    channel = space.channel("small", capacity=1)
    writer = channel.writer()
    writer.write(b"a")
    with pytest.raises(shmspace.Full):
        writer.write(b"b", timeout=0)
    call = blocked(writer.write, b"c")
    assert channel.recv() == b"a"
    assert call.result() == 1


# read


def test_read_gives_one_message(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.send_many([b"first", b"second"])
    assert (reader.read(), reader.read(-1)) == (b"first", b"second")


def test_read_n_gives_at_most_n_and_keeps_the_rest(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send_many([b"abcdef", b"gh"])
    assert [reader.read(4), reader.read(4), reader.read(4)] == [b"abcd", b"ef", b"gh"]


@pytest.mark.parametrize("size", [10, 90_000])
def test_a_message_can_be_read_in_small_pieces(
    writer: shmspace.Writer, reader: shmspace.Reader, size: int
) -> None:
    data = bytes(number % 251 for number in range(size))
    writer.send_many([data, b"next"])
    together = b""
    while len(together) < size:
        together += reader.read(size // 7 + 1)
    assert together == data
    assert reader.read() == b"next"


def test_the_rest_of_a_message_comes_with_the_next_recv(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send_many([b"abcdef", b"gh"])
    assert reader.read(2) == b"ab"
    assert reader.recv(timeout=0) == b"cdef"
    assert reader.recv(timeout=0) == b"gh"


def test_the_rest_of_a_message_is_for_this_reader_only(
    writer: shmspace.Writer, channel: shmspace.Channel, reader: shmspace.Reader
) -> None:
    writer.send_many([b"abcdef", b"gh"])
    assert reader.read(2) == b"ab"
    assert channel.reader().read() == b"gh"
    assert reader.read() == b"cdef"


def test_reading_nothing_returns_at_once(reader: shmspace.Reader) -> None:
    assert reader.read(0) == b""
    assert reader.readinto(bytearray()) == 0


def test_reading_nothing_takes_nothing(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.send(b"abc")
    assert reader.read(0) == b""
    assert reader.readinto(bytearray()) == 0
    assert reader.read() == b"abc"


def test_empty_messages_are_skipped(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.send_many([b"", b"", b"a", b"", b"b", b""])
    buffer = bytearray(5)
    assert (reader.read(), reader.readinto(buffer)) == (b"a", 1)
    assert buffer[:1] == b"b"


def test_read_waits_past_empty_messages(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.send_many([b"", b""])
    call = blocked(reader.read)
    writer.send_many([b"", b"x"])
    assert call.result() == b"x"


def test_the_end_of_the_stream_is_the_end_of_the_file(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send_many([b"abc", b""])
    writer.close()
    assert reader.read(2) == b"ab"
    assert reader.read(2) == b"c"
    for _ in range(2):
        assert reader.read() == b""
        assert reader.read(5) == b""
        assert reader.readinto(bytearray(5)) == 0


def test_a_blocked_read_learns_of_the_end(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    call = blocked(reader.read)
    writer.close()
    assert call.result() == b""


def test_read_gives_the_stored_bytes_whatever_the_codec(space: shmspace.Space) -> None:
    channel = space.channel("json", codec="json")
    channel.send({"answer": 42})
    assert json.loads(channel.reader().read()) == {"answer": 42}


def test_reading_many_pieces_of_many_messages_loses_nothing(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    messages = [bytes([number]) * (number % 17) for number in range(90)]
    writer.send_many(messages)
    writer.close()
    assert b"".join(iter(lambda: reader.read(5), b"")) == b"".join(messages)


# readinto


def test_readinto_fills_the_buffer(writer: shmspace.Writer, reader: shmspace.Reader) -> None:
    writer.send(b"abcdef")
    buffer = bytearray(b"........")
    assert reader.readinto(buffer) == 6
    assert buffer == b"abcdef.."


def test_readinto_a_small_buffer_keeps_the_rest(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send(b"abcdef")
    buffer = bytearray(4)
    assert (reader.readinto(buffer), bytes(buffer)) == (4, b"abcd")
    assert (reader.readinto(buffer), bytes(buffer[:2])) == (2, b"ef")


def test_readinto_takes_any_writable_buffer(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send_many([(1).to_bytes(8, "little"), b"xy"])
    numbers = array.array("Q", [0])
    assert (reader.readinto(numbers), numbers[0]) == (8, 1)
    buffer = bytearray(4)
    assert reader.readinto(memoryview(buffer)[1:3]) == 2
    assert buffer == b"\0xy\0"


def test_readinto_a_read_only_buffer_is_refused_and_takes_nothing(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    writer.send(b"abc")
    with pytest.raises((TypeError, BufferError)):
        reader.readinto(b"...")
    assert reader.read() == b"abc"


# The standard library


def test_copyfileobj_copies_through_a_channel(
    writer: shmspace.Writer, reader: shmspace.Reader
) -> None:
    data = bytes(range(256)) * 1000
    shutil.copyfileobj(io.BytesIO(data), writer, 4000)
    writer.close()
    copy = io.BytesIO()
    shutil.copyfileobj(reader, copy, 1234)
    assert copy.getvalue() == data
