"""asyncio for logs: the same calls, streams as asynchronous iterators, nothing lost, no thread per waiter."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call

MANY = 500


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


def test_the_calls_of_a_log_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l", key_index=True, time_index=True, codec="auto")
        assert await log.aio.append([1], key="k", time=5, timeout=1) == 0
        assert await log.aio.publish([2, Message(3, "k", 7)], 1) == 3
        assert (await log.aio.read(0)).value == [1]
        batch = await log.aio.read_batch(1, 9)
        assert ([record.value for record in batch], batch.next_offset, batch.at_end) == ([2, 3], 3, True)
        assert await log.aio.consume(OLDEST, 2) == (2, [log.read(0), log.read(1)])
        assert await log.aio.consume(0, key="k") == (3, [log.read(0), log.read(2)])
        assert (await log.aio.read_by_key("k")).offset == await log.aio.offset_by_key("k") == 2
        assert (await log.aio.read_by_time(4)).offset == 0
        assert await log.aio.offset_by_time(4) == (0, 5)
        assert await log.aio.range() == (0, 2)
        assert await log.aio.stat() == log.stat()
        assert (await log.aio.delete([1])).offsets == [1]
        assert (await log.aio.compact(updates_before=9)).offsets == [0]
        assert (await log.aio.trim(count=0)).offsets == [2]

    asyncio.run(main())


def test_refusals_are_the_same(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l", segment_size=2, max_record=100)
        await log.aio.publish([b"x"] * 5)
        refusals: list[tuple[Coroutine[Any, Any, Any], type[Exception]]] = [
            (log.aio.append("text"), shmspace.CodecError),
            (log.aio.append(bytes(101)), shmspace.TooLarge),
            (log.aio.publish([b"x", bytes(101)]), shmspace.TooLarge),
            (log.aio.append(b"x", timeout=-1), ValueError),
            (log.aio.publish([b"x"], timeout=-1), ValueError),
            (log.aio.read(1), shmspace.OutOfRange),
            (log.aio.read(5), shmspace.FutureOffset),
            (log.aio.read_batch(1, 1), shmspace.OutOfRange),
            (log.aio.consume(6), shmspace.FutureOffset),
            (log.aio.consume(2, 0), ValueError),
            (log.aio.consume(2, timeout=-1), ValueError),
            (log.aio.consume(2, key="k"), shmspace.NoIndex),
            (log.aio.read_by_key("k"), shmspace.NoIndex),
            (log.aio.read_by_time(0), shmspace.NoIndex),
            (log.aio.delete([-1]), shmspace.InvalidOffset),
            (log.aio.trim(), TypeError),
            (log.aio.stream(timeout=0).next(-1), ValueError),
        ]
        for call, error in refusals:
            with pytest.raises(error):
                await call
        with pytest.raises(shmspace.OutOfRange):
            await log.aio.stream(0).next()
        assert log.range() == (2, 4)

    asyncio.run(main())


# Waiting


@pytest.mark.parametrize("offset", [OLDEST, NEWEST, 0])
def test_consume_waits_while_other_tasks_run(space: shmspace.Space, offset: int) -> None:
    async def main() -> None:
        log = space.log("l", key_index=True)
        plain, timed, keyed = await started(
            log.aio.consume(offset, timeout=None),
            log.aio.consume(offset, timeout=1000),
            log.aio.consume(offset, key="k", timeout=None),
        )
        await log.aio.append(b"0")
        assert await plain == await timed == (1, [log.read(0)])
        Call(log.append, b"1", key="k").result()
        assert await keyed == (2, [log.read(1)])

    asyncio.run(main())


def test_expiry_gives_no_records(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l")
        for timeout in (0, 0.01):
            assert await log.aio.consume(0, timeout=timeout) == (0, [])
            assert await log.aio.consume(NEWEST, timeout=timeout) == (0, [])
            with pytest.raises(shmspace.Empty):
                await log.aio.stream(timeout=timeout).next()
            with pytest.raises(shmspace.Empty):
                await anext(log.aio.stream(timeout=timeout))
            with pytest.raises(shmspace.Empty):
                await log.aio.stream().next(timeout=timeout)

    asyncio.run(main())


def test_a_stream_is_an_asynchronous_iterator(space: shmspace.Space) -> None:
    async def main() -> None:
        log, found = space.log("l"), list[int]()

        async def read() -> None:
            async with log.aio.stream() as stream:
                async for record in stream:
                    found.append(record.offset)
                    if record.data == b"last":
                        return

        (reading,) = await started(read())
        for number in range(300):
            log.append(b"%d" % number)
            if number % 50 == 0:
                await asyncio.sleep(0)
        log.append(b"last")
        await asyncio.wait_for(reading, 20)
        assert found == list(range(301))

    asyncio.run(main())


def test_a_stream_of_a_plain_call_has_coroutines_too(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l")
        stream = log.stream()
        (waiting,) = await started(stream.aio.next())
        log.publish([b"0", b"1"])
        assert (await waiting).offset == 0
        assert next(stream).offset == 1

    asyncio.run(main())


def test_a_key_and_a_start_pick_records(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l", key_index=True)
        log.publish([Message(b"x", key) for key in "abab"])
        stream = log.aio.stream(1, key="a")
        assert (await stream.next()).offset == 2
        newest, future, keyed = await started(log.aio.stream(NEWEST).next(), log.aio.stream(6).next(), stream.next())
        log.append(b"x", key="b")
        assert (await newest).offset == 4
        log.append(b"x", key="a")
        assert (await keyed).offset == 5
        log.append(b"x", key="b")
        assert (await future).offset == 6

    asyncio.run(main())


def test_records_of_another_process_wake_it(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> None:
        log = space.log("l")
        far.do("space.log", "l", keep="log")
        stream = log.aio.stream()
        for number in range(30):
            (waiting,) = await started(stream.next())
            far.do("log.append", b"%d" % number)
            assert (await waiting).offset == number

    with Puppet(space.name) as far:
        asyncio.run(main(far))


def test_being_overtaken_is_the_same(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l", segment_size=2)
        stream, skipping = log.aio.stream(), log.aio.stream(lost="skip")
        log.publish([b"x"] * 7)
        for _ in range(2):
            with pytest.raises(shmspace.OutOfRange):
                await stream.next()
        assert ((await skipping.next()).offset, skipping.lost) == (4, 4)

    asyncio.run(main())


# Hundreds


def test_hundreds_of_streams_need_no_thread_each(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l")
        found: list[list[int]] = [[] for _ in range(MANY)]

        async def read(mine: list[int]) -> None:
            async with log.aio.stream() as stream:
                async for record in stream:
                    mine.append(record.offset)
                    if len(mine) == 20:
                        return

        tasks = await started(*(read(mine) for mine in found))
        assert threading.active_count() <= threads + 1
        for _ in range(20):
            log.append(b"x")
            await asyncio.sleep(0)
        await asyncio.wait_for(asyncio.gather(*tasks), 60)
        assert found == [list(range(20))] * MANY
        assert threading.active_count() <= threads + 1

    threads = threading.active_count()
    asyncio.run(main())


# Cancelling


def test_cancelling_loses_nothing(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l")
        stream = log.aio.stream()
        for number in range(20):
            (waiting,) = await started(stream.next())
            if number % 2:
                log.append(b"x")
            await cancelled(waiting)
            if number % 2:
                assert (await stream.next(timeout=0)).offset == number // 2
        (consuming,) = await started(log.aio.consume(10, timeout=None))
        await cancelled(consuming)
        log.append(b"x")
        assert (await log.aio.consume(10, timeout=None))[0] == 11

    asyncio.run(main())


def test_wait_for_that_gives_up_leaves_the_stream_as_it_was(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.log("l")
        stream = log.aio.stream()
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(stream.next(), 0.01)
        log.append(b"x")
        assert (await asyncio.wait_for(stream.next(), 20)).offset == 0

    asyncio.run(main())


# The end


def test_closing_a_stream_ends_those_who_wait_in_it(space: shmspace.Space) -> None:
    async def main() -> None:
        async def read(stream: Any) -> list[Any]:
            return [record async for record in stream]

        log = space.log("l")
        stream, other = log.aio.stream(), log.stream()
        iterating, further = await started(read(stream), read(other.aio))
        stream.close()
        Call(other.close).result()
        assert await asyncio.wait_for(iterating, 20) == await asyncio.wait_for(further, 20) == []
        assert stream.closed
        with pytest.raises(StopAsyncIteration):
            await stream.next()

    asyncio.run(main())


@pytest.mark.parametrize("how", ["close", "drop", "destroy"])
def test_waiters_are_told_of_the_end(space_name: str, how: str) -> None:
    async def main() -> None:
        with shmspace.open(space_name, size="4M") as space:
            log = space.log("l")
            tasks = await started(log.aio.stream().next(), log.aio.stream(9).next(), log.aio.consume(0, timeout=None))
            {"close": log.close, "drop": log.drop, "destroy": space.destroy}[how]()
            results = await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
            assert [type(result) for result in results] == [shmspace.Closed] * 3

    asyncio.run(main())


def test_a_reader_of_a_read_only_space_waits_too(space: shmspace.Space) -> None:
    async def main(view: shmspace.Space) -> None:
        log = space.log("l")
        seen = view.log("l")
        streaming, consuming = await started(seen.aio.stream().next(), seen.aio.consume(0, timeout=None))
        log.append(b"x")
        assert (await asyncio.wait_for(streaming, 20)).data == b"x"
        assert (await asyncio.wait_for(consuming, 20))[0] == 1
        with pytest.raises(shmspace.ReadOnly):
            await seen.aio.append(b"y")

    space.log("l")
    with shmspace.open(space.name, readonly=True) as view:
        asyncio.run(main(view))


# Sharded


def test_the_calls_of_a_sharded_log_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        log = space.sharded_log("s", shards=4)
        assert await log.aio.append("k", b"0", time=5) == 0
        assert (await log.aio.read("k", 0)).data == b"0"
        assert len(await log.aio.read_batch("k", 0, 9)) == 1
        assert await log.aio.range("k") == (0, 0)
        stream = log.aio.stream("k", 1)
        streaming, consuming = await started(stream.next(), log.aio.consume("k", 1, timeout=None))
        await log.aio.append("k", b"1")
        assert (await streaming).data == b"1"
        assert (await consuming)[0] == 2

    asyncio.run(main())
