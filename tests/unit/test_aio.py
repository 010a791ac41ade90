"""The asyncio versions: same names, nothing lost by cancelling, no thread per waiter."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest

import shmspace
from tests.helpers.held_words import held_words
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import Call

SOME_WAITERS = 200


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


# The same calls


def test_send_and_recv_are_coroutines(space: shmspace.Space) -> None:
    async def main() -> None:
        channel = space.channel("c")
        await channel.aio.send("a")
        assert await channel.aio.send_many(["b", "c"]) == 2
        assert await channel.aio.recv() == "a"
        assert await channel.aio.recv_many(5) == ["b", "c"]

    asyncio.run(main())


def test_readers_and_writers_have_coroutines_too(space: shmspace.Space) -> None:
    async def main() -> None:
        channel = space.channel("c")
        with channel.writer() as writer, channel.reader() as reader:
            await writer.aio.send(b"a")
            assert await writer.aio.send_many([b"b", b"c"]) == 2
            assert await writer.aio.write(b"abc") == 3
            await writer.aio.write(b"xyz")
            assert await reader.aio.recv() == b"a"
            assert await reader.aio.recv_many(2) == [b"b", b"c"]
            assert await reader.aio.read(2) == b"ab"
            assert await reader.aio.read() == b"c"
            buffer = bytearray(5)
            assert await reader.aio.readinto(buffer) == 3
            assert buffer[:3] == b"xyz"

    asyncio.run(main())


def test_views_are_async_context_managers(space: shmspace.Space) -> None:
    async def main() -> None:
        channel = space.channel("c")
        with channel.writer() as writer, channel.reader() as reader:
            async with writer.aio.reserve(3) as view:
                view[:] = b"abc"
            async with reader.aio.recv_view() as view:
                assert bytes(view) == b"abc"

    asyncio.run(main())


def test_a_reader_is_an_async_iterator_that_stops_at_the_end(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c")
        with channel.writer() as writer:
            writer.send_many([1, 2, 3])
        return [value async for value in channel.reader().aio]

    assert asyncio.run(main()) == [1, 2, 3]


def test_refusals_are_the_same(space: shmspace.Space) -> None:
    async def main() -> None:
        channel = space.channel("c", capacity=1, max_message=10)
        for timeout in (0, 0.01):
            with pytest.raises(shmspace.Empty):
                await channel.aio.recv(timeout=timeout)
        await channel.aio.send("x")
        for timeout in (0, 0.01):
            with pytest.raises(shmspace.Full):
                await channel.aio.send("y", timeout=timeout)
        with pytest.raises(shmspace.TooLarge):
            await channel.aio.send(bytes(11))
        with pytest.raises(shmspace.CodecError):
            await channel.aio.send(object())
        with pytest.raises(ValueError, match="timeout"):
            await channel.aio.recv(timeout=-1)
        channel.shutdown()
        with pytest.raises(shmspace.Closed):
            await channel.aio.send("z")
        assert await channel.aio.recv() == "x"
        with pytest.raises(shmspace.EndOfStream):
            await channel.aio.recv()

    asyncio.run(main())


# Waiting


def test_recv_waits_while_other_tasks_run(space: shmspace.Space) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        (waiting,) = await started(channel.aio.recv())
        await channel.aio.send("x")
        return await waiting

    assert asyncio.run(main()) == "x"


def test_recv_is_woken_by_another_thread(space: shmspace.Space) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        (waiting,) = await started(channel.aio.recv())
        Call(channel.send, "x").result()
        return await waiting

    assert asyncio.run(main()) == "x"


def test_recv_is_woken_by_another_process(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> Any:
        channel = space.channel("c")
        (waiting,) = await started(channel.aio.recv())
        far.do("space.channel", "c", keep="ch")
        far.do("ch.send", "x")
        return await waiting

    with Puppet(space.name) as far:
        assert asyncio.run(main(far)) == "x"


def test_send_waits_for_room_made_by_another_process(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> Any:
        channel = space.channel("c", capacity=1)
        channel.send("a")
        (waiting,) = await started(channel.aio.send("b"))
        far.do("space.channel", "c", keep="ch")
        assert far.do("ch.recv") == "a"
        await waiting
        return channel.recv(timeout=0)

    with Puppet(space.name) as far:
        assert asyncio.run(main(far)) == "b"


def test_send_many_goes_on_as_room_appears(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c", capacity=3)
        (sending,) = await started(channel.aio.send_many(range(20)))
        got = [await channel.aio.recv() for _ in range(20)]
        assert await sending == 20
        return got

    assert asyncio.run(main()) == list(range(20))


def test_many_waiters_each_get_one_message(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c")
        waiting = await started(*(channel.aio.recv() for _ in range(SOME_WAITERS)))
        await channel.aio.send_many(range(SOME_WAITERS))
        return await asyncio.gather(*waiting)

    assert sorted(asyncio.run(main())) == list(range(SOME_WAITERS))


def test_all_readers_of_all_are_woken(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c", delivery="all")
        waiting = await started(*(channel.reader().aio.recv() for _ in range(20)))
        channel.send("x")
        return await asyncio.gather(*waiting)

    assert asyncio.run(main()) == ["x"] * 20


def test_waiters_cost_neither_a_thread_nor_a_descriptor_each(space: shmspace.Space) -> None:
    async def main() -> None:
        channels = [space.channel(f"c{number}") for number in range(10)]
        one = await started(channels[0].aio.recv())
        threads, files = len(os.listdir("/proc/self/task")), len(os.listdir("/proc/self/fd"))
        many = await started(
            *(channel.aio.recv() for channel in channels for _ in range(SOME_WAITERS // 10))
        )
        assert len(os.listdir("/proc/self/task")) <= threads
        assert len(os.listdir("/proc/self/fd")) <= files
        for task in one + many:
            task.cancel()
        await asyncio.gather(*one, *many, return_exceptions=True)

    asyncio.run(main())


def test_two_event_loops_can_wait_in_one_process(space: shmspace.Space) -> None:
    there, back = space.channel("there"), space.channel("back")

    async def answer() -> None:
        for _ in range(50):
            await back.aio.send(await there.aio.recv())

    async def ask() -> None:
        for number in range(50):
            await there.aio.send(number)
            assert await back.aio.recv() == number

    call = Call(asyncio.run, answer())
    asyncio.run(ask())
    call.result()


def test_one_event_loop_can_follow_another(space: shmspace.Space) -> None:
    channel = space.channel("c")

    async def main() -> Any:
        (waiting,) = await started(channel.aio.recv())
        channel.send("x")
        return await waiting

    assert [asyncio.run(main()) for _ in range(3)] == ["x"] * 3


def test_asyncio_and_threads_can_share_a_channel(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c", capacity=4)
        sending = Call(channel.send_many, range(200))
        got = [await channel.aio.recv() for _ in range(200)]
        assert sending.result() == 200
        return got

    assert asyncio.run(main()) == list(range(200))


def test_a_lock_that_somebody_keeps_is_waited_for_and_the_loop_goes_on(space: shmspace.Space) -> None:
    """And no attempt holds the loop up as long as a call without asyncio waits for a lock."""
    channel = space.channel("c")
    reader, writer = channel.reader(), channel.writer()

    async def longest_pause() -> float:
        pauses, last = [], time.monotonic()
        for _ in range(20):
            await asyncio.sleep(0.005)
            pauses.append(time.monotonic() - last)
            last = time.monotonic()
        return max(pauses)

    async def recv_view() -> bytes:
        async with reader.aio.recv_view() as view:
            return bytes(view)

    async def reserve() -> None:
        async with writer.aio.reserve(3) as view:
            view[:] = b"abc"

    async def main(far: Puppet, call: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        with held_words(space, far, "shm_ring _lock"):
            waiting = asyncio.ensure_future(call())
            while await longest_pause() > 0.045:
                pass  # another process was in the way
            assert not waiting.done()
        return await waiting

    with Puppet(space.name) as far:
        for receive in (reader.aio.recv, recv_view, reader.aio.read):
            writer.send(b"x")
            assert asyncio.run(main(far, receive)) == b"x"
        for put in (lambda: writer.aio.send(b"abc"), reserve):
            asyncio.run(main(far, put))
            assert reader.recv(timeout=0) == b"abc"


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_a_lock_that_somebody_keeps_for_too_long_is_a_timeout(space: shmspace.Space, timeout: float) -> None:
    channel = space.channel("c")
    channel.send("x")
    with Puppet(space.name) as far, held_words(space, far, "shm_ring _lock"), pytest.raises(shmspace.Timeout):
        asyncio.run(channel.aio.recv(timeout=timeout))
    assert channel.recv(timeout=0) == "x"


# Endings


@pytest.mark.parametrize("ending", ["close", "drop", "destroy"])
def test_waiters_are_told_that_it_is_closed(space_name: str, ending: str) -> None:
    async def main() -> list[Any]:
        with shmspace.open(space_name, size="1M") as space:
            channel = space.channel("c")
            waiting = await started(*(channel.aio.recv() for _ in range(5)))
            {"close": channel.close, "drop": channel.drop, "destroy": space.destroy}[ending]()
            return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(each) for each in asyncio.run(main())] == [shmspace.Closed] * 5


@pytest.mark.parametrize("ending", ["shutdown", "last writer"])
def test_waiters_are_told_of_the_end_of_the_stream(space: shmspace.Space, ending: str) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c")
        writer = channel.writer()
        waiting = await started(*(channel.aio.recv() for _ in range(5)))
        {"shutdown": channel.shutdown, "last writer": writer.close}[ending]()
        return await asyncio.gather(*waiting, return_exceptions=True)

    assert [type(each) for each in asyncio.run(main())] == [shmspace.EndOfStream] * 5


def test_waiters_are_told_of_the_killing_of_the_last_writer(space: shmspace.Space) -> None:
    async def main(far: Puppet) -> Any:
        channel = space.channel("c")
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="writer")
        (waiting,) = await started(channel.aio.recv())
        far.kill()
        with pytest.raises(shmspace.EndOfStream):
            await waiting

    with Puppet(space.name) as far:
        asyncio.run(main(far))


# Cancelling


def test_a_cancelled_recv_has_taken_nothing(space: shmspace.Space) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        (waiting,) = await started(channel.aio.recv())
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        channel.send("x")
        return channel.recv(timeout=0)

    assert asyncio.run(main()) == "x"


def test_a_recv_cancelled_just_when_a_message_came_has_taken_nothing(
    space: shmspace.Space,
) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        (waiting,) = await started(channel.aio.recv())
        channel.send("x")
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return channel.recv(timeout=0)

    assert asyncio.run(main()) == "x"


def test_a_cancelled_send_has_sent_nothing(space: shmspace.Space) -> None:
    async def main() -> list[Any]:
        channel = space.channel("c", capacity=1)
        channel.send("there")
        (waiting,) = await started(channel.aio.send("x"))
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        return list(channel.recv_many(5))

    assert asyncio.run(main()) == ["there"]


def test_a_cancelled_waiter_takes_no_wake_up_from_another(space: shmspace.Space) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        first, second = await started(channel.aio.recv(), channel.aio.recv())
        first.cancel()
        await settle()
        channel.send("x")
        return await second

    assert asyncio.run(main()) == "x"


def test_wait_for_cancels_cleanly(space: shmspace.Space) -> None:
    async def main() -> Any:
        channel = space.channel("c")
        with pytest.raises(asyncio.TimeoutError):
            await asyncio.wait_for(channel.aio.recv(), 0.01)
        channel.send("x")
        return await asyncio.wait_for(channel.aio.recv(), 1e6)

    assert asyncio.run(main()) == "x"


def test_cancelling_at_random_loses_and_doubles_nothing(space: shmspace.Space) -> None:
    """Property: however receivers are cancelled, each message comes out exactly once."""
    _, chance = seeded()
    count = 400
    got: list[int] = []

    async def main() -> None:
        channel = space.channel("c", capacity=8)
        sending = Call(channel.send_many, range(count))
        tasks: set[asyncio.Task[Any]] = set()
        while len(got) < count:
            wanted = 8 - len(tasks)
            tasks |= {asyncio.ensure_future(channel.aio.recv()) for _ in range(wanted)}
            for _ in range(chance.randrange(4)):
                await asyncio.sleep(0)
            for task in chance.sample(sorted(tasks, key=id), 2):
                task.cancel()
            done = {task for task in tasks if task.done()}
            tasks -= done
            got.extend(task.result() for task in done if not task.cancelled())
        for task in tasks:
            task.cancel()
        left = await asyncio.gather(*tasks, return_exceptions=True)
        got.extend(each for each in left if isinstance(each, int))
        assert sending.result() == count

    asyncio.run(main())
    assert sorted(got) == list(range(count))


def test_an_event_loop_that_ends_with_waiters_leaves_nothing(space: shmspace.Space) -> None:
    async def main() -> None:
        await started(*(space.channel("c").aio.recv() for _ in range(10)))

    asyncio.run(main())
    channel = space.channel("c")
    channel.send("x")
    assert channel.recv(timeout=0) == "x"
