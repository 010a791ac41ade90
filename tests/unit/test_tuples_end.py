"""The end of tuple spaces: shutdown in both ways, closing, dropping; read-only spaces; spaces without room."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def test_after_shutdown_what_is_there_is_drained_and_then_it_is_closed(space: shmspace.Space) -> None:
    ts = space.tuples()
    ts.out_many("k", ["a", "b", "c", "d"])
    ts.shutdown()
    with pytest.raises(shmspace.Closed):
        ts.out("k", 1)
    with pytest.raises(shmspace.Closed):
        ts.out_many("new", [1])
    assert (ts.read("k"), ts.take("k"), ts.try_take("k"), ts.take_many("k", 9)) == ("a", "a", "b", ["c", "d"])
    closed: list[Callable[[], Any]] = [
        lambda: ts.take("k"),
        lambda: ts.read("k"),
        lambda: ts.take_many("k", 1),
        lambda: ts.take("never used", timeout=0),
    ]
    for call in closed * 2:
        with pytest.raises(shmspace.Closed):
            call()
    assert (ts.try_take("k"), ts.try_read("k", "default"), ts.len("k"), ts.keys()) == (None, "default", 0, [])


@pytest.mark.parametrize("immediate", [False, True])
def test_everyone_blocked_wakes_at_shutdown(space: shmspace.Space, immediate: bool) -> None:
    ts = space.tuples(bound=1)
    ts.out("full", "there")
    calls = [blocked(ts.out, "full", 1), blocked(ts.out_many, "full", [1])]
    for key in ("", "a", "b" * 10_000):
        calls += [blocked(ts.take, key), blocked(ts.read, key), blocked(ts.take_many, key, 2)]
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.take", "a").until_blocked()
        ts.shutdown(immediate)
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()
        with pytest.raises(shmspace.Closed):
            far.result()
    assert ts.try_take("full") == (None if immediate else "there")


def test_an_immediate_shutdown_discards_what_is_left(space: shmspace.Space) -> None:
    ts = space.tuples()
    for key in range(200):
        ts.out_many(str(key), [bytes(3000), b"x"])
    used = space.stat().used
    ts.shutdown(immediate=True)
    assert (ts.stat(), ts.keys(), ts.try_take("0")) == ((0, 0, 0, 0), [], None)
    assert space.stat().used < used - 300_000
    with pytest.raises(shmspace.Closed):
        ts.take("0")
    ts.drop()
    space.tuples().out("0", "fresh")


@pytest.mark.parametrize("end", ["close", "drop", "destroy", "close the space"])
def test_blocked_and_later_calls_are_told_of_the_end(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        ts = space.tuples(bound=1)
        ts.out("full", 1)
        calls = [blocked(ts.take, "k"), blocked(ts.read, "k"), blocked(ts.take_many, "j", 2)]
        calls.append(blocked(ts.out, "full", 2))
        {"close": ts.close, "drop": ts.drop, "destroy": space.destroy, "close the space": space.close}[end]()
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()
        later: list[Callable[[], Any]] = [
            lambda: ts.out("k", 1),
            lambda: ts.take("k"),
            lambda: ts.try_take("k"),
            lambda: ts.try_read("k"),
            lambda: ts.len("k"),
            lambda: ts.waiting("k"),
            ts.keys,
            ts.stat,
            ts.shutdown,
        ]
        for refused in later:
            with pytest.raises(shmspace.Closed):
                refused()


def test_a_full_space_refuses_at_once_and_taking_needs_no_memory(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        ts = space.tuples(bound=1_000_000)
        count = 0
        for value in (bytes(5000), b""):
            with pytest.raises(shmspace.SpaceFull):
                while True:
                    ts.out(f"{count % 50}", value)
                    count += 1
        assert count > 50
        got = 0
        for key in ts.keys(""):
            got += len(ts.take_many(key, 1 << 30))
        assert (got, ts.stat()) == (count, (0, 0, 0, 0))
