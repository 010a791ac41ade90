"""Ctrl-C during every blocking call of stores: it ends the call, nothing was done, and the handle goes on working."""

from __future__ import annotations

import gc
from contextlib import ExitStack

import pytest

import shmspace
from tests.helpers.interrupts import at_every_place
from tests.helpers.peer import Peer
from tests.helpers.scenario_interrupt_store import FOR_EVENTS, FOR_LOCKS, wait_until_interrupted, watch_under_fire


@pytest.mark.parametrize("call", FOR_LOCKS)
def test_an_interrupted_change_was_not_made(space: shmspace.Space, call: str) -> None:
    st = space.store()
    st["k"] = 7
    version = st.get("k").version
    with ExitStack() as stack:
        with st.lock("k"):
            peer = stack.enter_context(Peer(wait_until_interrupted, space.name, call))
            assert peer.said() == "ready"
            peer.until_blocked()
            peer.interrupt()
            assert peer.said() == "interrupted"
            peer.tell("again")
            peer.until_blocked()
            assert st.get("k").version == version
        assert peer.said() in ("done", "taken")
        peer.tell("leave")
    assert st.get("k", None) is None or st.get("k").version > version
    assert space.check() == []


@pytest.mark.parametrize("call", FOR_EVENTS)
def test_an_interrupted_wait_for_an_event_has_taken_none(space: shmspace.Space, call: str) -> None:
    st = space.store()
    with Peer(wait_until_interrupted, space.name, call) as peer:
        assert peer.said() == "ready"
        peer.until_blocked()
        peer.interrupt()
        assert peer.said() == "interrupted"
        st["k"] = "abc"
        peer.tell("again")
        assert peer.said() == "abc"
        peer.tell("leave")
    assert space.check() == []


def test_interrupts_between_events_lose_and_double_none(space: shmspace.Space) -> None:
    st, count = space.store(feed=8192, shards=2), 2000
    expected = [40_000 if number % 100 == 0 else number for number in range(count)]
    with Peer(watch_under_fire, space.name) as peer:
        assert peer.said() == "ready"
        for number, value in enumerate(expected):
            if number % 100 == 0:
                st["long"] = bytes(40_000)
            else:
                st[f"k/{number % 5}"] = value
            if number % 200 == 0:
                peer.until_blocked()
            if number % 10 == 0:
                peer.interrupt()
        peer.until_blocked()
        peer.tell("stop")
        values, interrupts = peer.said()
    assert values == expected
    assert interrupts >= 5


def test_a_lock_is_held_in_its_block_only_wherever_it_is_interrupted(space: shmspace.Space) -> None:
    st = space.store()
    inside: list[bool] = []

    def work() -> None:
        with st.lock("k", 0) as held:
            inside.append(True)
            held.set(len(inside))

    def afterwards() -> None:
        gc.collect()
        with st.lock("k", 0) as held:
            assert held.owner_died is False

    assert at_every_place(work, afterwards) > 20


def test_a_removal_happens_or_does_not_wherever_it_is_interrupted(space: shmspace.Space) -> None:
    st = space.store()

    def afterwards() -> None:
        assert st.keys() in ([], ["a", "b"])
        st.update(a=1, b=2)

    afterwards()
    assert at_every_place(lambda: st.delete("*"), afterwards) > 10


def test_a_watch_is_open_or_gone_wherever_it_is_interrupted(space: shmspace.Space) -> None:
    st = space.store()

    def work() -> None:
        with st.watch() as watch:
            st["k"] = 1
            watch.next(timeout=0)

    def afterwards() -> None:
        gc.collect()
        assert st.stat().watchers == 0

    assert at_every_place(work, afterwards) > 20
