"""The end of queues: shutdown in both ways, closing, dropping, destroying, read-only spaces."""

from __future__ import annotations

import queue
import sys
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(shmspace.Closed):
        call()


def puts(jobs: shmspace.Queue) -> list[Callable[[], Any]]:
    return [
        lambda: jobs.put("x"),
        lambda: jobs.put("x", timeout=0),
        lambda: jobs.put_nowait("x"),
        lambda: jobs.put_many(["x"]),
    ]


def gets(jobs: shmspace.Queue) -> list[Callable[[], Any]]:
    return [
        jobs.get,
        jobs.get_nowait,
        lambda: jobs.get(timeout=0.01),
        lambda: jobs.get_many(5),
        jobs.lease,
        lambda: jobs.lease(timeout=0),
    ]


# shutdown


def test_after_shutdown_nothing_goes_in_and_what_is_there_comes_out(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("abcd")
    assert jobs.is_shutdown is False
    jobs.shutdown()
    assert jobs.is_shutdown is True
    for call in puts(jobs):
        refused(call)
    assert (jobs.qsize(), jobs.get(), jobs.get_many(2), jobs.lease().value) == (4, "a", ["b", "c"], "d")


@pytest.mark.parametrize("immediate", [False, True])
def test_an_empty_queue_that_is_shut_down_refuses_every_call_again_and_again(
    space: shmspace.Space, immediate: bool
) -> None:
    jobs = space.queue("q")
    jobs.shutdown(immediate)
    for call in [*puts(jobs), *gets(jobs)] * 2:
        refused(call)
    assert (jobs.qsize(), jobs.empty(), jobs.full(), jobs.unfinished_tasks) == (0, True, False, 0)
    jobs.join()


def test_put_many_of_nothing_is_refused_too(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.shutdown()
    refused(lambda: jobs.put_many(["x"], timeout=0))


@pytest.mark.skipif(sys.version_info < (3, 13), reason="Python has queue.ShutDown from 3.13 on")
def test_closed_is_the_shutdown_of_the_standard_library(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.shutdown()
    with pytest.raises(getattr(queue, "ShutDown")):  # noqa: B009
        jobs.get()


def test_immediate_discards_what_waits_and_its_tasks(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many([bytes(10_000)] * 5)
    jobs.get()
    jobs.shutdown(immediate=True)
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().nbytes) == (0, 1, 0)
    refused(jobs.get)
    jobs.task_done()
    jobs.join(timeout=0)
    with pytest.raises(ValueError, match="task_done"):
        jobs.task_done()


def test_immediate_may_follow_and_nothing_undoes_a_shutdown(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    jobs.shutdown()
    jobs.shutdown()
    assert jobs.get() == "a"
    jobs.shutdown(immediate=True)
    refused(jobs.get)
    jobs.shutdown()
    assert jobs.is_shutdown
    refused(lambda: jobs.put("x"))


def test_shutdown_is_for_everybody(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.shutdown")
        assert jobs.is_shutdown
        refused(lambda: jobs.put("y"))
        assert space.queue("q").is_shutdown
        assert jobs.get() == "x"
        with pytest.raises(shmspace.Closed):
            far.do("q.get")


@pytest.mark.parametrize("immediate", [False, True])
@pytest.mark.parametrize("method", ["get", "get_many", "lease"])
def test_blocked_getters_wake(space: shmspace.Space, method: str, immediate: bool) -> None:
    jobs = space.queue("q")
    arguments = (5,) if method == "get_many" else ()
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.begin(f"q.{method}", *arguments).until_blocked()
        calls = [blocked(getattr(jobs, method), *arguments) for _ in range(40)]
        jobs.shutdown(immediate)
        for call in calls:
            refused(call.result)
        with pytest.raises(shmspace.Closed):
            far.result()


@pytest.mark.parametrize("immediate", [False, True])
def test_blocked_putters_wake_and_have_put_nothing(space: shmspace.Space, immediate: bool) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("there")
    calls = [blocked(jobs.put, "x") for _ in range(5)] + [blocked(jobs.put_many, "xy") for _ in range(5)]
    jobs.shutdown(immediate)
    for call in calls:
        refused(call.result)
    assert jobs.unfinished_tasks == (0 if immediate else 1)
    if not immediate:
        assert jobs.get() == "there"
    refused(jobs.get)


def test_put_many_that_is_shut_down_on_the_way_says_how_many_went(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=2)
    call = blocked(jobs.put_many, "abcd")
    jobs.shutdown()
    assert call.result() == 2
    assert jobs.get_many(5) == ["a", "b"]


def test_join_waits_on_after_shutdown_until_all_is_done(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    jobs.get()
    call = blocked(jobs.join)
    jobs.shutdown()
    call.until_blocked()
    jobs.task_done()
    jobs.get()
    jobs.task_done()
    call.result()


def test_an_immediate_shutdown_ends_join(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    calls = [blocked(jobs.join) for _ in range(3)]
    jobs.shutdown(immediate=True)
    for call in calls:
        call.result()


def test_a_queue_is_created_afresh_after_deletion(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("old")
    jobs.shutdown()
    jobs.drop()
    afresh = space.queue("q", maxsize=5)
    assert (afresh.qsize(), afresh.is_shutdown, afresh.maxsize) == (0, False, 5)
    afresh.put("new")
    assert afresh.get(timeout=0) == "new"
    refused(jobs.get)


# close, drop, destroy

ENDS: dict[str, Callable[[shmspace.Space, shmspace.Queue], Any]] = {
    "close": lambda space, jobs: jobs.close(),
    "close the space": lambda space, jobs: space.close(),
    "drop": lambda space, jobs: jobs.drop(),
    "delete": lambda space, jobs: space.delete("queue", "q"),
    "destroy": lambda space, jobs: space.destroy(),
}


@pytest.mark.parametrize("end", ENDS)
def test_blocked_calls_are_told(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        jobs = space.queue("q", maxsize=1)
        getting: list[Any] = [blocked(call) for call in (jobs.get, jobs.lease, lambda: jobs.get_many(3))]
        full = space.queue("full", maxsize=1)
        full.put("x")
        if end in ("destroy", "close the space"):
            getting += [blocked(full.put, "y"), blocked(full.put_many, "yz"), blocked(full.join)]
        ENDS[end](space, jobs)
        for call in getting:
            refused(call.result)


@pytest.mark.parametrize("end", ENDS)
def test_blocked_puts_and_joins_are_told(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        jobs = space.queue("q", maxsize=1)
        jobs.put("x")
        calls = [blocked(jobs.put, value) for value in ("y", bytes(10_000))]
        calls += [blocked(jobs.put_many, "yz"), blocked(jobs.join)]
        ENDS[end](space, jobs)
        for call in calls:
            refused(call.result)


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_handle_refuses_every_call(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        jobs = space.queue("q", maxsize=2)
        jobs.put("x")
        dead = jobs.dead_letters
        ENDS[end](space, jobs)
        others: list[Callable[[], Any]] = [
            jobs.qsize,
            jobs.empty,
            jobs.full,
            jobs.task_done,
            jobs.join,
            jobs.shutdown,
            jobs.stat,
            lambda: jobs.unfinished_tasks,
            lambda: jobs.is_shutdown,
        ]
        for call in [*puts(jobs), *gets(jobs), *others]:
            refused(call)
        if end != "close":
            refused(lambda: dead.get(timeout=0))
            refused(dead.qsize)


@pytest.mark.parametrize("end", ["drop", "delete", "destroy"])
def test_calls_blocked_in_another_process_are_told(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space, Puppet(space_name) as far, Puppet(space_name) as further:
        jobs = space.queue("q")
        far.do("space.queue", "q", keep="q")
        further.do("space.queue", "q", keep="q")
        far.begin("q.get").until_blocked()
        further.begin("q.lease").until_blocked()
        ENDS[end](space, jobs)
        for puppet in (far, further):
            with pytest.raises(shmspace.Closed):
                puppet.result()
            with pytest.raises(shmspace.Closed):
                puppet.do("q.put", "x")


def test_close_is_idempotent_and_local(space: shmspace.Space) -> None:
    with space.queue("q") as first:
        second = space.queue("q")
        first.put("x")
    first.close()
    assert (first.closed, second.closed) == (True, False)
    assert second.get(timeout=0) == "x"


def test_closing_a_blocked_getter_takes_nothing_from_others(space: shmspace.Space) -> None:
    first, second = space.queue("q"), space.queue("q")
    gone, stays = blocked(first.get), blocked(second.get)
    first.close()
    refused(gone.result)
    second.put("x")
    assert stays.result() == "x"
    assert space.queue("q").stat().waiting == 0


def test_a_dropped_queue_gives_its_memory_back(space: shmspace.Space) -> None:
    space.queue("warm").drop()
    before = space.stat().used
    for _ in range(3):
        jobs = space.queue("q", max_deliveries=1)
        jobs.put_many([bytes(100_000)] * 20)
        for _ in range(5):
            jobs.lease().nack()
        held = jobs.lease()
        jobs.drop()
        held.ack()
        jobs.close()
    assert space.stat().used <= before + (1 << 16)
    assert space.names() == []


# read-only spaces


def test_a_read_only_space_refuses_what_would_change_something(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with shmspace.open(space.name, readonly=True) as view:
        try:
            seen = view.queue("q")
        except shmspace.ReadOnly:
            return  # then nothing can be changed
        calls: list[Callable[[], Any]] = [*puts(seen), *gets(seen), seen.task_done, seen.shutdown, seen.drop]
        for call in calls:
            with pytest.raises(shmspace.ReadOnly):
                call()
        assert seen.qsize() == 1
    assert jobs.get(timeout=0) == "x"


def test_a_read_only_space_makes_no_queue(space: shmspace.Space) -> None:
    with shmspace.open(space.name, readonly=True) as view:
        with pytest.raises(shmspace.NotFound):
            view.queue("q")
        with pytest.raises(shmspace.NotFound):
            view.tuples()
    assert space.names() == []


# memory


def test_a_full_space_refuses_at_once_and_getting_needs_no_memory(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        jobs = space.queue("q", max_deliveries=1)
        count = 0
        with pytest.raises(shmspace.SpaceFull):
            while True:
                jobs.put(bytes([count % 256]) * 5000)
                count += 1
        with pytest.raises(shmspace.SpaceFull):
            while True:
                jobs.put("small")
                count += 1
        assert count > 50
        jobs.lease().nack()
        jobs.shutdown()
        with jobs.lease() as lease:
            assert lease.value is not None
        got = 0
        while jobs.qsize():
            got += len(jobs.get_many(10))
        assert got + jobs.dead_letters.qsize() + 1 == count


def test_a_value_that_could_never_fit_is_refused(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    for _ in range(3):
        with pytest.raises((shmspace.SpaceFull, shmspace.TooLarge)):
            jobs.put(bytes(64 << 20))
    jobs.put(b"small")
    assert jobs.get(timeout=0) == b"small"
