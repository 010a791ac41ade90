"""Ctrl-C during every blocking call of logs: it ends the call, no record is lost, and the handle goes on working."""

from __future__ import annotations

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.scenario_interrupt_log import WAITS, stream_under_fire, wait_until_interrupted


@pytest.mark.parametrize("call", WAITS)
def test_an_interrupted_call_has_taken_nothing(space: shmspace.Space, call: str) -> None:
    log = space.log("l", key_index=True)
    with Peer(wait_until_interrupted, space.name, call) as peer:
        assert peer.said() == "ready"
        peer.until_blocked()
        peer.interrupt()
        assert peer.said() == "interrupted"
        log.append(b"abc", key="k")
        peer.tell("again")
        assert peer.said() == b"abc"
        peer.tell("leave")
    assert space.check() == []


def test_interrupts_between_records_lose_and_double_none(space: shmspace.Space) -> None:
    log, progress, count = space.log("l", segment_size=5000), 0, 2000
    with Peer(stream_under_fire, space.name) as peer:
        assert peer.said() == "ready"
        for number in range(count):
            progress = log.append(bytes(40_000) if number % 100 == 0 else b"x") + 1
            if number % 200 == 0:
                peer.until_blocked()
            if number % 10 == 0:
                peer.interrupt()
        peer.until_blocked()
        peer.tell("stop")
        offsets, interrupts = peer.said()
    assert offsets == list(range(progress))
    assert interrupts >= 5
