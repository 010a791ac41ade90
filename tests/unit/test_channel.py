"""Channels that deliver each message to one reader: sending, receiving, waiting, handles."""

from __future__ import annotations

import array
import math
import queue
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked

# Sending and receiving


def test_messages_come_in_the_order_they_were_sent(space: shmspace.Space) -> None:
    channel = space.channel("c")
    for number in range(50):
        channel.send(b"%d" % number)
    assert [channel.recv() for _ in range(50)] == [b"%d" % number for number in range(50)]


def test_a_writer_and_a_reader_do_what_the_channel_does(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer, channel.reader() as reader:
        writer.send(b"a")
        channel.send(b"b")
        assert (channel.recv(), reader.recv()) == (b"a", b"b")


def test_order_is_kept_when_the_ring_has_gone_round_many_times(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3)
    got = []
    for number in range(0, 1000, 2):
        channel.send_many([number, number + 1])
        got += [channel.recv(), channel.recv()]
    assert got == list(range(1000))


def test_an_empty_message_is_a_message(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send_many([b"", b"x", b""])
    assert [channel.recv(timeout=0) for _ in range(3)] == [b"", b"x", b""]


SIZES = [
    1,
    7,
    8,
    9,
    63,
    64,
    65,
    4095,
    4096,
    4097,
    8191,
    65535,
    65536,
    65537,
    (1 << 20) - 1,
    1 << 20,
]


@pytest.mark.parametrize("size", SIZES)
def test_a_message_of_any_size_arrives_whole(space: shmspace.Space, size: int) -> None:
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    channel = space.channel("c")
    channel.send(data)
    assert channel.recv(timeout=0) == data


def test_messages_of_mixed_sizes_keep_their_boundaries(space: shmspace.Space) -> None:
    channel = space.channel("c")
    messages = [bytes([number]) * (number * number * 3 % 9000) for number in range(100)]
    channel.send_many(messages)
    assert channel.recv_many(100) == messages


@pytest.mark.parametrize(
    "data", [bytearray(b"abcd"), memoryview(b"abcd"), array.array("B", b"abcd")], ids=type
)
def test_any_bytes_like_object_can_be_sent(space: shmspace.Space, data: Any) -> None:
    channel = space.channel("c")
    channel.send(data)
    assert channel.recv() == b"abcd"


def test_a_payload_is_copied_in(space: shmspace.Space) -> None:
    channel = space.channel("c")
    data = bytearray(b"x" * 10_000)
    channel.send(data)
    data[:] = b"y" * 10_000
    assert channel.recv() == b"x" * 10_000


def test_a_payload_is_copied_out(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"x" * 10_000)
    first = channel.recv()
    channel.send(b"y" * 10_000)
    assert type(first) is bytes
    assert first == b"x" * 10_000


def test_exactly_one_reader_gets_each_message(space: shmspace.Space) -> None:
    channel = space.channel("c")
    readers = [channel.reader() for _ in range(3)]
    channel.send_many(range(30))
    got = [reader.recv(timeout=0) for _ in range(10) for reader in readers]
    assert got == list(range(30))
    with pytest.raises(shmspace.Empty):
        readers[0].recv(timeout=0)


def test_messages_wait_for_readers_that_come_later(space: shmspace.Space) -> None:
    space.channel("c").send_many([b"a", b"b"])
    assert space.channel("c").reader().recv_many(5) == [b"a", b"b"]


def test_a_closed_reader_leaves_what_it_did_not_take(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.reader() as reader:
        channel.send_many([b"a", b"b"])
        assert reader.recv() == b"a"
    assert channel.recv(timeout=0) == b"b"


def test_messages_pass_between_processes(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        channel.send(b"there")
        assert far.do("ch.recv") == b"there"
        far.do("ch.send", b"back" * 10_000)
        assert channel.recv() == b"back" * 10_000


# Waiting


def test_recv_waits_for_a_message(space: shmspace.Space) -> None:
    channel = space.channel("c")
    call = blocked(channel.recv)
    channel.send(b"x")
    assert call.result() == b"x"


def test_recv_with_a_positive_timeout_waits_too(space: shmspace.Space) -> None:
    channel = space.channel("c")
    call = blocked(channel.recv, timeout=1e6)
    channel.send(b"x")
    assert call.result() == b"x"


def test_recv_waits_for_another_process(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        call = blocked(channel.recv)
        far.do("ch.send", b"x")
        assert call.result() == b"x"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01])
def test_nothing_to_take_is_empty(space: shmspace.Space, timeout: float) -> None:
    with pytest.raises(shmspace.Empty) as refusal:
        space.channel("c").recv(timeout=timeout)
    assert isinstance(refusal.value, (queue.Empty, TimeoutError))


def test_what_is_there_is_returned_even_with_timeout_zero(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"x", timeout=0)
    assert channel.recv(timeout=0) == b"x"


def test_every_blocked_reader_is_served(space: shmspace.Space) -> None:
    channel = space.channel("c")
    calls = [blocked(channel.recv) for _ in range(8)]
    channel.send_many(range(8))
    assert sorted(call.result() for call in calls) == list(range(8))


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", ["send", "send_many", "recv", "recv_many"])
def test_an_impossible_timeout_is_a_value_error(
    space: shmspace.Space, method: str, timeout: float
) -> None:
    channel = space.channel("c")
    channel.send(b"there")
    calls: dict[str, Callable[[], Any]] = {
        "send": lambda: channel.send(b"x", timeout=timeout),
        "send_many": lambda: channel.send_many([b"x"], timeout=timeout),
        "recv": lambda: channel.recv(timeout=timeout),
        "recv_many": lambda: channel.recv_many(1, timeout=timeout),
    }
    with pytest.raises(ValueError, match="timeout"):
        calls[method]()
    assert channel.stat().waiting == 1


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf])
def test_an_impossible_default_timeout_is_a_value_error(
    space: shmspace.Space, timeout: float
) -> None:
    channel = space.channel("c")
    with pytest.raises(ValueError, match="timeout"):
        channel.reader(timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        channel.writer(timeout=timeout)


def test_a_readers_timeout_is_used_where_the_call_gives_none(space: shmspace.Space) -> None:
    reader = space.channel("c").reader(timeout=0)
    calls: list[Callable[[], Any]] = [
        reader.recv,
        lambda: reader.recv_many(1),
        reader.read,
        lambda: reader.readinto(bytearray(1)),
        lambda: next(iter(reader)),
        lambda: reader.recv_view().__enter__(),
    ]
    for call in calls:
        with pytest.raises(shmspace.Empty):
            call()


def test_a_writers_timeout_is_used_where_the_call_gives_none(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"there")
    writer = channel.writer(timeout=0)
    with pytest.raises(shmspace.Full):
        writer.send(b"x")
    with pytest.raises(shmspace.Full):
        writer.send_many([b"x"])
    with pytest.raises(shmspace.Full):
        writer.write(b"x")
    with pytest.raises(shmspace.Full), writer.reserve(1):
        pass


def test_a_calls_own_timeout_wins(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    reader, writer = channel.reader(timeout=0), channel.writer(timeout=0)
    receiving = blocked(reader.recv, timeout=1e6)
    writer.send(b"a")
    assert receiving.result() == b"a"
    writer.send(b"b")
    sending = blocked(writer.send, b"c", timeout=1e6)
    assert reader.recv() == b"b"
    sending.result()


# Size of a message


def test_a_message_over_max_message_is_too_large_and_nothing_is_sent(space: shmspace.Space) -> None:
    channel = space.channel("c", max_message=100)
    with pytest.raises(shmspace.TooLarge) as refusal:
        channel.send(bytes(101))
    assert "100" in str(refusal.value)
    assert "101" in str(refusal.value)
    assert channel.stat().waiting == 0


def test_a_message_of_exactly_max_message_is_sent(space: shmspace.Space) -> None:
    channel = space.channel("c", max_message="2K")
    channel.send(bytes(2048), timeout=0)
    assert len(channel.recv()) == 2048


def test_one_byte_over_the_default_of_a_megabyte_is_too_large(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.TooLarge):
        space.channel("c").send(bytes((1 << 20) + 1))


def test_too_large_comes_before_waiting_for_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1, max_message=10)
    channel.send(b"x")
    with pytest.raises(shmspace.TooLarge):
        channel.send(bytes(11))


# Numbers


def test_stat_counts(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=7)
    with channel.reader(), channel.reader(), channel.writer() as writer:
        writer.send_many([b"abc", b"de", b"f"])
        assert channel.recv() == b"abc"
        numbers = channel.stat()
        assert (numbers.waiting, numbers.capacity) == (2, 7)
        assert (numbers.sent, numbers.received, numbers.dropped) == (3, 1, 0)
        assert (numbers.readers, numbers.writers) == (2, 1)
        assert numbers.nbytes >= 3
    assert (channel.stat().readers, channel.stat().writers) == (0, 0)


def test_nbytes_follows_what_waits(space: shmspace.Space) -> None:
    channel = space.channel("c")
    assert channel.stat().nbytes == 0
    channel.send(bytes(10_000))
    assert channel.stat().nbytes >= 10_000
    channel.recv()
    assert channel.stat().nbytes == 0


def test_stat_is_the_same_for_everybody(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"x")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        assert far.do("ch.stat") == channel.stat()


# Handles


def test_a_handle_knows_its_name_and_space(space: shmspace.Space) -> None:
    channel = space.channel("jobs")
    assert (channel.name, channel.space, channel.closed) == ("jobs", space, False)


def test_reprs_tell_the_name(space: shmspace.Space) -> None:
    channel = space.channel("jobs")
    for handle in (channel, channel.reader(), channel.writer()):
        assert "jobs" in repr(handle)


def test_close_is_idempotent_and_local(space: shmspace.Space) -> None:
    first, second = space.channel("c"), space.channel("c")
    first.close()
    first.close()
    assert (first.closed, second.closed) == (True, False)
    second.send(b"x")
    assert second.recv(timeout=0) == b"x"


def test_a_closed_handle_refuses_every_call(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.close()
    calls: list[Callable[[], Any]] = [
        lambda: channel.send(b"x"),
        lambda: channel.send_many([b"x"]),
        channel.recv,
        lambda: channel.recv_many(1),
        channel.reader,
        channel.writer,
        channel.stat,
        channel.shutdown,
        channel.drop,
    ]
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call()


def test_close_closes_the_readers_and_writers_made_from_the_handle(space: shmspace.Space) -> None:
    with space.channel("c") as channel:
        reader, writer = channel.reader(), channel.writer()
    assert (channel.closed, reader.closed, writer.closed) == (True, True, True)
    numbers = space.channel("c").stat()
    assert (numbers.readers, numbers.writers) == (0, 0)


def test_a_closed_reader_or_writer_refuses_every_call(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.reader() as reader, channel.writer() as writer:
        pass
    calls: list[Callable[[], Any]] = [
        reader.recv,
        lambda: reader.recv_many(1),
        reader.read,
        lambda: reader.readinto(bytearray(1)),
        lambda: next(iter(reader)),
        lambda: reader.recv_view().__enter__(),
        lambda: writer.send(b"x"),
        lambda: writer.send_many([b"x"]),
        lambda: writer.write(b"x"),
        lambda: writer.reserve(1).__enter__(),
    ]
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call()


@pytest.mark.parametrize("closing", ["channel", "reader"])
def test_close_wakes_a_blocked_reader_with_closed(space: shmspace.Space, closing: str) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    call = blocked(reader.recv)
    {"channel": channel, "reader": reader}[closing].close()
    with pytest.raises(shmspace.Closed):
        call.result()


@pytest.mark.parametrize("closing", ["channel", "writer"])
def test_close_wakes_a_blocked_writer_with_closed(space: shmspace.Space, closing: str) -> None:
    channel = space.channel("c", capacity=1)
    writer = channel.writer()
    writer.send(b"there")
    call = blocked(writer.send, b"x")
    {"channel": channel, "writer": writer}[closing].close()
    with pytest.raises(shmspace.Closed):
        call.result()
    assert space.channel("c").stat().waiting == 1


def test_closing_a_reader_leaves_a_call_of_another_reader_alone(space: shmspace.Space) -> None:
    channel = space.channel("c")
    call = blocked(channel.reader().recv)
    channel.reader().close()
    channel.send(b"x")
    assert call.result() == b"x"
