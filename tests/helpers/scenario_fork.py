"""Work for a process that forks in the middle of everything; each says `done` if all went well."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

import shmspace
from shmspace.handle import attaching
from tests.helpers.peer_wait import Call, blocked, until
from tests.helpers.scenario_channel import start_with_handles


def in_child(work: Callable[[], Any]) -> Any:
    """Fork, do the work in the child, wait for its end; what the work returned."""
    inlet, outlet = os.pipe()
    child = os.fork()
    if not child:
        code = 1
        try:
            os.write(outlet, pickle.dumps(work()))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    os.close(outlet)
    with open(inlet, "rb") as file:
        said = file.read()
    status = os.waitpid(child, 0)[1]
    assert status == 0, f"the child ended with {status}"
    return pickle.loads(said)


def refused(work: Callable[[], Any]) -> str:
    """The name of the error that the work ends in."""
    try:
        work()
    except Exception as error:
        return type(error).__name__
    return "nothing"


def take(space: shmspace.Space, timeout: float | None = None) -> bool:
    with space.lock("l", timeout) as held:
        return held.owner_died


def handles_work_in_the_child(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.reader() as reader, channel.writer() as writer:
        channel.send_many([1, 2, 3])

        def work() -> list[Any]:
            got = [channel.recv(), reader.recv()]
            writer.send("from the writer")
            channel.send("from the channel")
            return got

        assert in_child(work) == [1, 2]
        assert reader.recv_many(5) == [3, "from the writer", "from the channel"]


def the_child_is_a_member_of_its_own(space: shmspace.Space) -> None:
    before = living(space)

    def work() -> tuple[int, set[int], int]:
        space.names()
        return os.getpid(), living(space), space.stat().members

    pid, pids, count = in_child(work)
    assert pid not in before
    assert pids == before | {pid}
    assert count == len(before) + 1
    assert living(space) == before


def living(space: shmspace.Space) -> set[int]:
    return {one.pid for one in space.members() if one.alive}


def an_inherited_reader_of_all_is_the_childs_own(space: shmspace.Space) -> None:
    channel = space.channel("all", delivery="all")
    with channel.reader() as reader:
        channel.send("before")

        def work() -> tuple[str, Any, int]:
            nothing = refused(lambda: reader.recv(timeout=0))
            channel.send("to both")
            return nothing, reader.recv(timeout=0), channel.stat().readers

        assert in_child(work) == ("Empty", "to both", 2)
        assert reader.recv_many(5) == ["before", "to both"]


def an_inherited_writer_is_the_childs_own(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer:

        def work() -> int:
            writer.send("x")
            count = channel.stat().writers
            writer.close()
            return count

        assert in_child(work) == 2
        assert channel.recv() == "x"
        assert refused(lambda: channel.recv(timeout=0)) == "Empty"
        writer.send("y")
        assert channel.recv() == "y"
    assert refused(lambda: channel.recv(timeout=0)) == "EndOfStream"


def the_childs_end_ends_no_stream_of_the_parent(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer, channel.reader() as reader:
        waiting = blocked(reader.recv)
        in_child(lambda: None)
        in_child(lambda: writer.send("x"))
        assert waiting.result() == "x"
        assert refused(lambda: reader.recv(timeout=0)) == "Empty"


def closing_in_the_child_closes_nothing_of_the_parent(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer, channel.reader() as reader:

        def work() -> tuple[bool, str]:
            space.close()
            return channel.closed, refused(lambda: channel.send("x"))

        assert in_child(work) == (True, "Closed")
        assert (channel.closed, writer.closed, reader.closed) == (False, False, False)
        writer.send("y")
        assert reader.recv() == "y"


def the_parents_lock_is_not_the_childs(space: shmspace.Space) -> None:
    lock = space.lock("l")
    with lock:
        assert in_child(lambda: refused(lambda: take(space, 0))) == "Locked"
        in_child(lambda: refused(lambda: lock.__exit__(None, None, None)))
        assert refused(lambda: Call(take, space, 0).result()) == "Locked"
    assert take(space, 0) is False


def a_lock_taken_in_the_child_dies_with_it(space: shmspace.Space) -> None:
    in_child(lambda: bool(space.lock("l").__enter__()))
    assert [take(space), take(space)] == [True, False]


def the_parents_view_stays_pinned(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"x" * 9000)
    manager = channel.reader().recv_view()
    view = manager.__enter__()
    in_child(lambda: refused(lambda: manager.__exit__(None, None, None)))
    for _ in range(50):
        channel.send(b"y" * 9000)
        channel.recv()
    assert bytes(view) == b"x" * 9000
    manager.__exit__(None, None, None)


def a_child_that_unwinds_everything_leaves_the_parent_alone(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2)
    channel.send(b"x" * 9000)
    with (
        channel.writer() as writer,
        channel.reader() as reader,
        space.lock("l"),
        reader.recv_view() as pinned,
        writer.reserve(3) as reserved,
    ):
        child = os.fork()
        if not child:
            sys.exit(0)
        os.waitpid(child, 0)
        assert refused(lambda: Call(take, space, 0).result()) == "Locked"
        assert refused(lambda: channel.recv(timeout=0)) == "Empty"
        for _ in range(50):
            channel.send(b"y" * 9000)
            channel.recv()
        assert bytes(pinned) == b"x" * 9000
        reserved[:] = b"abc"
    assert channel.recv(timeout=0) == b"abc"
    assert take(space, 0) is False


def threads_of_the_parent_go_on_waiting(space: shmspace.Space) -> None:
    channel, full = space.channel("c"), space.channel("full", capacity=1)
    full.send("there")
    receiving = [blocked(channel.recv) for _ in range(3)]
    sending = blocked(full.send, "later")
    for number in range(3):
        in_child(partial(channel.send, number))
    assert sorted(call.result() for call in receiving) == [0, 1, 2]
    assert in_child(full.recv) == "there"
    sending.result()
    assert full.recv() == "later"


def forks_in_the_middle_of_traffic_lose_nothing(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=5)
    threads = [Call(channel.send_many, range(start, start + 2000)) for start in (0, 2000)]
    receiving = Call(lambda: [channel.recv() for _ in range(4000 + 20 * 5)])
    for turn in range(20):
        start = 10_000 + turn * 5
        in_child(partial(channel.send_many, range(start, start + 5)))
    assert [thread.result() for thread in threads] == [2000, 2000]
    assert sorted(receiving.result()) == [*range(4000), *range(10_000, 10_100)]


def grandchildren_work_too(space: shmspace.Space) -> None:
    channel = space.channel("c")

    def generation(left: int) -> list[int]:
        channel.send(left)
        pids = [os.getpid(), *(in_child(lambda: generation(left - 1)) if left else [])]
        channel.send(-left)
        return pids

    pids = in_child(lambda: generation(3))
    assert len({os.getpid(), *pids}) == 5
    assert channel.recv_many(20) == [3, 2, 1, 0, 0, -1, -2, -3]


def has_sent(channel: shmspace.Channel, number: int) -> bool:
    return channel.stat().sent > number


def killed_children_harm_nobody(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3)
    with channel.writer() as writer, channel.reader() as reader:
        for _ in range(10):
            before = channel.stat().sent
            child = os.fork()
            if not child:
                while True:
                    writer.send("from a child")
            until(partial(has_sent, channel, before), "the child to send")
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            while refused(lambda: reader.recv(timeout=0)) != "Empty":
                pass
        writer.send("from the parent")
        assert reader.recv() == "from the parent"
    assert space.check() == []


async def exchange(channel: shmspace.Channel, value: str) -> Any:
    waiting = asyncio.ensure_future(channel.aio.recv())
    await asyncio.sleep(0)
    await channel.aio.send(value)
    return await waiting


def asyncio_works_in_the_child(space: shmspace.Space) -> None:
    channel = space.channel("c")
    assert asyncio.run(exchange(channel, "parent")) == "parent"
    assert in_child(lambda: asyncio.run(exchange(channel, "child"))) == "child"
    assert asyncio.run(exchange(channel, "parent again")) == "parent again"


def a_child_needs_no_lock_that_a_thread_of_the_parent_had(space: shmspace.Space) -> None:
    channel = space.channel("c")
    asyncio.run(exchange(channel, "parent"))
    bell = space._attachment.ring_bells()
    held, let_go = threading.Event(), threading.Event()

    def hold() -> None:
        with attaching(), bell._lock:
            held.set()
            let_go.wait()

    def work() -> Any:
        signal.alarm(30)
        return asyncio.run(exchange(channel, "child"))

    holder = Call(hold)
    held.wait()
    assert in_child(work) == "child"
    let_go.set()
    holder.result()


SCENARIOS: dict[str, Callable[[shmspace.Space], None]] = {
    scenario.__name__: scenario
    for scenario in (
        handles_work_in_the_child,
        the_child_is_a_member_of_its_own,
        an_inherited_reader_of_all_is_the_childs_own,
        an_inherited_writer_is_the_childs_own,
        the_childs_end_ends_no_stream_of_the_parent,
        closing_in_the_child_closes_nothing_of_the_parent,
        the_parents_lock_is_not_the_childs,
        a_lock_taken_in_the_child_dies_with_it,
        the_parents_view_stays_pinned,
        a_child_that_unwinds_everything_leaves_the_parent_alone,
        threads_of_the_parent_go_on_waiting,
        forks_in_the_middle_of_traffic_lose_nothing,
        grandchildren_work_too,
        killed_children_harm_nobody,
        asyncio_works_in_the_child,
        a_child_needs_no_lock_that_a_thread_of_the_parent_had,
    )
}


def play(talk: Connection, name: str, scenario: str) -> None:
    """Open the space, do what the scenario does, and say so."""
    with shmspace.open(name, create=False) as space:
        SCENARIOS[scenario](space)
    talk.send("done")


def start_from_the_thick_of_it(talk: Connection, name: str, method: str) -> None:
    """Start a process in the given way while threads wait, a lock is held and a view pinned."""
    with shmspace.open(name, create=False) as space:
        other = space.channel("other")
        other.send(b"x" * 9000)
        with other.reader().recv_view() as view, space.lock("l"):
            waiting = [blocked(other.recv) for _ in range(3)]
            start_with_handles(talk, name, method)
            assert refused(lambda: Call(take, space, 0).result()) == "Locked"
            assert bytes(view) == b"x" * 9000
            other.send_many(range(3))
            assert sorted(call.result() for call in waiting) == [0, 1, 2]


def leave_an_orphan(_: Connection, name: str) -> None:
    """Attach, fork a child that works on, and be gone before it has used anything."""
    channel = shmspace.open(name, create=False).channel("c")
    if os.fork():
        os._exit(0)
    channel.send(os.getpid())
    channel.send(channel.space.channel("orders").recv())
    os._exit(0)
