"""Stopped processes (SIGSTOP) are alive: nothing is taken from them, and waiters are told of them.

Property: however long and wherever a process is stopped, what it holds stays its own; others run
into their own timeout, which names it; when it goes on, nothing was lost or doubled.
"""

from __future__ import annotations

import contextlib
from functools import partial

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import blocked, until
from tests.helpers.scenario_stop import lock_steadily, send_steadily

SHORT_S = 0.3


def take(space: shmspace.Space, timeout: float | None = None) -> bool:
    with space.lock("l", timeout) as held:
        return held.owner_died


def in_the_way(space: shmspace.Space, timeout: float) -> list[int]:
    """Try to take the lock; who was in the way, if anybody."""
    try:
        assert take(space, timeout) is False
    except shmspace.Locked as refusal:
        return [holder.pid for holder in refusal.holders]
    return []


def test_the_lock_of_a_stopped_holder_is_not_taken_and_the_error_names_it(
    space: shmspace.Space,
) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.peer.stop()
        with pytest.raises(shmspace.Locked) as refusal:
            take(space, SHORT_S)
        assert [(holder.pid, holder.alive) for holder in refusal.value.holders] == [(far.pid, True)]
        assert str(far.pid) in str(refusal.value)
        far.peer.resume()
        far.leave("held")
    assert take(space, 0) is False


def test_a_waiter_gets_the_lock_of_a_stopped_holder_when_that_goes_on(
    space: shmspace.Space,
) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.peer.stop()
        call = blocked(take, space)
        with pytest.raises(shmspace.Locked):
            take(space, SHORT_S)
        assert not call.done
        far.peer.resume()
        far.leave("held")
        assert call.result() is False


def test_a_stopped_holder_that_is_then_killed_gives_its_lock_up(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.peer.stop()
        call = blocked(take, space)
        far.kill()
        assert call.result() is True


def test_a_stopped_waiter_takes_its_turn_when_it_goes_on(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        with space.lock("l"):
            far.begin_enter("space.lock", "l", keep="held").until_blocked()
            far.peer.stop()
        take(space)
        far.peer.resume()
        far.result()
        far.leave("held")


def test_a_stopped_process_that_pins_a_view_keeps_it(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"x" * 9000)
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        far.enter("reader.recv_view", keep="view")
        far.peer.stop()
        with Puppet(space.name):
            for _ in range(50):
                channel.send(b"y" * 9000)
                channel.recv()
        far.peer.resume()
        assert far.do("view.tobytes") == b"x" * 9000
        far.leave("view")


def test_a_stopped_writer_does_not_end_the_stream(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        far.peer.stop()
        with pytest.raises(shmspace.Empty):
            channel.recv(timeout=SHORT_S)
        far.peer.resume()
        far.do("writer.send", "x")
        assert channel.recv() == "x"


def test_a_full_channel_says_that_a_stopped_reader_holds_it_up(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1, delivery="all")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        far.peer.stop()
        channel.send("x")
        with pytest.raises(shmspace.Full) as refusal:
            channel.send("y", timeout=SHORT_S)
        assert [holder.pid for holder in refusal.value.holders] == [far.pid]
        far.peer.resume()
        assert far.do("reader.recv_many", 5) == ["x"]


def test_a_reader_stopped_while_it_waits_keeps_no_message_from_others(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        far.peer.stop()
        call = blocked(channel.recv)
        channel.send_many(["x", "y"])
        call.result()
        far.peer.resume()
        assert far.result() in {"x", "y"}


def test_a_producer_stopped_anywhere_loses_and_doubles_nothing(space: shmspace.Space) -> None:
    """Stopped at random instants, also inside the library: others work or time out in between."""
    _, chance = seeded()
    channel = space.channel("c", capacity=1000)
    got: list[int] = []

    def drain(timeout: float) -> None:
        with contextlib.suppress(shmspace.Timeout):
            while True:
                got.extend(channel.recv_many(100, timeout=timeout))

    def has_sent(number: int) -> bool:
        drain(0)
        return channel.stat().sent > number

    with Peer(send_steadily, space.name) as peer:
        assert peer.said() == "ready"
        for _ in range(60):
            until(partial(has_sent, channel.stat().sent + chance.randrange(200)), "some traffic")
            peer.stop()
            drain(0.01)
            peer.resume()
        peer.tell("end")
        drain(0)
        sent = peer.said()
        drain(0)
    assert got == list(range(sent))


def test_a_lock_user_stopped_anywhere_is_never_robbed(space: shmspace.Space) -> None:
    """Stopped at random instants: the others get the lock, or a Locked that names it."""
    _, chance = seeded()
    with Peer(lock_steadily, space.name) as peer:
        assert peer.said() == "ready"
        for _ in range(60):
            for _ in range(chance.randrange(50)):
                take(space)
            peer.stop()
            assert in_the_way(space, 0.02) in ([], [peer.pid])
            peer.resume()
        assert peer.ask("end") == 0
    assert take(space, 0) is False
