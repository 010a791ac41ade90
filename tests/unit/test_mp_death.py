"""Queues of `shmspace.mp` when processes that have them are killed or stopped: nothing is lost, nobody is held up."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shmspace
from shmspace import mp
from tests.helpers import scenario_mp
from tests.helpers.peer_wait import blocked, until_asleep, until_stopped
from tests.helpers.scenario_mp import METHODS, context


@pytest.fixture
def start() -> Iterator[Callable[..., Any]]:
    """Start a process; all of them are killed in the end."""
    children: list[Any] = []

    def begin(work: Callable[..., None], *args: Any, method: str = "fork") -> Any:
        child = context(method).Process(target=work, args=args)
        child.start()
        children.append(child)
        return child

    yield begin
    for child in children:
        child.kill()
        child.join()
        child.close()


def kill(child: Any) -> None:
    child.kill()
    child.join()
    assert child.exitcode == -signal.SIGKILL


@pytest.mark.parametrize("method", METHODS)
def test_what_was_put_is_there_though_its_putter_was_killed_right_after(method: str, start: Any) -> None:
    """In multiprocessing a feeder thread would still have had it."""
    with mp.Queue() as queue:
        child = start(scenario_mp.relay_and_die, queue, method=method)
        child.join()
        assert child.exitcode == -signal.SIGKILL
        assert queue.get(timeout=0) == "the last word" * 10_000


def test_a_getter_that_is_killed_while_it_waits_takes_nothing_along(start: Any) -> None:
    """In multiprocessing it would take the lock of all readers into its grave."""
    with mp.Queue() as queue, mp.Queue() as books:
        waiting = [start(scenario_mp.collect, queue, books) for _ in range(3)]
        for child in waiting:
            until_asleep(child.pid)
        for child in waiting[:2]:
            kill(child)
        for number in range(5):
            queue.put(number)
        queue.put(None)
        book = books.get()
        book += [queue.get() for _ in range(5 - len(book))]  # what was handed to the dead
        assert sorted(book) == list(range(5))
        assert queue.empty()


def test_a_putter_that_is_killed_while_it_waits_for_room_blocks_nobody(start: Any) -> None:
    with mp.Queue(1) as queue:
        queue.put("first")
        child = start(scenario_mp.put_into, queue, "never put")
        until_asleep(child.pid)
        kill(child)
        assert queue.get() == "first"
        queue.put("second", timeout=0)
        assert queue.get_many(5) == ["second"]
        with pytest.raises(shmspace.Empty):
            queue.get(timeout=0)


def test_a_lease_of_one_who_is_killed_comes_back(start: Any) -> None:
    with mp.Queue() as queue:
        queue.put("job")
        told = context("fork").Event()
        child = start(scenario_mp.hold_a_lease_for_ever, queue, told)
        told.wait()
        getting = blocked(queue.lease)
        kill(child)
        with getting.result() as lease:
            assert (lease.value, lease.deliveries) == ("job", 2)
        queue.join(timeout=0)


def test_a_stopped_holder_is_not_robbed(start: Any) -> None:
    with mp.Queue() as queue:
        queue.put("job")
        told = context("fork").Event()
        child = start(scenario_mp.hold_a_lease_for_ever, queue, told)
        told.wait()
        os.kill(child.pid, signal.SIGSTOP)
        until_stopped(child.pid)
        with pytest.raises(shmspace.Empty):
            queue.get(timeout=0.3)
        kill(child)
        assert queue.get() == "job"


@pytest.mark.parametrize("survivor", ["parent", "child"])
def test_the_only_survivor_works_on(start: Any, survivor: str) -> None:
    """All others are killed: those who wait to get, those who wait to put, and those who hold something."""
    with mp.Queue(2) as queue, mp.Queue() as wanted, mp.Queue() as there, mp.Queue() as back:
        told = context("fork").Event()
        queue.put_many(["held", "waits"])
        holder = start(scenario_mp.hold_a_lease_for_ever, queue, told)
        told.wait()
        queue.put("too")
        others = [holder, start(scenario_mp.put_into, queue, "no room"), start(scenario_mp.collect, wanted, back)]
        for child in others:
            until_asleep(child.pid)
        last = start(scenario_mp.drain_on_order, there, queue, back) if survivor == "child" else None
        for child in others:
            kill(child)
        if last is None:
            assert sorted(queue.get() for _ in range(3)) == ["held", "too", "waits"]
        else:
            there.put(3)
            assert sorted(back.get()) == ["held", "too", "waits"]
        wanted.put("x", timeout=0)
        assert wanted.get() == "x"
        for one in (queue, wanted):
            assert one.space.check() == []


def test_the_death_of_all_members_but_one_frees_their_places(start: Any) -> None:
    """More processes than a space has members come and go by kill -9, some at a time."""
    with mp.Queue() as queue:
        for _ in range(60):
            children = [start(scenario_mp.put_and_wait_for_ever, queue, "x") for _ in range(5)]
            assert [queue.get() for _ in children] == ["x"] * 5
            for child in children:
                kill(child)
        assert queue.empty()
        assert queue.space.check() == []
