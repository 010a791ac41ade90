"""asyncio for queues, leases and tuple spaces: the same calls, nothing lost by cancelling, no thread per waiter."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import Call

MANY = 1000


async def settle() -> None:
    """Let every task that can run go as far as it can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def started(*work: Coroutine[Any, Any, Any]) -> list[asyncio.Task[Any]]:
    """Tasks that have begun and wait."""
    tasks = [asyncio.ensure_future(each) for each in work]
    await settle()
    assert not any(task.done() for task in tasks)
    return tasks


async def cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


# The same calls


def test_the_calls_of_a_queue_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs = space.queue("q", maxsize=5)
        await jobs.aio.put("a")
        await jobs.aio.put("b", True, 5)
        await jobs.aio.put_nowait("c")
        assert await jobs.aio.put_many([b"", bytes(100_000)]) == 2
        assert [await jobs.aio.get(), await jobs.aio.get(True, 5), await jobs.aio.get_nowait()] == ["a", "b", "c"]
        assert await jobs.aio.get_many(5) == [b"", bytes(100_000)]
        for _ in range(5):
            jobs.task_done()
        await jobs.aio.join()
        await jobs.aio.join(timeout=0)

    asyncio.run(main())


def test_the_calls_of_a_tuple_space_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        ts = space.tuples()
        for key in ("", b"\xff", "k" * 70_000):
            await ts.aio.out(key, ("a", 1))
            assert await ts.aio.out_many(key, [None, bytes(100_000)]) == 2
            assert await ts.aio.read(key) == ("a", 1)
            assert await ts.aio.try_read(key) == ("a", 1)
            assert await ts.aio.take(key, timeout=0) == ("a", 1)
            assert await ts.aio.take_many(key, 5) == [None, bytes(100_000)]
            assert await ts.aio.try_take(key, "default") == "default"
        assert ts.stat() == (0, 0, 0, 0)

    asyncio.run(main())


