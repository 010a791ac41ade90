"""Queues of `shmspace.mp` do what those of `multiprocessing` do, within one process."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import shmspace
from shmspace import mp
from tests.helpers.peer_wait import blocked

KINDS = (mp.Queue, mp.SimpleQueue, mp.JoinableQueue)


@pytest.fixture
def jobs() -> Iterator[mp.Queue]:
    with mp.Queue() as made:
        yield made


# Putting and getting


@pytest.mark.parametrize("kind", KINDS)
def test_values_come_in_the_order_they_were_put(kind: type[mp.Queue]) -> None:
    with kind() as jobs:
        for number in range(100):
            jobs.put(number)
        assert [jobs.get() for _ in range(100)] == list(range(100))


@pytest.mark.parametrize("kind", KINDS)
def test_what_was_put_is_there_at_once(kind: type[mp.Queue]) -> None:
    """A feeder thread is the reason why it is not so in multiprocessing."""
    with kind() as jobs:
        assert jobs.empty()
        jobs.put("x")
        assert (jobs.empty(), jobs.qsize(), jobs.get(timeout=0)) == (False, 1, "x")


def test_arguments_have_the_places_and_names_they_have_there() -> None:
    with mp.Queue(1) as jobs:
        jobs.put("a", True, 5)
        puts: list[Callable[[], Any]] = [
            lambda: jobs.put("b", False),
            lambda: jobs.put("b", False, None),
            lambda: jobs.put("b", True, 0.01),
            lambda: jobs.put("b", timeout=0.01),
            lambda: jobs.put_nowait("b"),
        ]
        for refused in puts:
            with pytest.raises(queue.Full):
                refused()
        assert jobs.get(True, 5) == "a"
        jobs.put(obj="c", block=True, timeout=None)
        assert jobs.get(block=True, timeout=None) == "c"
        jobs.put_nowait(obj="d")
        assert jobs.get_nowait() == "d"
        gets: list[Callable[[], Any]] = [
            lambda: jobs.get(False),
            lambda: jobs.get(False, None),
            lambda: jobs.get(True, 0.01),
            lambda: jobs.get(timeout=0.01),
            lambda: jobs.get_nowait(),
        ]
        for nothing in gets:
            with pytest.raises(queue.Empty):
                nothing()


def test_refusals_are_those_of_queue_and_of_this_package() -> None:
    with mp.Queue(maxsize=1) as jobs:
        with pytest.raises(shmspace.Empty) as nothing:
            jobs.get(timeout=0)
        jobs.put("x")
        with pytest.raises(shmspace.Full) as no_room:
            jobs.put("y", timeout=0)
    assert isinstance(nothing.value, queue.Empty)
    assert isinstance(no_room.value, queue.Full)


def test_qsize_empty_and_full_follow() -> None:
    with mp.Queue(2) as jobs:
        seen = [(jobs.qsize(), jobs.empty(), jobs.full())]
        for step in (jobs.put, jobs.put):
            step("x")
            seen.append((jobs.qsize(), jobs.empty(), jobs.full()))
        jobs.get()
        seen.append((jobs.qsize(), jobs.empty(), jobs.full()))
    assert seen == [(0, True, False), (1, False, False), (2, False, True), (1, False, False)]


@pytest.mark.parametrize("maxsize", [0, -1])
def test_a_maxsize_below_one_is_no_bound(maxsize: int) -> None:
    with mp.Queue(maxsize) as jobs:
        assert jobs.put_many(range(3000), timeout=0) == 3000
        assert not jobs.full()


def test_get_waits_for_a_value_and_put_for_room() -> None:
    with mp.Queue(1) as jobs:
        getting = blocked(jobs.get)
        jobs.put("first")
        assert getting.result() == "first"
        jobs.put("second")
        putting = blocked(jobs.put, "third")
        assert jobs.get() == "second"
        putting.result()
        assert jobs.get(timeout=0) == "third"


@pytest.mark.parametrize("timeout", [-1, -0.001])
def test_a_negative_timeout_is_a_value_error_as_in_queue(jobs: mp.Queue, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        jobs.get(timeout=timeout)
    with pytest.raises(ValueError, match="timeout"):
        jobs.put("x", timeout=timeout)
    assert jobs.empty()


def test_it_has_all_that_a_queue_of_a_space_has(jobs: mp.Queue) -> None:
    jobs.put_many("abc")
    with jobs.lease() as lease:
        assert (lease.value, lease.deliveries) == ("a", 1)
    assert jobs.get_many(5) == ["b", "c"]
    assert (jobs.unfinished_tasks, jobs.stat().ready, jobs.dead_letters.qsize()) == (2, 0, 0)
    jobs.shutdown()
    assert jobs.is_shutdown
    with pytest.raises(shmspace.Closed):
        jobs.put("d")


def test_its_calls_are_there_as_coroutines(jobs: mp.Queue) -> None:
    async def converse() -> Any:
        getting = asyncio.ensure_future(jobs.aio.get())
        await asyncio.sleep(0)
        await jobs.aio.put({"any", "pickle"})
        return await getting

    assert asyncio.run(converse()) == {"any", "pickle"}


def test_many_threads_share_a_queue(jobs: mp.Queue) -> None:
    def work() -> None:
        for number in range(200):
            jobs.put(number)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    got = [jobs.get() for _ in range(800)]
    for thread in threads:
        thread.join()
    assert sorted(got) == sorted(list(range(200)) * 4)


# Tasks


@pytest.mark.parametrize("kind", KINDS)
def test_join_waits_for_task_done(kind: type[mp.Queue]) -> None:
    with kind() as jobs:
        jobs.join()
        jobs.put_many("ab")
        call = blocked(jobs.join)
        for _ in range(2):
            jobs.get()
            assert not call.done
            jobs.task_done()
        call.result()
        with pytest.raises(ValueError, match="task_done"):
            jobs.task_done()


# Values


class Point:
    """Neither MessagePack nor an array: only pickle knows what to do."""

    def __init__(self, x: int, y: int) -> None:
        self.x, self.y = x, y

    def __repr__(self) -> str:
        return f"Point({self.x}, {self.y})"


VALUES = [
    *(None, True, 7, 1 << 80, 1.5, 2j, "text", b"bytes", bytearray(b"array"), ...),
    *((1, (2, 3)), [1, [2]], {1: {2: 3}}, {1}, frozenset("a"), range(3), Point(1, 2), ValueError("x"), int, len),
    *((), [], [None, 1, "a", b"b", 1.5, True], ("mixed", Point(3, 4))),
]


@pytest.mark.parametrize("value", VALUES, ids=repr)
@pytest.mark.parametrize("kind", KINDS)
def test_a_value_comes_as_it_went(kind: type[mp.Queue], value: Any) -> None:
    with kind() as jobs:
        jobs.put(value)
        jobs.put_many([value])
        got = [jobs.get(timeout=0), jobs.get(timeout=0)]
    assert [(type(one), repr(one)) for one in got] == [(type(value), repr(value))] * 2


def test_a_value_is_taken_as_it_is_when_it_is_put(jobs: mp.Queue) -> None:
    value = [1, 2, 3]
    jobs.put(value)
    value.append(4)
    assert jobs.get() == [1, 2, 3]


@pytest.mark.parametrize("size", [0, 1, 4095, 70_000, 3 << 20])
def test_bytes_of_any_size_arrive_whole(jobs: mp.Queue, size: int) -> None:
    data = os.urandom(size)
    jobs.put(data)
    assert jobs.get(timeout=0) == data


@pytest.mark.parametrize("shape", [(3,), (0, 5), (300, 500)])
@pytest.mark.parametrize("order", ["C", "F"])
def test_an_array_arrives_equal_and_writable(jobs: mp.Queue, shape: tuple[int, ...], order: Any) -> None:
    array = np.asarray(np.arange(float(np.prod(shape))).reshape(shape), order=order)
    jobs.put(array)
    jobs.put({"inside": array})
    for got in (jobs.get(), jobs.get()["inside"]):
        np.testing.assert_array_equal(got, array)
        assert (got.dtype, got.flags.writeable) == (array.dtype, True)
        got += 1  # its memory is its own


def test_the_memory_of_values_is_given_back(jobs: mp.Queue) -> None:
    def pass_some() -> int:
        for _ in range(3):
            jobs.put(bytes(2 << 20))
            jobs.put(np.zeros(1 << 18))
            jobs.get_many(2)
        return jobs.space.stat().used

    first = pass_some()
    assert [pass_some() for _ in range(3)] == [first] * 3


@pytest.mark.parametrize("value", [lambda: 1, threading.Lock(), (n for n in ""), [{2: threading.Lock()}]], ids=type)
def test_what_cannot_be_pickled_is_refused_by_put_itself(jobs: mp.Queue, value: object) -> None:
    """In multiprocessing put succeeds, and the feeder thread prints a traceback."""
    jobs.put("before")
    with pytest.raises(shmspace.CodecError):
        jobs.put(value)
    with pytest.raises(shmspace.CodecError):
        jobs.put_many(["fine", value])
    jobs.put("after")
    assert jobs.get_many(9) == ["before", "after"]
    assert jobs.unfinished_tasks == 2


class Tempered:
    """Goes in, and fails when it is to come out."""

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return Tempered.fail, ()

    @staticmethod
    def fail() -> None:
        raise RuntimeError("not today")


def test_what_cannot_be_unpickled_is_told_and_does_not_stay_in_the_way(jobs: mp.Queue) -> None:
    jobs.put(Tempered())
    jobs.put("next")
    with pytest.raises(shmspace.CodecError, match="not today") as refusal:
        jobs.get()
    assert isinstance(refusal.value.__cause__, RuntimeError)
    assert jobs.get(timeout=0) == "next"


def test_another_codec_may_be_asked_for() -> None:
    with mp.Queue(codec="raw") as jobs:
        jobs.put(b"data")
        assert jobs.get() == b"data"
        with pytest.raises(shmspace.CodecError):
            jobs.put("text")
    with pytest.raises(shmspace.CodecError):
        mp.Queue(codec="no such")


def test_a_connection_goes_through_a_queue(jobs: mp.Queue) -> None:
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        jobs.put(theirs)
        with jobs.get() as got:
            got.send("through it")
            assert ours.recv() == "through it"


# Closing

CALLS: dict[str, Callable[[mp.Queue], Any]] = {
    "put": lambda jobs: jobs.put("x"),
    "put_nowait": lambda jobs: jobs.put_nowait("x"),
    "put_many": lambda jobs: jobs.put_many("x"),
    "get": lambda jobs: jobs.get(),
    "get_nowait": lambda jobs: jobs.get_nowait(),
    "get_many": lambda jobs: jobs.get_many(1),
    "lease": lambda jobs: jobs.lease(),
    "qsize": lambda jobs: jobs.qsize(),
    "empty": lambda jobs: jobs.empty(),
    "task_done": lambda jobs: jobs.task_done(),
    "join": lambda jobs: jobs.join(),
    "shutdown": lambda jobs: jobs.shutdown(),
    "stat": lambda jobs: jobs.stat(),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_call_after_close_is_a_value_error(kind: type[mp.Queue], call: str) -> None:
    jobs = kind()
    jobs.put("there")
    jobs.close()
    with pytest.raises(ValueError, match="closed") as refusal:
        CALLS[call](jobs)
    assert isinstance(refusal.value, shmspace.Closed)
    assert jobs.closed


@pytest.mark.parametrize("call", [mp.Queue.get, mp.Queue.join, mp.Queue.lease, lambda jobs: jobs.put("more")])
def test_a_call_that_is_blocked_when_it_is_closed_raises_value_error(call: Callable[[mp.Queue], Any]) -> None:
    jobs = mp.Queue(maxsize=1)
    jobs.put("there")
    if call in (mp.Queue.get, mp.Queue.lease):
        jobs.get()
    waiting = blocked(call, jobs)
    jobs.close()
    with pytest.raises(ValueError, match="closed"):
        waiting.result()


def test_full_after_close_is_a_value_error() -> None:
    jobs = mp.Queue(1)
    jobs.close()
    with pytest.raises(ValueError, match="closed"):
        jobs.full()


def test_close_may_be_called_again() -> None:
    jobs = mp.Queue()
    jobs.close()
    jobs.close()
    jobs.join_thread()


def test_join_thread_is_for_after_close(jobs: mp.Queue) -> None:
    with pytest.raises(AssertionError, match="not closed"):
        jobs.join_thread()


def test_cancel_join_thread_loses_nothing(jobs: mp.Queue) -> None:
    jobs.put("kept")
    jobs.cancel_join_thread()
    assert jobs.get(timeout=0) == "kept"


@pytest.mark.parametrize("kind", KINDS)
def test_its_repr_says_what_it_is(kind: type[mp.Queue]) -> None:
    jobs = kind()
    assert repr(jobs) == f"<shmspace.mp.{kind.__name__} of maxsize 0>"
    jobs.close()
    assert repr(jobs) == f"<shmspace.mp.{kind.__name__} of maxsize 0 (closed)>"
