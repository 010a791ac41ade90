"""Ctrl-C during every blocking call.

Property: the call ends with KeyboardInterrupt, it has taken and sent nothing, the handle goes on
working, and the space is sound.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from functools import partial

import pytest

import shmspace
from tests.helpers.held_words import held_words
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import Call, until, until_asleep
from tests.helpers.scenario_interrupt import (
    RECEIVING,
    SENDING,
    call_until_interrupted,
    call_with_a_patient_handler,
    receive_under_fire,
)


def interrupt(peer: Peer) -> None:
    """Let the peer block in its call and interrupt it."""
    assert peer.said() == "ready"
    peer.until_blocked()
    peer.interrupt()
    assert peer.said() == "interrupted"


@pytest.mark.parametrize("delivery", ["one", "all"])
@pytest.mark.parametrize("call", RECEIVING)
def test_an_interrupted_call_has_taken_nothing(
    space: shmspace.Space, call: str, delivery: str
) -> None:
    channel = space.channel("c", delivery=delivery)
    witness = channel.reader()
    with Peer(call_until_interrupted, space.name, call) as peer:
        interrupt(peer)
        channel.send(b"abc")
        assert witness.recv(timeout=0) == b"abc"
        if delivery == "one":
            channel.send(b"abc")
        peer.tell("again")
        assert peer.said() == "returned"
        peer.tell("leave")


@pytest.mark.parametrize("delivery", ["one", "all"])
@pytest.mark.parametrize("call", SENDING)
def test_an_interrupted_call_has_sent_nothing(
    space: shmspace.Space, call: str, delivery: str
) -> None:
    channel = space.channel("c", capacity=1, delivery=delivery)
    reader = channel.reader()
    channel.send(b"there")
    with Peer(call_until_interrupted, space.name, call) as peer:
        interrupt(peer)
        assert reader.recv_many(9, timeout=0) == [b"there"]
        with pytest.raises(shmspace.Empty):
            reader.recv(timeout=0)
        peer.tell("again")
        assert reader.recv() == b"abc"
        if call == "send_many":
            assert reader.recv() == b"def"
        assert peer.said() == "returned"
        peer.tell("leave")


def test_an_interrupted_wait_for_a_lock_has_taken_nothing(space: shmspace.Space) -> None:
    with Peer(call_until_interrupted, space.name, "lock") as peer:
        with space.lock("l"):
            interrupt(peer)
        with space.lock("l", timeout=0) as held:
            assert held.owner_died is False
        peer.tell("again")
        assert peer.said() == "returned"
        peer.tell("leave")


def test_an_interrupted_waiter_takes_no_wake_up_from_another(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with (
        Peer(call_until_interrupted, space.name, "recv") as one,
        Peer(call_until_interrupted, space.name, "recv") as two,
    ):
        assert two.said() == "ready"
        two.until_blocked()
        interrupt(one)
        channel.send("x")
        assert two.said() == "returned"
        channel.send_many(["y", "z"])
        for peer in (one, two):
            peer.tell("again")
            assert peer.said() == "returned"
            peer.tell("leave")


def test_a_signal_whose_handler_raises_nothing_ends_no_call(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Peer(call_with_a_patient_handler, space.name) as peer:
        assert peer.said() == "ready"
        for _ in range(3):
            peer.until_blocked()
            peer.interrupt()
        peer.until_blocked()
        channel.send("x")
        assert peer.said() == ("x", True)


def test_interrupts_at_any_instant_lose_and_double_no_message(space: shmspace.Space) -> None:
    """Interrupted around the very moment a message comes: each still arrives once, in order."""
    _, chance = seeded()
    channel = space.channel("c")
    count = 500
    with Peer(receive_under_fire, space.name) as peer:
        assert peer.said() == "ready"
        for number in range(count):
            if chance.random() < 0.5:
                peer.interrupt()
                channel.send(number)
            else:
                channel.send(number)
                peer.interrupt()
            if chance.random() < 0.3:
                until(lambda: channel.stat().waiting == 0, "the messages to be taken")
        channel.shutdown()
        assert peer.said() == list(range(count))


def have_come(seen: list[int], count: int) -> bool:
    return len(seen) == count


def test_a_signal_whose_handler_raises_nothing_ends_no_reservation(space: shmspace.Space) -> None:
    """Also while it waits for memory that another process is about to take."""
    seen: list[int] = []
    main = threading.get_ident()

    def hit(held: contextlib.ExitStack) -> None:
        for _ in range(3):
            until_asleep(os.getpid(), os.getpid())
            before = len(seen)
            signal.pthread_kill(main, signal.SIGUSR1)
            until(partial(have_come, seen, before + 1), "the handler")
        held.close()

    with Puppet(space.name) as far, space.channel("c").writer() as writer, contextlib.ExitStack() as held:
        before = signal.signal(signal.SIGUSR1, lambda number, _: seen.append(number))
        try:
            held.enter_context(held_words(space, far, "shm_class lock", "shm_pool lock"))
            call = Call(hit, held)
            with writer.reserve(5000) as view:
                view[:] = bytes(5000)
            call.result()
        finally:
            signal.signal(signal.SIGUSR1, before)
    assert len(seen) == 3
