"""Forking: an inherited handle is the child's own attachment, and the parent is left alone.

Property: whatever a child does or leaves undone with what it inherited, also dying by kill -9, the
parent's handles, locks, views and streams are as they were, and nothing is lost or doubled.
"""

from __future__ import annotations

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_wait import until
from tests.helpers.scenario_fork import (
    SCENARIOS,
    leave_an_orphan,
    play,
    start_from_the_thick_of_it,
)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_after_a_fork(space: shmspace.Space, scenario: str) -> None:
    with Peer(play, space.name, scenario) as peer:
        assert peer.said() == "done"
        assert peer.finish() == 0
    with Peer(play, space.name, "the_child_is_a_member_of_its_own") as another:
        assert another.said() == "done"
    assert space.check() == []


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_a_process_started_while_threads_wait_and_things_are_held_works(
    space: shmspace.Space, method: str
) -> None:
    with Peer(start_from_the_thick_of_it, space.name, method) as peer:
        assert peer.said() == 0
        assert peer.finish() == 0


def test_a_child_works_on_when_its_parent_is_gone(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Peer(leave_an_orphan, space.name) as peer:
        assert peer.finish() == 0
    orphan = channel.recv()
    assert orphan != peer.pid
    space.channel("orders").send("go on")
    assert channel.recv() == "go on"
    until(lambda: orphan not in [one.pid for one in space.members() if one.alive], "its end")
