"""asyncio for stores: the same calls, locks of their own, watches as asynchronous iterators, nothing lost."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call

MANY = 300


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


async def hold(st: shmspace.Store, key: str, timeout: float | None = None) -> bool:
    """Hold a lock for a moment; whether its previous holder had died."""
    async with st.aio.lock(key, timeout) as held:
        return held.owner_died


# The same calls


def test_the_calls_of_a_store_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        version = await st.aio.set("a", 1, created=5, updated=6, ttl=1e6, if_version=0, silent=True, timeout=1)
        assert await st.aio.get("a") == shmspace.Entry("a", 1, 5, 6, version)
        assert await st.aio.get("none", 7) == await st.aio.get("none", default=7) == 7
        assert [await st.aio.incr("n"), await st.aio.incr("n", 5, timeout=1)] == [1, 6]
        assert (await st.aio.patch("p", {"x": 1})).value == {"x": 1}
        key = await st.aio.push("q/*", 1, ttl=1e6, silent=True)
        assert await st.aio.keys() == sorted(["a", "n", "p", key])
        assert [entry.key for entry in await st.aio.list("*", order="desc", limit=2, since=6)] == ["p", "n"]
        assert (await st.aio.values(), (await st.aio.items())[0]) == ([1, 6, {"x": 1}, 1], ("a", 1))
        assert (await st.aio.stat()).keys == 4
        assert [await st.aio.setdefault("d", 1), await st.aio.setdefault("d", 2)] == [1, 1]
        assert [await st.aio.pop("d"), await st.aio.pop("d", 3), await st.aio.pop("d", None)] == [1, 3, None]
        await st.aio.update({"u": 1}, v=2)
        assert [await st.aio.delete("u"), await st.aio.delete("q/*"), await st.aio.delete("none*")] == [1, 1, 0]
        await st.aio.clear()
        assert len(st) == 0
        for missing in (st.aio.get("k"), st.aio.pop("k"), st.aio.delete("k")):
            with pytest.raises(shmspace.NotFound):
                await missing
        with pytest.raises(shmspace.VersionMismatch):
            await st.aio.set("k", 1, if_version=7)
        with pytest.raises(shmspace.GlobNotAllowed):
            await st.aio.set("*", 1)

    asyncio.run(main())


# Locks


def test_a_lock_belongs_to_the_held_object_not_to_the_thread(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        async with st.aio.lock("k") as held:
            assert (held.key, held.entry, held.owner_died) == ("k", None, False)
            assert await held.set([1]) > 0
            assert (held.entry, st["k"]) == (st.get("k"), [1])
            for refused in (st.aio.set("k", 2, timeout=0), st.aio.incr("k", timeout=0.01), hold(st, "k", 0)):
                with pytest.raises(shmspace.Locked):
                    await refused
            with pytest.raises(shmspace.Locked):
                st.set("k", 2, timeout=0)
            with pytest.raises(shmspace.Locked), st.lock("k", 0):
                pass
            await held.delete()
            assert "k" not in st
        with pytest.raises(shmspace.Closed):
            await held.set(1)
        st.set("k", 1, timeout=0)

    asyncio.run(main())


def test_a_threads_lock_holds_up_coroutines_locks(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        with st.lock("k"):
            with pytest.raises(shmspace.Locked):
                await hold(st, "k", 0.01)
            (task,) = await started(hold(st, "k"))
        assert await task is False

    asyncio.run(main())


def test_tasks_that_wait_for_a_lock_get_it_one_after_the_other(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        inside = most = 0

        async def work() -> None:
            nonlocal inside, most
            async with st.aio.lock("k") as held:
                inside += 1
                most = max(most, inside)
                await asyncio.sleep(0)
                await held.set((held.entry.value if held.entry else 0) + 1)
                inside -= 1

        await asyncio.gather(*(work() for _ in range(30)))
        assert (most, st["k"]) == (1, 30)

    asyncio.run(main())


def test_writes_wait_for_the_locks_of_other_processes(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        st["k"] = 1
        with Puppet(space.name) as far:
            far.do("space.store", keep="st")
            far.enter("st.lock", "k", keep="held")
            tasks = await started(
                st.aio.set("k", 5), st.aio.patch("k", 6), st.aio.delete("k*"), st.aio.clear(), hold(st, "k")
            )
            with pytest.raises(shmspace.Locked) as refusal:
                await st.aio.incr("k", timeout=0.02)
            assert (refusal.value.holders[0].pid, "0.02" in str(refusal.value)) == (far.pid, True)
            far.leave("held")
            for task in tasks:
                await asyncio.wait_for(task, 60)

    asyncio.run(main())


def test_the_lock_of_a_killed_process_passes_on_to_a_coroutine(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        with Puppet(space.name) as far:
            far.do("space.store", keep="st")
            far.enter("st.lock", "k", keep="held")
            (task,) = await started(hold(st, "k"))
            far.peer.kill()
            assert await asyncio.wait_for(task, 60) is True

    asyncio.run(main())


def test_cancelling_leaves_nothing_behind(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        st["k"] = 1
        with st.lock("k"):
            waiting, other = await started(hold(st, "k"), hold(st, "k"))
            await cancelled(waiting)
        assert await other is False
        async with st.aio.lock("k"):
            setting, deleting = await started(st.aio.set("k", 2), st.aio.delete("*"))
            await cancelled(setting)
            await cancelled(deleting)
        assert (st["k"], await hold(st, "k", 0)) == (1, False)

        async def inside() -> None:
            async with st.aio.lock("k"):
                await asyncio.sleep(1000)

        (task,) = await started(inside())
        await cancelled(task)
        assert await hold(st, "k", 0) is False

    asyncio.run(main())


# Watches


def test_a_watch_is_an_asynchronous_iterator(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        async with st.aio.watch("k/*") as watch:

            async def collect() -> list[int]:
                return [event.entry.value async for event in watch if event.op == "set"]

            (task,) = await started(collect())
            for number in range(5):
                st[f"k/{number}"] = number
                await asyncio.sleep(0)
            st["other"] = 1
            while watch.last_seq < st.get("k/4").version:
                await asyncio.sleep(0.001)
            await settle()
            watch.close()
            assert await asyncio.wait_for(task, 60) == list(range(5))
        assert watch.closed
        with pytest.raises(StopAsyncIteration):
            await watch.next()

    asyncio.run(main())


def test_events_of_other_processes_wake_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        with Puppet(space.name) as far:
            far.do("space.store", keep="st")
            watches = [st.aio.watch(glob, timeout=60) for glob in (None, "k", "*")]
            tasks = await started(*(watch.next() for watch in watches))
            far.do("st.set", "k", 7)
            assert [(await task).entry.value for task in tasks] == [7, 7, 7]

    asyncio.run(main())


def test_a_watch_may_time_out_start_earlier_and_lag(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store(shards=1, feed=4)
        watch = st.aio.watch(timeout=0.01)
        with pytest.raises(shmspace.Empty, match=r"0\.01"):
            await watch.next()
        with pytest.raises(shmspace.Empty):
            await watch.next(timeout=0)
        for number in range(20):
            st["k"] = number
        with pytest.raises(shmspace.Lagged) as gap:
            await watch.next()
        assert gap.value.lost == watch.lost > 0
        first = await watch.next()
        assert (await st.aio.watch(start=first.seq, timeout=9).next()).seq == (await watch.next()).seq

    asyncio.run(main())


def test_cancelling_a_wait_loses_no_event(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        watch = st.aio.watch()
        for number in range(50):
            (task,) = await started(watch.next())
            st["k"] = number
            if number % 2:
                await asyncio.sleep(0.002)
            if not task.cancel():
                assert (await task).entry.value == number
                continue
            try:
                event = await task
            except asyncio.CancelledError:
                event = await watch.next(timeout=60)
            assert event.entry.value == number

    asyncio.run(main())


@pytest.mark.parametrize("end", ["close", "drop"])
def test_the_end_of_the_store_is_told_to_waiting_coroutines(space: shmspace.Space, end: str) -> None:
    async def main() -> None:
        st, other = space.store(), space.store()
        async with other.aio.lock("k"):
            tasks = await started(st.aio.watch().next(), hold(st, "k"), st.aio.set("k", 1))
            getattr(st, end)()
            for task in tasks:
                with pytest.raises(shmspace.Closed):
                    await asyncio.wait_for(task, 60)

    asyncio.run(main())


def test_many_waiters_need_no_thread_each(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        before = threading.active_count()
        async with st.aio.lock("k"):
            waiting = await started(*(hold(st, "k") for _ in range(MANY)))
            watching = await started(*(st.aio.watch(f"k/{number}").next() for number in range(MANY)))
            assert threading.active_count() <= before + 1
        for task in waiting:
            assert await asyncio.wait_for(task, 60) is False
        for number in range(MANY):
            st[f"k/{number}"] = number
        assert [(await asyncio.wait_for(task, 60)).entry.value for task in watching] == list(range(MANY))

    asyncio.run(main())


def test_a_read_only_space_can_be_watched(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        with shmspace.open(space.name, readonly=True) as view:
            seen = view.store()
            (task,) = await started(seen.aio.watch().next())
            st["k"] = 1
            assert (await asyncio.wait_for(task, 60)).key == "k"
            with pytest.raises(shmspace.ReadOnly):
                await seen.aio.set("k", 1)
            with pytest.raises(shmspace.ReadOnly):
                await hold(seen, "k")

    asyncio.run(main())


def test_a_thread_can_end_what_a_coroutine_waits_for(space: shmspace.Space) -> None:
    async def main() -> None:
        st = space.store()
        watch = st.watch()
        (task,) = await started(watch.aio.next())
        Call(watch.close).result()
        with pytest.raises((StopAsyncIteration, RuntimeError)):
            await asyncio.wait_for(task, 60)

    asyncio.run(main())
