"""Channels for everybody: all readers see all messages; replay gives latecomers the last ones."""

from __future__ import annotations

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def assert_nothing_comes(reader: shmspace.Reader) -> None:
    with pytest.raises(shmspace.Empty):
        reader.recv(timeout=0)


def test_every_reader_sees_every_message_in_the_same_order(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    readers = [channel.reader() for _ in range(3)]
    channel.send_many(range(50))
    for reader in readers:
        assert reader.recv_many(100) == list(range(50))
        assert_nothing_comes(reader)


def test_a_reader_sees_nothing_that_was_sent_before_it_opened(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    early = channel.reader()
    channel.send("before")
    late = channel.reader()
    channel.send("after")
    assert early.recv_many(5) == ["before", "after"]
    assert late.recv_many(5) == ["after"]


def test_a_message_that_nobody_was_there_for_is_gone(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    channel.send("nobody hears")
    assert_nothing_comes(channel.reader())


def test_readers_in_other_processes_see_every_message(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    with Puppet(space.name) as far, channel.reader() as near:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        channel.send_many([1, 2])
        assert far.do("reader.recv_many", 5) == [1, 2]
        assert near.recv_many(5) == [1, 2]


def test_all_blocked_readers_are_woken_by_one_message(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    calls = [blocked(channel.reader().recv) for _ in range(8)]
    channel.send("x")
    assert [call.result() for call in calls] == ["x"] * 8


def test_a_reader_taking_its_copy_leaves_the_others_theirs(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    one, two = channel.reader(), channel.reader()
    channel.send(b"x" * 10_000)
    assert one.recv() == b"x" * 10_000
    one.close()
    assert two.recv(timeout=0) == b"x" * 10_000


def test_the_memory_of_a_message_is_free_when_all_have_read_it(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c", delivery="all", capacity=4)
        readers = [channel.reader() for _ in range(2)]
        for number in range(200):
            channel.send(bytes([number]) * 60_000, timeout=0)
            assert [reader.recv(timeout=0)[0] for reader in readers] == [number] * 2


def test_the_first_recv_on_the_channel_opens_a_reader_that_belongs_to_it(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", delivery="all")
    channel.send("before")
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)
    channel.send_many([1, 2])
    assert [channel.recv(timeout=0), channel.recv(timeout=0)] == [1, 2]
    assert channel.stat().readers == 1
    channel.close()
    assert space.channel("c").stat().readers == 0


def test_recv_and_recv_many_of_a_channel_share_one_reader(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    with pytest.raises(shmspace.Empty):
        channel.recv_many(1, timeout=0)
    channel.send_many([1, 2, 3])
    assert (channel.recv(timeout=0), channel.recv_many(5, timeout=0)) == (1, [2, 3])
    assert channel.stat().readers == 1


def test_two_handles_of_a_channel_are_two_readers(space: shmspace.Space) -> None:
    first, second = space.channel("c", delivery="all"), space.channel("c")
    for handle in (first, second):
        with pytest.raises(shmspace.Empty):
            handle.recv(timeout=0)
    first.send("x")
    assert (first.recv(timeout=0), second.recv(timeout=0)) == ("x", "x")


# Replay


def test_a_latecomer_first_gets_the_last_n(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=3)
    channel.send_many(range(10))
    reader = channel.reader()
    channel.send(10)
    assert reader.recv_many(20) == [7, 8, 9, 10]
    assert_nothing_comes(reader)


def test_every_latecomer_gets_the_history(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=2)
    channel.send_many(range(5))
    for _ in range(3):
        with channel.reader() as reader:
            assert reader.recv_many(9) == [3, 4]


def test_replay_gives_what_there_is_when_there_is_less(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=5)
    channel.send_many([0, 1])
    assert channel.reader().recv_many(9) == [0, 1]


def test_replay_of_nothing_waits(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=5)
    call = blocked(channel.reader().recv)
    channel.send("x")
    assert call.result() == "x"


def test_replay_keeps_the_boundaries_and_the_empty_ones(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=5)
    messages = [b"", b"a", b"b" * 9000, b"", b"c" * 100_000]
    channel.send_many(messages)
    assert channel.reader().recv_many(9) == messages


def test_replay_reaches_readers_in_other_processes(space: shmspace.Space) -> None:
    space.channel("c", replay=2).send_many([1, 2, 3])
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        assert far.do("ch.recv_many", 9) == [2, 3]


def test_history_survives_the_process_that_sent_it(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.do("space.channel", "c", replay=2, keep="ch")
        far.do("ch.send_many", [1, 2, 3])
        far.kill()
    assert space.channel("c").reader().recv_many(9) == [2, 3]


def test_replay_implies_delivery_to_all(space: shmspace.Space) -> None:
    channel = space.channel("c", replay=1)
    readers = [channel.reader(), channel.reader()]
    channel.send("x")
    assert [reader.recv(timeout=0) for reader in readers] == ["x", "x"]
    space.channel("c", delivery="all").reader().close()
    with pytest.raises(shmspace.OptionsMismatch):
        space.channel("c", delivery="one").reader()


def test_replay_may_be_as_much_as_the_capacity(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, replay=3)
    channel.send_many(range(5))
    assert channel.reader().recv_many(9) == [2, 3, 4]


def test_replay_works_with_a_capacity_that_is_larger(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=10, replay=2)
    early = channel.reader()
    channel.send_many(range(8))
    assert channel.reader().recv_many(20) == [6, 7]
    assert early.recv_many(20) == list(range(8))


def test_replay_with_oldest_gives_the_newest_history(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, replay=2, overflow="oldest")
    slow = channel.reader()
    channel.send_many(range(9))
    assert channel.reader().recv_many(9) == [7, 8]
    with pytest.raises(shmspace.Lagged):
        slow.recv(timeout=0)
    assert slow.recv_many(9) == [6, 7, 8]


def test_a_latecomer_to_an_ended_stream_gets_the_history_and_then_its_end(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", replay=2)
    with channel.writer() as writer:
        writer.send_many([1, 2, 3])
    assert list(channel.reader()) == [2, 3]


def test_a_latecomer_to_a_shut_down_channel_gets_the_history_and_then_its_end(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", replay=2)
    channel.send_many([1, 2, 3])
    channel.shutdown()
    assert list(channel.reader()) == [2, 3]