def test_a_lease_is_an_async_context_manager(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs = space.queue("q")
        jobs.put_many("ab")
        async with await jobs.aio.lease() as lease:
            assert (lease.value, lease.deliveries, lease.closed, jobs.qsize()) == ("a", 1, False, 1)
        assert (lease.closed, jobs.unfinished_tasks) == (True, 1)
        with pytest.raises(KeyError):
            async with await jobs.aio.lease(timeout=1):
                raise KeyError
        again = await jobs.aio.lease()
        assert (again.value, again.deliveries) == ("b", 2)
        await again.nack()
        await again.ack()
        last = await jobs.aio.lease()
        await last.ack()
        await last.close()
        await jobs.aio.join(timeout=0)

    asyncio.run(main())


def test_a_lease_of_a_plain_call_has_coroutines_too(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs = space.queue("q")
        jobs.put_many("ab")
        async with jobs.lease().aio as lease:
            assert lease.value == "a"
        await jobs.lease().aio.ack()
        assert jobs.unfinished_tasks == 0

    asyncio.run(main())


def test_refusals_are_the_same(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q", maxsize=1), space.tuples(bound=1)
        await jobs.aio.put("x")
        await ts.aio.out("k", "x")
        unfinished = jobs.unfinished_tasks
        for timeout in (0, 0.01):
            full: list[Coroutine[Any, Any, Any]] = [
                jobs.aio.put("y", timeout=timeout),
                jobs.aio.put_many("yz", timeout=timeout),
                ts.aio.out("k", "y", timeout=timeout),
                ts.aio.out_many("k", "yz", timeout=timeout),
            ]
            for work in full:
                with pytest.raises(shmspace.Full):
                    await work
            with pytest.raises(shmspace.Timeout):
                await jobs.aio.join(timeout=timeout)
        assert jobs.unfinished_tasks == unfinished
        jobs.get()
        ts.take("k")
        for timeout in (0, 0.01):
            empty: list[Coroutine[Any, Any, Any]] = [
                jobs.aio.get(timeout=timeout),
                jobs.aio.get_many(5, timeout=timeout),
                jobs.aio.lease(timeout=timeout),
                ts.aio.take("k", timeout=timeout),
                ts.aio.read("k", timeout=timeout),
                ts.aio.take_many("k", 5, timeout=timeout),
            ]
            for work in empty:
                with pytest.raises(shmspace.Empty):
                    await work
        assert (jobs.stat().waiting, ts.stat().waiting) == (0, 0)

    asyncio.run(main())


@pytest.mark.parametrize("timeout", [-1, float("nan"), float("inf")])
def test_an_impossible_timeout_is_a_value_error(space: shmspace.Space, timeout: float) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q"), space.tuples()
        jobs.put("x")
        ts.out("k", "x")
        calls: list[Coroutine[Any, Any, Any]] = [
            jobs.aio.put("y", timeout=timeout),
            jobs.aio.put_many("y", timeout=timeout),
            jobs.aio.get(timeout=timeout),
            jobs.aio.get_many(1, timeout=timeout),
            jobs.aio.lease(timeout=timeout),
            jobs.aio.join(timeout=timeout),
            ts.aio.out("k", "y", timeout=timeout),
            ts.aio.take("k", timeout=timeout),
            ts.aio.read("k", timeout=timeout),
            ts.aio.take_many("k", 1, timeout=timeout),
        ]
        for call in calls:
            with pytest.raises(ValueError, match="timeout"):
                await call
        assert (jobs.qsize(), ts.len("k"), jobs.stat().leased) == (1, 1, 0)

    asyncio.run(main())


@pytest.mark.parametrize(("count", "error"), [(0, ValueError), (-1, ValueError), ("5", TypeError), (1.0, TypeError)])
def test_a_wrong_count_is_refused(space: shmspace.Space, count: Any, error: type[Exception]) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q"), space.tuples()
        jobs.put("x")
        ts.out("k", "x")
        with pytest.raises(error):
            await jobs.aio.get_many(count)
        with pytest.raises(error):
            await ts.aio.take_many("k", count)
        assert (jobs.qsize(), ts.len("k")) == (1, 1)

    asyncio.run(main())


def test_what_cannot_be_encoded_or_is_shut_down_is_refused(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q"), space.tuples()
        with pytest.raises(shmspace.CodecError):
            await jobs.aio.put(object())
        with pytest.raises(shmspace.CodecError):
            await jobs.aio.put_many(["x", object()])
        with pytest.raises(shmspace.CodecError):
            await ts.aio.out("k", object())
        assert (jobs.qsize(), ts.keys()) == (0, [])
        jobs.put("left")
        ts.out("k", "left")
        jobs.shutdown()
        ts.shutdown()
        with pytest.raises(shmspace.Closed):
            await jobs.aio.put("x")
        with pytest.raises(shmspace.Closed):
            await ts.aio.out("k", "x")
        assert (await jobs.aio.get(), await ts.aio.take("k")) == ("left", "left")
        with pytest.raises(shmspace.Closed):
            await jobs.aio.get()
        with pytest.raises(shmspace.Closed):
            await ts.aio.take("k")
        assert await ts.aio.try_take("k", 7) == 7

    asyncio.run(main())


# Waiting


def test_each_waits_while_other_tasks_run(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q"), space.tuples()
        tasks = await started(jobs.aio.get(), jobs.aio.lease(), ts.aio.read("k"), ts.aio.take("k"), ts.aio.take("j"))
        await jobs.aio.put_many("ab")
        await ts.aio.out("k", "c")
        Call(ts.out, "j", "d").result()
        get, lease, read, take, other = await asyncio.gather(*tasks)
        assert (get, lease.value, read, take, other) == ("a", "b", "c", "c", "d")
        await lease.ack()

    asyncio.run(main())


def test_each_is_woken_by_another_process(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> None:
        jobs, ts = space.queue("q", maxsize=1), space.tuples(bound=1)
        far.do("space.queue", "q", keep="q")
        far.do("space.tuples", keep="ts")
        taking = await started(jobs.aio.get(), ts.aio.take("k"), ts.aio.read("j"))
        far.do("q.put", "a")
        far.do("ts.out", "k", "b")
        far.do("ts.out", "j", "c")
        assert await asyncio.gather(*taking) == ["a", "b", "c"]
        jobs.put("full")
        putting = await started(jobs.aio.put("late"), ts.aio.out("j", "late"), ts.aio.out_many("j", ["later"]))
        assert (far.do("q.get"), far.do("ts.take", "j")) == ("full", "c")
        await putting[0]
        assert (jobs.get(), {await ts.aio.take("j"), await ts.aio.take("j")}) == ("late", {"late", "later"})
        await asyncio.gather(*putting)
        for _ in range(2):
            jobs.task_done()
        (joining,) = await started(jobs.aio.join())
        far.do("q.task_done")
        await asyncio.wait_for(joining, 20)

    with Puppet(space.name) as far:
        asyncio.run(main(far))


def test_join_waits_until_all_is_done(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs = space.queue("q")
        jobs.put_many("ab")
        (joining,) = await started(jobs.aio.join())
        jobs.task_done()
        await asyncio.sleep(0.05)
        assert not joining.done()
        jobs.task_done()
        await asyncio.wait_for(joining, 20)

    asyncio.run(main())


def test_coroutines_threads_and_processes_stand_in_one_line(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> None:
        ts = space.tuples()
        far.do("space.tuples", keep="ts")
        one = await started(ts.aio.take("k"))
        far.begin("ts.take", "k")
        while ts.waiting("k") < 2:
            await asyncio.sleep(0.001)
        call = Call(ts.take, "k")
        while ts.waiting("k") < 3:
            await asyncio.sleep(0.001)
        two = await started(ts.aio.take_many("k", 9))
        ts.out_many("k", range(4))
        assert ts.try_take("k") is None
        assert (await one[0], far.result(), call.result(), await two[0]) == (0, 1, 2, [3])

    with Puppet(space.name) as far:
        asyncio.run(main(far))


def test_put_many_goes_on_as_room_appears(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q", maxsize=3), space.tuples(bound=2)
        putting, giving = await started(jobs.aio.put_many(range(40)), ts.aio.out_many("k", range(40)))
        assert [await jobs.aio.get() for _ in range(40)] == list(range(40))
        assert [await ts.aio.take("k") for _ in range(40)] == list(range(40))
        assert (await putting, await giving) == (40, 40)
        assert await jobs.aio.put_many(range(9), timeout=0.01) == 3

    asyncio.run(main())


@pytest.mark.parametrize("ending", ["close", "drop", "shutdown", "destroy"])
def test_waiters_are_told_of_the_end(space_name: str, ending: str) -> None:
    async def main() -> None:
        with shmspace.open(space_name, size="4M") as space:
            jobs, ts, full = space.queue("q"), space.tuples(), space.queue("full", maxsize=1)
            full.put("x")
            tasks = await started(
                *(jobs.aio.get(), jobs.aio.lease(), jobs.aio.get_many(3)),
                *(ts.aio.take("k"), ts.aio.read("k"), full.aio.put(1)),
                *([] if ending == "shutdown" else [full.aio.join()]),
            )
            if ending == "destroy":
                space.destroy()
            else:
                for shelf in (jobs, ts, full):
                    getattr(shelf, ending)()
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            assert [type(result) for result in results] == [shmspace.Closed] * len(tasks)

    asyncio.run(main())


def test_a_killed_holder_wakes_a_coroutine(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> None:
        jobs = space.queue("q")
        jobs.put("x")
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
        (waiting,) = await started(jobs.aio.lease())
        far.kill()
        lease = await asyncio.wait_for(waiting, 20)
        assert (lease.value, lease.deliveries) == ("x", 2)
        await lease.ack()

    with Puppet(space.name) as far:
        asyncio.run(main(far))


# Many


def test_a_thousand_wait_for_a_thousand_keys_and_half_are_cancelled(space: shmspace.Space) -> None:
    async def main() -> None:
        _, chance = seeded()
        ts = space.tuples()
        first = await started(ts.aio.take("first"))
        threads, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        tasks = dict(enumerate(await started(*(ts.aio.take(f"k{number}") for number in range(MANY)))))
        assert (len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))) == (threads, files)
        assert ts.stat().waiting == MANY + 1
        gone = set(chance.sample(range(MANY), MANY // 2))
        for number in gone:
            tasks[number].cancel()
            if chance.random() < 0.5:
                ts.out(f"k{number}", number)  # before it could leave
        await settle()
        assert all(tasks[number].cancelled() for number in gone)
        for number in gone:
            if not ts.len(f"k{number}"):
                ts.out(f"k{number}", number)
        for number in set(tasks) - gone:
            ts.out(f"k{number}", number)
        stayed = await asyncio.wait_for(asyncio.gather(*(tasks[number] for number in set(tasks) - gone)), 60)
        assert set(stayed) == set(tasks) - gone
        assert {ts.take(key, timeout=0) for key in ts.keys()} == gone  # noqa: SIM118
        await cancelled(first[0])
        assert ts.stat() == (0, 0, 0, 0)

    asyncio.run(main())


def test_a_thousand_wait_for_one_queue(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs = space.queue("q")
        tasks = await started(*(jobs.aio.get() for _ in range(MANY)))
        for task in tasks[::2]:
            task.cancel()
        await settle()
        assert jobs.stat().waiting == MANY // 2
        Call(jobs.put_many, range(MANY // 2)).result()
        assert await asyncio.gather(*tasks[1::2]) == list(range(MANY // 2))

    asyncio.run(main())


# Cancelling


TAKES: dict[str, Callable[[shmspace.Queue, shmspace.Tuples], Coroutine[Any, Any, Any]]] = {
    "get": lambda jobs, ts: jobs.aio.get(),
    "get_many": lambda jobs, ts: jobs.aio.get_many(3),
    "lease": lambda jobs, ts: jobs.aio.lease(),
    "take": lambda jobs, ts: ts.aio.take("k"),
    "take_many": lambda jobs, ts: ts.aio.take_many("k", 3),
    "read": lambda jobs, ts: ts.aio.read("k"),
}


@pytest.mark.parametrize("late", [False, True], ids=["before", "at the last moment"])
@pytest.mark.parametrize("size", [5, 50_000])
@pytest.mark.parametrize("call", TAKES)
def test_a_cancelled_call_has_taken_nothing(space: shmspace.Space, call: str, size: int, late: bool) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q", max_deliveries=1), space.tuples()
        data = b"x" * size
        (waiting,) = await started(TAKES[call](jobs, ts))
        if late:
            jobs.put(data)
            ts.out("k", data)
        await cancelled(waiting)
        if not late:
            jobs.put(data)
            ts.out("k", data)
        assert (ts.take("k", timeout=0), jobs.qsize(), jobs.unfinished_tasks) == (data, 1, 1)
        with jobs.lease(timeout=0) as lease:
            assert (lease.value, lease.deliveries) == (data, 1)
        assert (jobs.stat().waiting, ts.stat()) == (0, (0, 0, 0, 0))

    asyncio.run(main())


def test_a_call_cancelled_at_the_last_moment_hands_its_value_to_the_next_in_line(space: shmspace.Space) -> None:
    async def main() -> None:
        ts = space.tuples()
        first, second = await started(ts.aio.take("k"), ts.aio.take("k"))
        ts.out("k", "x")
        await cancelled(first)
        assert await asyncio.wait_for(second, 20) == "x"

    asyncio.run(main())


def test_a_cancelled_put_has_put_nothing_and_its_room_goes_to_the_next(space: shmspace.Space) -> None:
    async def main() -> None:
        jobs, ts = space.queue("q", maxsize=1), space.tuples(bound=1)
        jobs.put("there")
        ts.out("k", "there")
        putting = await started(jobs.aio.put("a"), jobs.aio.put("b"), ts.aio.out("k", "a"), ts.aio.out("k", "b"))
        assert (jobs.get(), ts.take("k")) == ("there", "there")
        await cancelled(putting[0])
        await cancelled(putting[2])
        await asyncio.wait_for(asyncio.gather(putting[1], putting[3]), 20)
        assert (jobs.get(timeout=0), ts.take("k", timeout=0)) == ("b", "b")
        assert jobs.unfinished_tasks == 2

    asyncio.run(main())


def test_random_cancelling_loses_and_doubles_nothing(space: shmspace.Space) -> None:
    """Whatever instant a call is cancelled at, its value is taken by somebody else, and by nobody twice."""
    _, chance = seeded()
    count = 2000
    got: list[int] = []

    async def consume(jobs: shmspace.Queue, chance: random.Random) -> None:
        while len(got) < count:
            task = asyncio.ensure_future(take(jobs, chance.choice(["get", "lease", "many"])))
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            if chance.random() < 0.5:
                task.cancel()
            try:
                got.extend(await task)
            except (asyncio.CancelledError, shmspace.Empty):
                pass

    async def take(jobs: shmspace.Queue, way: str) -> list[int]:
        if way == "get":
            return [await jobs.aio.get(timeout=0.05)]
        if way == "many":
            return await jobs.aio.get_many(3, timeout=0.05)
        lease = await jobs.aio.lease(timeout=0.05)
        await lease.ack()
        return [int(lease.value)]

    async def main() -> None:
        jobs = space.queue("q", maxsize=5, max_deliveries=1)
        sending = Call(jobs.put_many, range(count))
        await asyncio.wait_for(asyncio.gather(*(consume(jobs, chance) for _ in range(5))), 60)
        assert sending.result() == count
        assert (jobs.stat().ready, jobs.stat().leased, jobs.stat().dead) == (0, 0, 0)

    asyncio.run(main())
    assert sorted(got) == list(range(count))
