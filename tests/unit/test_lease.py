"""Leases: acknowledging, giving back, dead letters, and what becomes of them when somebody dies."""

from __future__ import annotations

import gc
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked, until


class Oops(Exception):
    """On purpose."""


def fail_on(jobs: shmspace.Queue) -> int:
    """Lease a value and fail on it; how often it was delivered."""
    with pytest.raises(Oops), jobs.lease(timeout=0) as lease:
        raise Oops
    return int(lease.deliveries)


# Acknowledging


def test_leaving_the_block_acknowledges(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    with jobs.lease() as lease:
        assert (lease.value, lease.deliveries, lease.closed) == ("a", 1, False)
        assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().leased) == (1, 2, 1)
    assert lease.closed
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().leased) == (1, 1, 0)
    assert jobs.get() == "b"


def test_the_block_is_given_the_lease_itself(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    lease = jobs.lease()
    with lease as same:
        assert same is lease


@pytest.mark.parametrize("error", [Oops, KeyboardInterrupt, SystemExit, GeneratorExit])
def test_an_exception_gives_back_and_passes_on(space: shmspace.Space, error: type[BaseException]) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    with pytest.raises(error), jobs.lease() as lease:
        raise error
    assert lease.closed
    assert (jobs.qsize(), jobs.unfinished_tasks) == (2, 2)
    assert jobs.get_many(5) == ["a", "b"]


def test_ack_and_nack_within_the_block_hold(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    with jobs.lease() as lease:
        lease.nack()
    assert jobs.qsize() == 2
    with pytest.raises(Oops), jobs.lease() as lease:
        lease.ack()
        raise Oops
    assert (jobs.qsize(), jobs.unfinished_tasks) == (1, 1)


def test_a_second_ack_or_nack_does_nothing(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("abc")
    acked = jobs.lease()
    for end in (acked.ack, acked.ack, acked.nack, acked.close):
        end()
    assert (jobs.qsize(), jobs.unfinished_tasks) == (2, 2)
    nacked = jobs.lease()
    for end in (nacked.nack, nacked.nack, nacked.ack, nacked.close):
        end()
    assert (jobs.qsize(), jobs.unfinished_tasks) == (2, 2)
    assert jobs.lease().deliveries == 2


def test_the_end_of_one_lease_is_not_that_of_the_next_on_the_same_value(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    first = jobs.lease()
    first.nack()
    second = jobs.lease()
    first.ack()
    first.nack()
    assert (jobs.qsize(), jobs.stat().leased, jobs.unfinished_tasks) == (0, 1, 1)
    second.ack()
    assert (jobs.stat().leased, jobs.unfinished_tasks) == (0, 0)


def test_the_value_can_be_looked_at_afterwards(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put({"a": [1]})
    with jobs.lease() as lease:
        pass
    assert (lease.value, lease.deliveries, lease.closed) == ({"a": [1]}, 1, True)


def test_an_ack_counts_as_task_done(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    lease = jobs.lease()
    call = blocked(jobs.join)
    lease.ack()
    call.result()
    with pytest.raises(ValueError, match="task_done"):
        jobs.task_done()


def test_close_and_collection_give_back(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    jobs.lease().close()
    assert jobs.qsize() == 1
    lease = jobs.lease()
    assert jobs.qsize() == 0
    del lease
    gc.collect()
    assert jobs.qsize() == 1
    assert jobs.lease().deliveries == 3


def test_a_lease_in_a_cycle_of_garbage_is_given_back(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    loop: list[Any] = [jobs.lease()]
    loop.append(loop)
    del loop
    gc.collect()
    assert jobs.qsize() == 1


def test_a_lease_keeps_its_queue(space: shmspace.Space) -> None:
    space.queue("q").put_many("ab")
    first, second = space.queue("q").lease(), space.queue("q").lease()
    gc.collect()
    first.ack()
    second.nack()
    assert (space.queue("q").qsize(), space.queue("q").unfinished_tasks) == (1, 1)


@pytest.mark.parametrize("way", ["close the queue", "close the space"])
def test_a_lease_whose_handle_was_closed_ends_without_harm(space: shmspace.Space, way: str) -> None:
    watcher = space.queue("q")
    watcher.put_many("abc")
    with shmspace.open(space.name) as mine:
        jobs = mine.queue("q")
        acked, nacked, left = jobs.lease(), jobs.lease(), jobs.lease()
        (jobs if way == "close the queue" else mine).close()
        acked.ack()
        nacked.nack()
        del left
        gc.collect()
    assert (watcher.stat().leased, watcher.qsize(), watcher.unfinished_tasks) == (0, 2, 2)
    assert sorted(watcher.get_many(5)) == ["b", "c"]


def test_leases_of_the_only_space_of_a_process_go_when_it_is_closed(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as keeper, Puppet(space_name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.put_many", "abc")
        far.do("q.lease", keep="one")
        far.do("q.lease", keep="two")
        far.do("space.close")
        jobs = keeper.queue("q")
        until(lambda: jobs.stat().leased == 0 or jobs.lease(timeout=0).nack(), "the leases to come back")
        far.do("one.ack")
        far.do("two.nack")
        assert (jobs.qsize(), jobs.unfinished_tasks) == (3, 3)


# Waiting


def test_lease_waits_for_a_value(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    call = blocked(jobs.lease)
    jobs.put("x")
    lease = call.result()
    assert (lease.value, lease.deliveries) == ("x", 1)
    lease.ack()


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_nothing_to_lease_is_empty(space: shmspace.Space, timeout: float) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    lease = jobs.lease(timeout=timeout)
    with pytest.raises(shmspace.Empty):
        jobs.lease(timeout=timeout)
    lease.nack()
    jobs.lease(timeout).ack()


def test_what_is_given_back_wakes_who_waits(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    for wait in (jobs.lease, jobs.get):
        lease = jobs.lease()
        call = blocked(wait)
        lease.nack()
        result = call.result()
        if wait == jobs.lease:
            assert (result.value, result.deliveries) == ("x", 2)
            result.nack()
    assert result == "x"


def test_leases_and_gets_stand_in_one_line(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    calls = [blocked(jobs.lease if turn % 2 else jobs.get) for turn in range(6)]
    jobs.put_many(range(6))
    results = [call.result() for call in calls]
    assert [result.value if turn % 2 else result for turn, result in enumerate(results)] == list(range(6))
    for lease in results[1::2]:
        lease.ack()


# Order and room


def test_what_is_given_back_comes_first_again(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("abcd")
    first, second = jobs.lease(), jobs.lease()
    first.nack()
    assert jobs.get() == "a"
    second.nack()
    assert jobs.get_many(5) == ["b", "c", "d"]


def test_several_given_back_come_in_their_old_order(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many(range(50))
    leases = [jobs.lease() for _ in range(40)]
    for lease in leases[::3] + leases[1::3] + leases[2::3]:
        lease.nack()
    assert jobs.get_many(100) == list(range(50))


def test_a_leased_value_counts_neither_in_qsize_nor_for_maxsize(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("a")
    lease = jobs.lease()
    assert (jobs.qsize(), jobs.empty(), jobs.full()) == (0, True, False)
    jobs.put("b", timeout=0)
    with pytest.raises(shmspace.Full):
        jobs.put("c", timeout=0)
    lease.ack()
    with pytest.raises(shmspace.Full):
        jobs.put("c", timeout=0)
    assert jobs.get() == "b"


def test_a_nack_never_waits_for_room(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("a")
    lease = jobs.lease()
    jobs.put("b")
    lease.nack()
    assert (jobs.qsize(), jobs.full()) == (2, True)
    with pytest.raises(shmspace.Full):
        jobs.put("c", timeout=0)
    assert jobs.get() == "a"
    with pytest.raises(shmspace.Full):
        jobs.put("c", timeout=0)
    assert jobs.get() == "b"


def test_leasing_makes_room_for_who_waits(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("a")
    call = blocked(jobs.put, "b")
    lease = jobs.lease()
    call.result()
    lease.ack()
    assert jobs.get() == "b"


def test_many_values_can_be_leased_at_once(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many([bytes([number % 256]) * (number % 500) for number in range(3000)])
    leases = [jobs.lease() for _ in range(3000)]
    assert [lease.value for lease in leases] == [bytes([number % 256]) * (number % 500) for number in range(3000)]
    for lease in leases[::2]:
        lease.ack()
    leases.clear()
    gc.collect()
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().leased) == (1500, 1500, 0)


# Dead letters


def test_without_max_deliveries_a_value_comes_again_for_ever(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    assert [fail_on(jobs) for _ in range(20)] == list(range(1, 21))
    assert jobs.dead_letters.qsize() == 0


@pytest.mark.parametrize("most", [1, 2, 5])
@pytest.mark.parametrize("value", ["small", "large" * 10_000], ids=len)
def test_after_max_deliveries_a_value_is_a_dead_letter(space: shmspace.Space, most: int, value: str) -> None:
    jobs = space.queue("q", max_deliveries=most)
    jobs.put_many([value, "other"])
    assert [fail_on(jobs) for _ in range(most)] == list(range(1, most + 1))
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().dead) == (1, 1, 1)
    with jobs.lease() as lease:
        assert (lease.value, lease.deliveries) == ("other", 1)
    jobs.join(timeout=0)
    assert jobs.dead_letters.get(timeout=0) == value
    assert jobs.stat().dead == 0


def test_a_burial_ends_join(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=1)
    jobs.put("x")
    call = blocked(jobs.join)
    jobs.lease().nack()
    call.result()
    assert jobs.dead_letters.unfinished_tasks == 1


def test_the_dead_letters_are_a_queue(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1, max_deliveries=1)
    dead = jobs.dead_letters
    assert isinstance(dead, shmspace.Queue)
    call = blocked(dead.get)
    for number in range(5):
        jobs.put(number)
        fail_on(jobs)
    assert call.result() == 0
    assert (dead.qsize(), dead.empty(), dead.full(), dead.maxsize) == (4, False, False, 0)
    assert dead.stat().ready == 4
    with dead.lease() as lease:
        assert lease.value == 1
    assert [fail_on(dead) for _ in range(3)] == [1, 2, 3]
    assert dead.qsize() == 3
    dead.put("by hand")
    assert dead.get_many(9) == [2, 3, 4, "by hand"]
    for _ in range(5):
        dead.task_done()
    dead.join(timeout=0)
    with pytest.raises(shmspace.Empty):
        dead.get_nowait()


def test_the_dead_letters_are_the_same_for_everybody(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=1)
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.put", "x")
        jobs.lease().nack()
        assert far.do("q.dead_letters.qsize") == 1
        assert pickle.loads(pickle.dumps(jobs.dead_letters)).get(timeout=0) == "x"


def test_getting_counts_no_delivery(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=1)
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        assert far.do("q.get") == "x"
    assert jobs.stat().dead == 0


# Shutdown


def test_what_is_nacked_after_shutdown_can_still_be_drained(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    one, two = jobs.lease(), jobs.lease()
    jobs.shutdown()
    closed: list[Callable[[], Any]] = [jobs.get, jobs.lease]
    for call in closed:
        with pytest.raises(shmspace.Closed):
            call()
    one.nack()
    two.nack()
    assert jobs.get() == "a"
    with jobs.lease() as again:
        assert (again.value, again.deliveries) == ("b", 2)
    with pytest.raises(shmspace.Closed):
        jobs.get()


def test_what_is_nacked_after_an_immediate_shutdown_is_gone(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=1)
    jobs.put_many([bytes(5000)] * 3)
    lease, acked = jobs.lease(), jobs.lease()
    jobs.shutdown(immediate=True)
    assert jobs.unfinished_tasks == 2
    call = blocked(jobs.join)
    lease.nack()
    acked.ack()
    call.result()
    with pytest.raises(shmspace.Closed):
        jobs.lease(timeout=0)
    assert (jobs.qsize(), jobs.dead_letters.qsize(), jobs.stat().nbytes) == (0, 0, 0)


def test_a_lease_of_a_dropped_queue_ends_without_harm(space: shmspace.Space) -> None:
    for end in ("ack", "nack", "close"):
        jobs = space.queue("q")
        jobs.put("x")
        lease = jobs.lease()
        jobs.drop()
        fresh = space.queue("q")
        fresh.put("fresh")
        getattr(lease, end)()
        assert (lease.closed, lease.value) == (True, "x")
        assert (fresh.qsize(), fresh.unfinished_tasks) == (1, 1)
        fresh.drop()


# Threads


def test_a_lease_ends_once_however_many_threads_end_it(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    for number in range(100):
        jobs.put(number)
        lease = jobs.lease()
        ends = [Call(lease.nack if turn % 2 else lease.ack) for turn in range(4)]
        for end in ends:
            end.result()
        left = jobs.unfinished_tasks
        assert jobs.qsize() == left
        if left:
            assert jobs.get() == number
            jobs.task_done()
    assert jobs.unfinished_tasks == 0


def test_what_comes_back_from_an_old_segment_hides_nothing_behind_it(space: shmspace.Space) -> None:
    """The segments between it and the newest are gone by then, each longer than the one before."""
    queue = space.queue("q")
    queue.put(0)
    lease = queue.lease()
    last = 0
    for batch in (10, 100, 1000, 5000):
        queue.put_many(range(last + 1, last + batch + 1))
        assert len(queue.get_many(batch)) == batch
        last += batch
    queue.put_many([last + 1, last + 2])
    with shmspace.open(space.name, readonly=True) as view:
        assert view.queue("q").qsize() == 2
    lease.nack()
    assert [queue.get(timeout=0) for _ in range(3)] == [0, last + 1, last + 2]
    assert queue.empty()


def test_a_value_beyond_a_held_one_is_read_in_a_tuple_space(space: shmspace.Space) -> None:
    """As above, by way of the tuple space, and by somebody who may only read."""
    ts = space.tuples()
    ts.out_many("k", range(200))
    assert ts.take_many("k", 150) == list(range(150))
    ts.out_many("k", range(200, 1000))
    with shmspace.open(space.name, readonly=True) as view:
        seen = view.tuples()
        for number in range(150, 1000):
            assert seen.read("k") == number
            assert ts.take("k") == number
        assert seen.try_read("k") is None
