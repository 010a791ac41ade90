"""Queues and tuple spaces in a space that may only be read: what can be looked at, and that looking disturbs nobody."""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_wait import blocked

BIG = 5000


@pytest.fixture
def view(space: shmspace.Space) -> Iterator[shmspace.Space]:
    with shmspace.open(space.name, readonly=True) as made:
        yield made


def test_a_tuple_space_can_be_looked_at(space: shmspace.Space, view: shmspace.Space) -> None:
    ts = space.tuples()
    ts.out_many("k", ["x", "y"])
    ts.out(b"big", bytes(BIG))
    seen = view.tuples()
    assert (seen.read("k"), seen.try_read("k"), seen.read("big")) == ("x", "x", bytes(BIG))
    assert (seen.len("k"), seen.len("none"), seen.waiting("k")) == (2, 0, 0)
    assert (sorted(seen.keys()), seen.keys("b"), seen.stat()) == (["big", "k"], ["big"], ts.stat())
    assert (seen.try_read("none"), seen.try_read("none", 7)) == (None, 7)
    with pytest.raises(shmspace.Empty):
        seen.read("none", timeout=0.01)
    assert ts.take_many("k", 9) == ["x", "y"]


def test_a_queue_can_be_looked_at(space: shmspace.Space, view: shmspace.Space) -> None:
    queue = space.queue("q", maxsize=3)
    queue.put_many([1, 2, 3])
    with queue.lease():
        seen = view.queue("q")
        assert (seen.qsize(), seen.full(), seen.maxsize, seen.unfinished_tasks) == (2, False, 3, 3)
        assert (seen.stat(), [lease.pid for lease in seen.leases()]) == (queue.stat(), [queue.leases()[0].pid])
        assert (seen.dead_letters.qsize(), seen.is_shutdown) == (0, False)


@pytest.mark.parametrize("call", ["tuples", "queue"])
def test_what_would_change_something_is_refused(space: shmspace.Space, view: shmspace.Space, call: str) -> None:
    space.tuples().out("k", 1)
    space.queue("default").put(1)
    ts, queue = view.tuples(), view.queue("default")
    changes: dict[str, list[Callable[[], Any]]] = {
        "tuples": [
            lambda: ts.out("k", 2),
            lambda: ts.out_many("k", [2]),
            lambda: ts.take("k"),
            lambda: ts.take("none", timeout=0),
            lambda: ts.try_take("k"),
            lambda: ts.take_many("k", 2),
            ts.shutdown,
            lambda: asyncio.run(ts.aio.take("k")),
        ],
        "queue": [
            lambda: queue.put(2),
            lambda: queue.put_many([2]),
            queue.get,
            queue.get_nowait,
            lambda: queue.get_many(2),
            queue.lease,
            queue.task_done,
            queue.join,
            queue.shutdown,
            lambda: asyncio.run(queue.aio.get()),
        ],
    }
    for change in changes[call]:
        with pytest.raises(shmspace.ReadOnly):
            change()
    assert (space.tuples().len("k"), space.queue("default").qsize()) == (1, 1)


def test_what_is_not_there_is_not_made(view: shmspace.Space) -> None:
    for opening in (view.tuples, lambda: view.queue("q")):
        with pytest.raises(shmspace.NotFound):
            opening()
    assert view.names() == []


def test_a_reader_waits_for_a_value(space: shmspace.Space, view: shmspace.Space) -> None:
    ts, seen = space.tuples(), view.tuples()
    waiting = blocked(lambda: seen.read("later"))
    ts.out("later", "here")
    assert waiting.result() == "here"

    async def read() -> Any:
        asyncio.get_running_loop().call_soon(ts.out, "much later", bytes(BIG))
        return await seen.aio.read("much later")

    assert asyncio.run(read()) == bytes(BIG)


@pytest.mark.parametrize("end", ["shutdown", "drop", "destroy", "close"])
def test_a_waiting_reader_learns_of_the_end(space: shmspace.Space, view: shmspace.Space, end: str) -> None:
    ts, seen = space.tuples(), view.tuples()
    waiting = blocked(lambda: seen.read("k"))
    {"shutdown": ts.shutdown, "drop": ts.drop, "destroy": space.destroy, "close": view.close}[end]()
    with pytest.raises(shmspace.Closed):
        waiting.result()


def test_what_was_deleted_is_closed_and_made_anew_it_is_something_else(
    space: shmspace.Space, view: shmspace.Space
) -> None:
    space.tuples().out("k", "old")
    seen = view.tuples()
    assert seen.read("k") == "old"
    space.tuples().drop()
    space.tuples().out("k", "new")
    with pytest.raises(shmspace.Closed):
        seen.try_read("k")
    assert view.tuples().read("k") == "new"


def test_reading_among_changes_gives_only_whole_values_in_order(space: shmspace.Space, view: shmspace.Space) -> None:
    """Values of all sizes come and go, with their keys, segments and blocks, while somebody looks."""
    ts, seen, over = space.tuples(), view.tuples(), threading.Event()

    def churn() -> None:
        for number in itertools.count():
            if over.is_set():
                return
            size = (1, 60, 300, BIG)[number % 4]
            for other in range(number % 7):
                ts.out(f"other {other}", number)
            ts.out_many("k", [number.to_bytes(4, "big") * size for _ in range(number % 3 + 1)])
            while ts.try_take("k") is not None:
                pass
            for other in range(number % 7):
                ts.take(f"other {other}")

    thread = threading.Thread(target=churn)
    thread.start()
    try:
        last = found = 0
        while found < 2000:
            value = seen.try_read("k")
            if value is None:
                continue
            number = int.from_bytes(value[:4], "big")
            assert value == value[:4] * (len(value) // 4)
            assert len(value) == 4 * (1, 60, 300, BIG)[number % 4]
            assert number >= last
            last, found = number, found + 1
            assert set(seen.keys()) <= {"k", *(f"other {other}" for other in range(7))}
    finally:
        over.set()
        thread.join()
