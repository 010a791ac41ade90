"""Broadcast: one value to every channel whose name starts with a prefix, without waiting."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace
from tests.helpers.peer_wait import blocked


def make(space: shmspace.Space, *names: str, **options: Any) -> list[shmspace.Channel]:
    channels = [space.channel(name, **options) for name in names]
    for channel in channels:
        channel.reader().close()
    return channels


def test_every_channel_with_the_prefix_gets_the_value(space: shmspace.Space) -> None:
    one, two, other = make(space, "jobs/1", "jobs/2", "other")
    result = space.broadcast("jobs/", "hello")
    assert sorted(result.sent) == ["jobs/1", "jobs/2"]
    assert list(result.skipped) == []
    assert [channel.recv(timeout=0) for channel in (one, two)] == ["hello", "hello"]
    assert other.stat().waiting == 0


def test_the_empty_prefix_is_every_channel(space: shmspace.Space) -> None:
    channels = make(space, "a", "b", "c")
    assert sorted(space.broadcast("", 1).sent) == ["a", "b", "c"]
    assert [channel.recv(timeout=0) for channel in channels] == [1, 1, 1]


def test_a_name_is_a_prefix_of_itself(space: shmspace.Space) -> None:
    make(space, "job", "jobs", "jo")
    assert sorted(space.broadcast("job", 1).sent) == ["job", "jobs"]


def test_a_broadcast_to_nobody_creates_nothing(space: shmspace.Space) -> None:
    result = space.broadcast("jobs/", 1)
    assert (list(result.sent), list(result.skipped)) == ([], [])
    assert space.names() == []


@pytest.mark.parametrize("overflow", ["wait", "error"])
def test_full_channels_are_skipped_without_waiting(space: shmspace.Space, overflow: str) -> None:
    full, free = make(space, "a", "b", capacity=1, overflow=overflow)
    full.send("there")
    result = space.broadcast("", "new")
    assert (list(result.sent), list(result.skipped)) == (["b"], ["a"])
    assert full.recv_many(5) == ["there"]
    assert free.recv_many(5) == ["new"]


def test_a_full_channel_that_drops_the_oldest_is_not_skipped(space: shmspace.Space) -> None:
    (channel,) = make(space, "a", capacity=1, overflow="oldest")
    channel.send("there")
    assert list(space.broadcast("", "new").sent) == ["a"]
    assert channel.recv_many(5) == ["new"]
    assert channel.stat().dropped == 1


def test_channels_that_are_full_for_their_slowest_reader_are_skipped(
    space: shmspace.Space,
) -> None:
    (channel,) = make(space, "a", capacity=1, delivery="all")
    slow = channel.reader()
    channel.send("there")
    assert list(space.broadcast("", "new").skipped) == ["a"]
    assert slow.recv_many(5) == ["there"]


def test_shut_down_channels_are_skipped(space: shmspace.Space) -> None:
    down, _ = make(space, "a", "b")
    down.shutdown()
    result = space.broadcast("", 1)
    assert (list(result.sent), list(result.skipped)) == (["b"], ["a"])


def test_deleted_channels_are_no_more(space: shmspace.Space) -> None:
    make(space, "a", "b")
    space.delete("channel", "a")
    result = space.broadcast("", 1)
    assert (list(result.sent), list(result.skipped)) == (["b"], [])


def test_a_broadcast_enters_the_replay_history(space: shmspace.Space) -> None:
    (channel,) = make(space, "a", replay=1)
    space.broadcast("a", "news")
    assert channel.reader().recv(timeout=0) == "news"


def test_every_reader_of_all_gets_the_broadcast(space: shmspace.Space) -> None:
    (channel,) = make(space, "a", delivery="all")
    readers = [channel.reader(), channel.reader()]
    space.broadcast("a", "news")
    assert [reader.recv(timeout=0) for reader in readers] == ["news", "news"]


def test_a_broadcast_wakes_a_blocked_reader(space: shmspace.Space) -> None:
    (channel,) = make(space, "a")
    call = blocked(channel.recv)
    space.broadcast("a", "news")
    assert call.result() == "news"


def test_a_broadcast_opens_no_writer(space: shmspace.Space) -> None:
    (channel,) = make(space, "a")
    space.broadcast("a", 1)
    assert channel.recv(timeout=0) == 1
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)


def test_a_broadcast_reaches_a_hundred_channels(space: shmspace.Space) -> None:
    channels = make(space, *(f"c{number:03}" for number in range(100)), capacity=2)
    result = space.broadcast("c", b"x" * 5000)
    assert sorted(result.sent) == [channel.name for channel in channels]
    assert {channel.recv(timeout=0) for channel in channels} == {b"x" * 5000}


def test_a_broadcast_from_a_closed_space_is_closed(space_name: str) -> None:
    space = shmspace.open(space_name, size="1M")
    space.close()
    with pytest.raises(shmspace.Closed):
        space.broadcast("", 1)
