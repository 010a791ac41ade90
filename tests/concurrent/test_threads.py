"""Many threads of one process on the same handles.

Properties: every message that was sent comes out exactly once; a lock has one holder at a time; a
handle closed by one thread ends the calls of all others and nothing else.
"""

from __future__ import annotations

import gc
import sys
import threading
import weakref
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import Call, blocked, until
from tests.helpers.scenario_lock import add_up, count_up
from tests.helpers.scenario_traffic import in_order, options_for

EACH = 1000


def drain(source: Any) -> list[Any]:
    """Everything until the end of the stream."""
    got = []
    while True:
        try:
            got.append(source.recv())
        except shmspace.EndOfStream:
            return got


@pytest.mark.parametrize("own", [False, True], ids=["one handle", "a handle each"])
def test_every_message_between_threads_comes_out_exactly_once(
    space: shmspace.Space, own: bool
) -> None:
    _, chance = seeded()
    channel = space.channel("c", **options_for(chance))
    takers = [Call(drain, channel.reader() if own else channel) for _ in range(3)]

    def send_all(producer: int) -> None:
        target = channel.writer() if own else channel
        for number in range(EACH):
            target.send((producer, number))

    with channel.writer():
        for sender in [Call(send_all, producer) for producer in range(3)]:
            sender.result()
        channel.shutdown()
    taken = [taker.result() for taker in takers]
    expected = [(producer, number) for producer in range(3) for number in range(EACH)]
    assert sorted(entry for each in taken for entry in each) == expected


def test_threads_with_a_reader_each_see_every_message_of_all_in_order(
    space: shmspace.Space,
) -> None:
    _, chance = seeded()
    channel = space.channel("c", delivery="all", **options_for(chance))
    takers = [Call(drain, channel.reader()) for _ in range(3)]

    def send_all(producer: int) -> None:
        with channel.writer() as writer:
            for number in range(EACH):
                writer.send((producer, number))

    with channel.writer():
        for sender in [Call(send_all, producer) for producer in range(2)]:
            sender.result()
    first, *others = [taker.result() for taker in takers]
    assert len(first) == 2 * EACH
    assert in_order(first)
    assert others == [first, first]


def test_one_thread_reading_sees_each_producers_order(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3)

    def send_all(producer: int) -> None:
        for number in range(EACH):
            channel.send((producer, number))

    senders = [Call(send_all, producer) for producer in range(4)]
    got = [channel.recv() for _ in range(4 * EACH)]
    for sender in senders:
        sender.result()
    assert in_order(got)


def test_threads_and_processes_counting_under_a_lock_lose_no_count(
    space: shmspace.Space, tmp_path: Path
) -> None:
    number = tmp_path / "number"
    number.write_text("0")
    with (
        Peer(count_up, space.name, str(number), 300) as one,
        Peer(count_up, space.name, str(number), 300) as two,
    ):
        for peer in (one, two):
            assert peer.said() == "ready"
            peer.tell("go")
        threads = [Call(add_up, space, str(number), 300) for _ in range(2)]
        for thread in threads:
            thread.result()
        assert [one.said(), two.said()] == ["done", "done"]
    assert int(number.read_text()) == 1200


@pytest.mark.parametrize("closing", ["close", "drop"])
def test_closing_ends_the_calls_of_all_threads(space: shmspace.Space, closing: str) -> None:
    channel = space.channel("c", capacity=1, delivery="all")
    slow = channel.reader()
    channel.send("full")
    calls = [blocked(channel.send, number) for number in range(5)]
    getattr(channel, closing)()
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call.result()
    with pytest.raises(shmspace.Closed):
        slow.recv()


def test_closing_in_the_middle_of_traffic_is_told_to_every_thread(space_name: str) -> None:
    """However the close falls between the calls: a result or Closed, nothing else."""
    for _ in range(20):
        space = shmspace.open(space_name, size="1M")
        channel = space.channel("c", capacity=2)

        def shuttle(channel: shmspace.Channel = channel) -> None:
            while True:
                channel.send("x")
                channel.recv()

        calls = [Call(shuttle) for _ in range(4)]
        while channel.stat().received < 50:
            pass
        space.close()
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()


def test_opening_and_closing_by_many_threads_leaves_one_sound_member(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        together = threading.Barrier(6)

        def come_and_go() -> None:
            together.wait()
            for turn in range(30):
                with shmspace.open(space_name) as mine, mine.channel("c").writer() as writer:
                    writer.send(turn)
                    mine.channel("c").recv()

        for call in [Call(come_and_go) for _ in range(6)]:
            call.result()
        assert space.stat().members == 1
        assert space.channel("c").stat().writers == 0
        assert space.check() == []


@pytest.mark.parametrize("made", ["channel", "reader", "writer"])
def test_what_is_opened_while_another_thread_closes_is_closed_too(
    space: shmspace.Space, monkeypatch: pytest.MonkeyPatch, made: str
) -> None:
    """The close falls behind the opening and before the parent knows of it."""
    mine = shmspace.open(space.name)
    channel = mine.channel("c")
    bind = shmspace.Channel._bind_port
    opened: list[Any] = []

    def bind_and_close(self: shmspace.Channel, port: Any, *rest: Any) -> None:
        bind(self, port, *rest)
        opened.append(port)
        Call(mine.close).result()

    monkeypatch.setattr(shmspace.Channel, "_bind_port", bind_and_close)
    with pytest.raises(shmspace.Closed):
        mine.channel("other") if made == "channel" else getattr(channel, made)()
    assert [port.closed for port in opened] == [True]
    stat = space.channel("c").stat()
    assert (stat.readers, stat.writers) == (0, 0)


@pytest.fixture
def _hasty() -> Iterator[None]:
    """Let threads take turns as often as they can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


def some_are_open(space: shmspace.Space) -> bool:
    return len(space._handles) > 100


@pytest.mark.usefixtures("_hasty")
def test_closing_while_other_threads_open_is_told_to_them_and_to_nobody_else(space: shmspace.Space) -> None:
    def open_many(mine: shmspace.Space, channel: shmspace.Channel) -> None:
        kept = []
        while True:
            kept += [mine.channel("c"), channel.reader()]

    for _ in range(10):
        mine = shmspace.open(space.name)
        calls = [Call(open_many, mine, mine.channel("c")) for _ in range(3)]
        until(partial(some_are_open, mine), "some handles")
        mine.close()
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()
    assert space.channel("c").stat().readers == 0


def native_of(space: shmspace.Space, made: str) -> Any:
    """What holds the native side of something that is gone otherwise."""
    if made == "lock":
        lock = space.lock("l")
        lock.__enter__()
        return lock._lock
    channel = space.channel("c")
    return (channel if made == "channel" else getattr(channel, made)())._made[-1]


@pytest.mark.parametrize("made", ["channel", "reader", "writer", "lock"])
def test_whatever_was_made_in_a_space_keeps_its_mapping(space_name: str, made: str) -> None:
    """In whatever order the last references to them go: what frees it looks into the space."""
    space = shmspace.open(space_name, size="1M")
    native = native_of(space, made)
    mapping = weakref.ref(space._attachment.pointer)
    space.close()
    del space
    gc.collect()
    assert mapping() is not None
    del native
    gc.collect()
    assert mapping() is None
