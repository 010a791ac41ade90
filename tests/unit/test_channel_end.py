"""The end of a stream, shutdown, a new start, and dropping a channel."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def ways_to_read(reader: shmspace.Reader) -> list[Callable[[], Any]]:
    """Every call that raises EndOfStream at the end."""
    return [
        reader.recv,
        lambda: reader.recv_many(5),
        lambda: reader.recv_view().__enter__(),
    ]


# The last writer


def test_when_the_last_writer_closes_readers_drain_and_then_the_stream_ends(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    with channel.writer() as writer:
        writer.send_many([1, 2, 3])
    assert (reader.recv(), reader.recv_many(5)) == (1, [2, 3])
    with pytest.raises(shmspace.EndOfStream) as end:
        reader.recv()
    assert isinstance(end.value, EOFError)


def test_the_end_is_told_again_and_again(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.writer().close()
    calls = [*ways_to_read(channel.reader()), channel.recv]
    for call in calls * 2:
        with pytest.raises(shmspace.EndOfStream):
            call()


def test_iteration_just_stops_at_the_end(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer:
        writer.send_many(["a", b"", "b"])
    reader = channel.reader()
    assert list(reader) == ["a", b"", "b"]
    assert list(reader) == []


def test_a_stream_goes_on_while_another_writer_is_open(space: shmspace.Space) -> None:
    channel = space.channel("c")
    first, second = channel.writer(), channel.writer()
    first.close()
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)
    second.close()
    with pytest.raises(shmspace.EndOfStream):
        channel.recv(timeout=0)


def test_a_channel_that_never_had_a_writer_does_not_end(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.reader().close()
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)


def test_send_on_the_channel_opens_no_writer_and_ends_nothing(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(1)
    channel.send_many([2])
    assert channel.stat().writers == 0
    assert channel.recv_many(5) == [1, 2]
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)


def test_send_on_an_ended_channel_is_received_before_the_end(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.writer().close()
    channel.send("late")
    assert list(channel.reader()) == ["late"]


def test_closing_a_writer_twice_ends_nothing_of_others(space: shmspace.Space) -> None:
    channel = space.channel("c")
    first, second = channel.writer(), channel.writer()
    first.close()
    first.close()
    second.send("x")
    assert channel.recv() == "x"
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)


def test_closing_the_handle_of_the_last_writer_ends_the_stream(space: shmspace.Space) -> None:
    with space.channel("c") as channel:
        channel.writer().send("x")
    assert list(space.channel("c").reader()) == ["x"]


@pytest.mark.parametrize("delivery", ["one", "all"])
def test_every_blocked_reader_learns_of_the_end(space: shmspace.Space, delivery: str) -> None:
    channel = space.channel("c", delivery=delivery)
    writer = channel.writer()
    calls = [blocked(channel.reader().recv) for _ in range(5)]
    writer.close()
    for call in calls:
        with pytest.raises(shmspace.EndOfStream):
            call.result()


def test_a_blocked_iteration_ends_with_the_stream(space: shmspace.Space) -> None:
    channel = space.channel("c")
    writer = channel.writer()
    writer.send("x")
    call = blocked(list, channel.reader())
    writer.close()
    assert call.result() == ["x"]


def test_each_reader_of_all_drains_its_own_rest(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    fast, slow = channel.reader(), channel.reader()
    with channel.writer() as writer:
        writer.send_many([1, 2])
        assert fast.recv_many(2) == [1, 2]
    assert list(fast) == []
    assert list(slow) == [1, 2]


def test_a_writer_opened_later_starts_the_stream_anew(space: shmspace.Space) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    for turn in range(3):
        with channel.writer() as writer:
            with pytest.raises(shmspace.Empty):
                reader.recv(timeout=0)
            writer.send(turn)
        assert list(reader) == [turn]


def test_the_end_of_the_last_writers_process_ends_the_stream(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        far.do("writer.send", "x")
        reader = channel.reader()
        assert reader.recv() == "x"
        call = blocked(reader.recv)
    with pytest.raises(shmspace.EndOfStream):
        call.result()


def test_the_killing_of_the_last_writers_process_ends_the_stream(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        far.do("writer.send", "x")
        far.kill()
    assert list(channel.reader()) == ["x"]


@pytest.mark.parametrize("delivery", ["one", "all"])
def test_blocked_readers_learn_of_the_killing_of_the_last_writer(
    space: shmspace.Space, delivery: str
) -> None:
    channel = space.channel("c", delivery=delivery)
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        calls = [blocked(channel.reader().recv) for _ in range(3)]
        far.kill()
        for call in calls:
            with pytest.raises(shmspace.EndOfStream):
                call.result()


def test_a_killed_writer_ends_nothing_while_another_is_open(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far, channel.writer() as writer:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        call = blocked(channel.recv)
        far.kill()
        writer.send("x")
        assert call.result() == "x"
        with pytest.raises(shmspace.Empty):
            channel.recv(timeout=0)


# Shutdown


def test_shutdown_lets_readers_drain_and_then_ends(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send_many([1, 2])
    channel.shutdown()
    assert list(channel.reader()) == [1, 2]
    with pytest.raises(shmspace.EndOfStream):
        channel.recv()


def test_immediate_shutdown_discards_what_is_left(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send_many([b"x" * 10_000, 2])
    channel.shutdown(immediate=True)
    assert list(channel.reader()) == []
    assert channel.stat().waiting == 0


def test_immediate_shutdown_discards_for_every_reader_of_all(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    readers = [channel.reader(), channel.reader()]
    channel.send_many([1, 2])
    channel.shutdown(immediate=True)
    assert [list(reader) for reader in readers] == [[], []]


def test_a_shutdown_can_be_made_immediate_later(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send_many([1, 2])
    channel.shutdown()
    assert channel.recv() == 1
    channel.shutdown(immediate=True)
    with pytest.raises(shmspace.EndOfStream):
        channel.recv()


def test_after_shutdown_every_write_is_closed(space: shmspace.Space) -> None:
    channel = space.channel("c")
    writer = channel.writer()
    channel.shutdown()
    channel.shutdown()
    calls: list[Callable[[], Any]] = [
        lambda: writer.send(b"x"),
        lambda: writer.send_many([b"x"]),
        lambda: writer.write(b"x"),
        lambda: channel.send(b"x", timeout=0),
        lambda: channel.send_many([b"x"]),
    ]
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call()
    with pytest.raises(shmspace.Closed), writer.reserve(1):
        pass
    assert channel.stat().waiting == 0


def test_after_shutdown_a_writer_opens_and_starts_nothing(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.shutdown()
    with channel.writer() as writer:
        with pytest.raises(shmspace.Closed):
            writer.send(b"x")
        with pytest.raises(shmspace.EndOfStream):
            channel.recv()


def test_a_channel_can_be_shut_down_before_anything_was_sent(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.shutdown()
    with pytest.raises(shmspace.EndOfStream):
        channel.recv()


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_wakes_every_blocked_reader_with_the_end(
    space: shmspace.Space, immediate: bool
) -> None:
    channel = space.channel("c")
    calls = [blocked(channel.reader().recv) for _ in range(4)]
    channel.shutdown(immediate)
    for call in calls:
        with pytest.raises(shmspace.EndOfStream):
            call.result()


@pytest.mark.parametrize("immediate", [False, True])
def test_shutdown_wakes_every_blocked_writer_with_closed(
    space: shmspace.Space, immediate: bool
) -> None:
    channel = space.channel("c", capacity=1)
    channel.send("there")
    calls = [blocked(channel.send, number) for number in range(4)]
    channel.shutdown(immediate)
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call.result()
    assert list(channel.reader()) == ([] if immediate else ["there"])


def test_shutdown_is_for_everybody(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        channel.shutdown()
        with pytest.raises(shmspace.EndOfStream):
            far.result()
        with pytest.raises(shmspace.Closed):
            far.do("ch.send", b"x")


def test_a_shut_down_channel_that_was_deleted_is_created_afresh(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.shutdown()
    space.delete("channel", "c")
    fresh = space.channel("c")
    fresh.send("x")
    assert fresh.recv(timeout=0) == "x"


# Drop


def test_drop_removes_the_channel_for_everybody(space: shmspace.Space) -> None:
    channel, other = space.channel("c"), space.channel("c")
    channel.send(b"x")
    channel.drop()
    assert not space.exists("channel", "c")
    for call in (other.recv, lambda: other.send(b"y"), other.stat, other.reader, channel.recv):
        with pytest.raises(shmspace.Closed):
            call()


def test_drop_wakes_blocked_readers_and_writers_everywhere_with_closed(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", capacity=1, delivery="all")
    reader = channel.reader()
    channel.send("full")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        writing = blocked(channel.send, "x")
        space.channel("c").drop()
        with pytest.raises(shmspace.Closed):
            writing.result()
        with pytest.raises(shmspace.Closed):
            far.result()
        with pytest.raises(shmspace.Closed):
            reader.recv()


def test_a_dropped_name_can_be_created_afresh_at_once_with_other_options(
    space: shmspace.Space,
) -> None:
    old = space.channel("c", capacity=2)
    old.send("old")
    old.drop()
    fresh = space.channel("c", capacity=5, delivery="all")
    reader = fresh.reader()
    fresh.send("new")
    assert reader.recv_many(5) == ["new"]
    with pytest.raises(shmspace.Closed):
        old.recv()


def test_dropping_gives_the_memory_back(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        for _ in range(20):
            channel = space.channel("c")
            channel.send_many([bytes(60_000)] * 5)
            channel.drop()
        assert space.check() == []


def test_the_rest_of_a_message_is_gone_with_its_channel(space: shmspace.Space) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    channel.send(b"abcdef")
    assert reader.read(2) == b"ab"
    channel.drop()
    with pytest.raises(shmspace.Closed):
        reader.recv(timeout=0)


@pytest.mark.parametrize("delivery", ["one", "all"])
@pytest.mark.parametrize("turned", [False, True])
def test_old_handles_that_are_collected_later_harm_no_new_channel(
    space: shmspace.Space, delivery: str, turned: bool
) -> None:
    old = space.channel("c", delivery=delivery)
    cycle: list[object] = [old, old.reader(), old.writer(), old.reader(), old.writer()]
    if turned:
        cycle.reverse()
    cycle.append(cycle)
    old.drop()
    fresh = space.channel("c", delivery=delivery)
    with fresh.reader() as reader, fresh.writer() as writer:
        del old, cycle
        gc.collect()
        assert space.check() == []
        writer.send("x")
        assert reader.recv(timeout=0) == "x"
        with pytest.raises(shmspace.Empty):
            reader.recv(timeout=0)


def test_a_view_outlives_the_drop_of_its_channel(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"x" * 10_000)
    with channel.reader().recv_view() as view:
        channel.drop()
        space.channel("other").send_many([b"y" * 10_000] * 50)
        assert bytes(view) == b"x" * 10_000
