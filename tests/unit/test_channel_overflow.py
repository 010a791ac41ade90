"""What happens when a channel is full: wait, refuse, or drop the oldest."""

from __future__ import annotations

import queue
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked

# overflow="wait"


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_waiting_for_room_ends_in_full(space: shmspace.Space, timeout: float) -> None:
    channel = space.channel("c", capacity=2)
    channel.send_many([1, 2])
    with pytest.raises(shmspace.Full) as refusal:
        channel.send(3, timeout=timeout)
    assert isinstance(refusal.value, (queue.Full, TimeoutError))
    assert channel.recv_many(5) == [1, 2]


def test_a_writer_goes_on_when_there_is_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(1)
    call = blocked(channel.send, 2)
    assert channel.recv() == 1
    call.result()
    assert channel.recv() == 2


def test_a_writer_in_another_process_goes_on_when_there_is_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(1)
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.send", 2).until_blocked()
        assert channel.recv() == 1
        far.result()
    assert channel.recv() == 2


def test_every_blocked_writer_goes_on_in_the_end(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(0)
    calls = [blocked(channel.send, number) for number in range(1, 9)]
    got = [channel.recv() for _ in range(9)]
    for call in calls:
        call.result()
    assert sorted(got) == list(range(9))


def test_taking_many_at_once_lets_many_writers_on(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=4)
    channel.send_many(range(4))
    calls = [blocked(channel.send, number) for number in range(4, 8)]
    assert channel.recv_many(4) == [0, 1, 2, 3]
    for call in calls:
        call.result()
    assert sorted(channel.recv_many(4)) == [4, 5, 6, 7]


def test_a_refused_send_counts_as_nothing(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(1)
    with pytest.raises(shmspace.Full):
        channel.send(2, timeout=0)
    assert (channel.stat().sent, channel.stat().dropped) == (1, 0)


# overflow="error"


def test_error_raises_full_at_once_whatever_the_timeout(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, overflow="error")
    channel.send(1)
    channel.send(2)
    for timeout in (None, 0, 1e6):
        with pytest.raises(shmspace.Full):
            channel.send(3, timeout=timeout)
    assert channel.recv_many(5) == [1, 2]


def test_after_a_refusal_room_can_be_used_again(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1, overflow="error")
    channel.send(1)
    with pytest.raises(shmspace.Full):
        channel.send(2)
    channel.recv()
    channel.send(3)
    assert channel.recv() == 3


# overflow="oldest"


def test_oldest_drops_the_oldest_and_counts(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, overflow="oldest")
    for number in range(10):
        channel.send(number, timeout=0)
    numbers = channel.stat()
    assert (numbers.sent, numbers.dropped, numbers.waiting) == (10, 7, 3)
    assert channel.recv_many(10) == [7, 8, 9]


def test_oldest_drops_nothing_while_there_is_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, overflow="oldest")
    for turn in range(10):
        channel.send_many([turn, -turn])
        assert channel.recv_many(3) == [turn, -turn]
    assert channel.stat().dropped == 0


def test_oldest_gives_the_memory_of_dropped_messages_back(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c", capacity=3, overflow="oldest")
        for number in range(200):
            channel.send(bytes([number]) * 60_000)
        assert [data[0] for data in channel.recv_many(9)] == [197, 198, 199]
        assert space.check() == []


# delivery="all": full for the slowest reader


def test_the_slowest_reader_holds_a_waiting_writer_up(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all")
    fast, slow = channel.reader(), channel.reader()
    channel.send_many([1, 2])
    assert fast.recv_many(5) == [1, 2]
    call = blocked(channel.send, 3)
    assert slow.recv() == 1
    call.result()
    assert (slow.recv_many(5), fast.recv_many(5)) == ([2, 3], [3])


def test_error_is_raised_when_the_slowest_reader_is_full(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all", overflow="error")
    fast, slow = channel.reader(), channel.reader()
    channel.send_many([1, 2])
    fast.recv_many(2)
    with pytest.raises(shmspace.Full):
        channel.send(3)
    assert slow.recv_many(5) == [1, 2]
    channel.send(4)
    assert (slow.recv_many(5), fast.recv_many(5)) == ([4], [4])


def test_closing_the_slowest_reader_makes_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1, delivery="all")
    slow = channel.reader()
    channel.send(1)
    call = blocked(channel.send, 2)
    slow.close()
    call.result()


def test_without_readers_a_channel_for_all_is_never_full(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all")
    for number in range(10):
        channel.send(number, timeout=0)


def test_history_holds_nobody_up(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, replay=3)
    with channel.reader() as reader:
        for number in range(10):
            channel.send(number, timeout=0)
            assert reader.recv(timeout=0) == number


def test_a_reader_full_of_history_holds_a_writer_up(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, replay=3)
    channel.send_many(range(5), timeout=0)
    with channel.reader() as reader:
        with pytest.raises(shmspace.Full):
            channel.send(5, timeout=0)
        assert reader.recv() == 2
        channel.send(5, timeout=0)
        assert reader.recv_many(9) == [3, 4, 5]


def test_an_overtaken_reader_gets_lagged_once_and_goes_on_with_the_oldest_left(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", capacity=3, delivery="all", overflow="oldest")
    reader = channel.reader()
    channel.send_many(range(10))
    with pytest.raises(shmspace.Lagged) as overtaken:
        reader.recv(timeout=0)
    assert overtaken.value.lost == 7
    assert reader.recv_many(10, timeout=0) == [7, 8, 9]
    with pytest.raises(shmspace.Empty):
        reader.recv(timeout=0)


def test_a_reader_may_be_overtaken_again(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all", overflow="oldest")
    reader = channel.reader()
    for start in (0, 10):
        channel.send_many(range(start, start + 5))
        with pytest.raises(shmspace.Lagged) as overtaken:
            reader.recv(timeout=0)
        assert overtaken.value.lost == 3
        assert reader.recv_many(5) == [start + 3, start + 4]


def test_only_the_slow_reader_is_overtaken(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all", overflow="oldest")
    fast, slow = channel.reader(), channel.reader()
    got = []
    for number in range(6):
        channel.send(number)
        got.append(fast.recv(timeout=0))
    assert got == list(range(6))
    with pytest.raises(shmspace.Lagged):
        slow.recv(timeout=0)
    assert slow.recv_many(5) == [4, 5]


@pytest.mark.parametrize("call", ["recv", "recv_many", "recv_view", "read", "readinto", "next"])
def test_every_way_of_reading_tells_that_it_was_overtaken(space: shmspace.Space, call: str) -> None:
    channel = space.channel("c", capacity=2, delivery="all", overflow="oldest")
    reader = channel.reader(timeout=0)
    channel.send_many([b"0", b"1", b"2"])
    ways: dict[str, Any] = {
        "recv": reader.recv,
        "recv_many": lambda: reader.recv_many(5),
        "recv_view": lambda: reader.recv_view().__enter__(),
        "read": reader.read,
        "readinto": lambda: reader.readinto(bytearray(5)),
        "next": lambda: next(iter(reader)),
    }
    with pytest.raises(shmspace.Lagged) as overtaken:
        ways[call]()
    assert overtaken.value.lost == 1
    assert reader.recv_many(5) == [b"1", b"2"]


# Many at once


def test_send_many_that_runs_out_of_time_says_how_many_went(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3)
    assert channel.send_many(range(5), timeout=0) == 3
    assert channel.recv_many(9) == [0, 1, 2]


def test_send_many_into_a_full_channel_is_full(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3)
    channel.send_many(range(3))
    with pytest.raises(shmspace.Full):
        channel.send_many([3, 4], timeout=0)


def test_send_many_with_error_says_how_many_went(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, overflow="error")
    assert channel.send_many(range(5)) == 3
    with pytest.raises(shmspace.Full):
        channel.send_many([5])
    assert channel.recv_many(9) == [0, 1, 2]


def test_send_many_with_oldest_sends_all_and_keeps_the_newest(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, overflow="oldest")
    assert channel.send_many(range(10), timeout=0) == 10
    assert channel.recv_many(9) == [7, 8, 9]
    assert channel.stat().dropped == 7


def test_send_many_goes_on_as_room_appears(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2)
    call = blocked(channel.send_many, range(20))
    assert [channel.recv() for _ in range(20)] == list(range(20))
    assert call.result() == 20


def test_send_many_goes_on_as_room_appears_for_the_slowest_reader(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all")
    fast, slow = channel.reader(), channel.reader()
    call = blocked(channel.send_many, range(20))
    for number in range(20):
        assert (fast.recv(), slow.recv()) == (number, number)
    assert call.result() == 20
