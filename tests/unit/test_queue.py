"""Queues do what `queue.Queue` does: putting, getting, waiting, tasks."""

from __future__ import annotations

import array
import math
import queue
import threading
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked

# Putting and getting


def test_values_come_in_the_order_they_were_put(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    for number in range(500):
        jobs.put(number)
    assert [jobs.get() for _ in range(500)] == list(range(500))


def test_order_is_kept_over_many_rounds_of_a_small_queue(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=3)
    got = []
    for number in range(0, 2000, 2):
        jobs.put(number, timeout=0)
        jobs.put(number + 1, timeout=0)
        got += [jobs.get(timeout=0), jobs.get(timeout=0)]
    assert got == list(range(2000))


def test_qsize_empty_and_full_follow(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=2)
    seen = [(jobs.qsize(), jobs.empty(), jobs.full())]
    for step in (jobs.put_nowait, jobs.put_nowait):
        step("x")
        seen.append((jobs.qsize(), jobs.empty(), jobs.full()))
    jobs.get_nowait()
    seen.append((jobs.qsize(), jobs.empty(), jobs.full()))
    assert seen == [(0, True, False), (1, False, False), (2, False, True), (1, False, False)]
    assert jobs.maxsize == 2


def test_a_queue_without_maxsize_is_never_full(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    assert jobs.maxsize == 0
    assert jobs.put_many(range(5000), timeout=0) == 5000
    assert (jobs.full(), jobs.qsize()) == (False, 5000)


def test_the_nowait_calls_do_not_wait(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    with pytest.raises(queue.Empty):
        jobs.get_nowait()
    jobs.put_nowait("x")
    with pytest.raises(queue.Full):
        jobs.put_nowait("y")
    assert jobs.get_nowait() == "x"


def test_arguments_have_the_places_and_names_they_have_there(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("a", True, 5)
    with pytest.raises(shmspace.Full):
        jobs.put("b", False)
    with pytest.raises(shmspace.Full):
        jobs.put("b", True, 0.01)
    with pytest.raises(shmspace.Full):
        jobs.put("b", block=False, timeout=None)
    assert jobs.get(True, 5) == "a"
    jobs.put("c", block=True, timeout=None)
    assert jobs.get(block=True, timeout=None) == "c"
    for arguments in ((False,), (True, 0), (True, 0.01)):
        with pytest.raises(shmspace.Empty):
            jobs.get(*arguments)


def test_without_block_a_timeout_is_not_waited_for(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    with pytest.raises(shmspace.Empty):
        jobs.get(False, 1e6)
    jobs.put("x", False, 1e6)
    with pytest.raises(shmspace.Full):
        jobs.put("y", False, 1e6)


@pytest.mark.parametrize("wrong", [(), ("a", True, None, 1)])
def test_a_wrong_number_of_arguments_is_a_type_error(space: shmspace.Space, wrong: tuple[Any, ...]) -> None:
    put: Any = space.queue("q").put
    with pytest.raises(TypeError):
        put(*wrong)
    with pytest.raises(TypeError):
        put("a", no_such=1)
    assert space.queue("q").qsize() == 0


def test_a_payload_is_copied_in_and_out(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    data = bytearray(b"x" * 10_000)
    jobs.put(data)
    data[:] = b"y" * 10_000
    first = jobs.get()
    jobs.put(b"z" * 10_000)
    assert first == b"x" * 10_000
    assert type(first) is bytes


SIZES = [0, 1, 7, 8, 9, 31, 32, 33, 63, 64, 65, 255, 256, 4095, 4096, 4097, 65536, 65537, 1 << 20, 5 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_a_value_of_any_size_arrives_whole(space: shmspace.Space, size: int) -> None:
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    jobs = space.queue("q")
    jobs.put(data, timeout=0)
    assert jobs.get(timeout=0) == data
    jobs.put_many([data, b"between", data][: 3 if size < 1 << 20 else 2], timeout=0)
    assert jobs.get_many(2, timeout=0) == [data, b"between"]


@pytest.mark.parametrize("data", [bytearray(b"abcd"), memoryview(b"abcd"), array.array("B", b"abcd")], ids=type)
def test_any_bytes_like_object_can_be_put(space: shmspace.Space, data: Any) -> None:
    jobs = space.queue("q")
    jobs.put(data)
    assert jobs.get() == b"abcd"


def test_values_pass_between_processes(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        jobs.put(b"there")
        assert far.do("q.get") == b"there"
        far.do("q.put", b"back" * 10_000)
        assert jobs.get() == b"back" * 10_000


# Many


def test_put_many_and_get_many_keep_the_order(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    assert jobs.put_many(["a", b"", None, 7]) == 4
    assert jobs.get_many(3) == ["a", b"", None]
    assert jobs.get_many(3) == [7]


def test_get_many_takes_what_is_there_and_waits_for_the_first_only(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    with pytest.raises(shmspace.Empty):
        jobs.get_many(5, timeout=0)
    call = blocked(jobs.get_many, 5)
    jobs.put("x")
    assert call.result() == ["x"]


def test_put_many_of_nothing_is_nothing(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("x")
    assert jobs.put_many([], timeout=0) == 0
    assert jobs.unfinished_tasks == 1


def test_put_many_goes_on_as_room_appears(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=3)
    call = blocked(jobs.put_many, range(20))
    assert [jobs.get() for _ in range(20)] == list(range(20))
    assert call.result() == 20


def test_put_many_that_expires_returns_how_many_went(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=3)
    assert jobs.put_many(range(10), timeout=0) == 3
    with pytest.raises(shmspace.Full):
        jobs.put_many(range(10), timeout=0.01)
    jobs.get()
    assert jobs.put_many("ab", timeout=0.01) == 1
    assert jobs.get_many(9) == [1, 2, "a"]


def test_put_many_checks_everything_before_it_puts_anything(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    with pytest.raises(shmspace.CodecError):
        jobs.put_many(["fine", object()])
    assert (jobs.qsize(), jobs.unfinished_tasks) == (0, 0)


def test_put_many_takes_any_iterable_and_nothing_else(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    assert jobs.put_many(number * number for number in range(4)) == 4
    assert jobs.get_many(9) == [0, 1, 4, 9]
    wrong: Any = 7
    with pytest.raises(TypeError):
        jobs.put_many(wrong)


@pytest.mark.parametrize("count", [0, -1, -(1 << 70)])
def test_get_many_of_less_than_one_is_a_value_error(space: shmspace.Space, count: int) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with pytest.raises(ValueError, match="max_count"):
        jobs.get_many(count)
    assert jobs.qsize() == 1


@pytest.mark.parametrize("count", ["5", 1.0, None, True])
def test_get_many_of_no_whole_number_is_a_type_error(space: shmspace.Space, count: Any) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with pytest.raises(TypeError):
        jobs.get_many(count)
    assert jobs.qsize() == 1


def test_get_many_may_be_asked_for_any_number(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many(range(3000))
    assert jobs.get_many(1 << 40) == list(range(3000))
    jobs.put("x")
    assert jobs.get_many(1 << 70) == ["x"]


# Waiting


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_get_waits_for_a_value(space: shmspace.Space, timeout: float | None) -> None:
    jobs = space.queue("q")
    call = blocked(jobs.get, timeout=timeout)
    jobs.put(b"x")
    assert call.result() == b"x"


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_put_waits_for_room(space: shmspace.Space, timeout: float | None) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("a")
    call = blocked(jobs.put, "b", timeout=timeout)
    assert jobs.get() == "a"
    call.result()
    assert jobs.get(timeout=0) == "b"


def test_each_waits_for_another_process(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        call = blocked(jobs.get)
        far.do("q.put", "x")
        assert call.result() == "x"
        far.do("q.put", "full")
        call = blocked(jobs.put, "y")
        assert far.do("q.get") == "full"
        call.result()
        assert far.do("q.get") == "y"
        far.begin("q.get").until_blocked()
        jobs.put("z")
        assert far.result() == "z"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01])
def test_an_expiry_is_empty_or_full(space: shmspace.Space, timeout: float) -> None:
    jobs = space.queue("q", maxsize=1)
    with pytest.raises(shmspace.Empty) as nothing:
        jobs.get(timeout=timeout)
    assert isinstance(nothing.value, queue.Empty)
    assert isinstance(nothing.value, TimeoutError)
    jobs.put("x")
    with pytest.raises(shmspace.Full) as no_room:
        jobs.put("y", timeout=timeout)
    assert isinstance(no_room.value, queue.Full)
    assert isinstance(no_room.value, TimeoutError)
    assert jobs.get_many(5, timeout=timeout) == ["x"]


def test_every_blocked_getter_is_served_in_its_turn(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    calls = [blocked(jobs.get) for _ in range(8)]
    jobs.put_many(range(8))
    assert [call.result() for call in calls] == list(range(8))


def test_every_blocked_putter_gets_room(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put(-1)
    calls = [blocked(jobs.put, number) for number in range(8)]
    assert sorted(jobs.get(timeout=20) for _ in range(9)) == list(range(-1, 8))
    for call in calls:
        call.result()


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("method", ["put", "put_many", "get", "get_many", "join", "lease"])
def test_an_impossible_timeout_is_a_value_error(space: shmspace.Space, method: str, timeout: float) -> None:
    jobs = space.queue("q")
    jobs.put(b"there")
    calls: dict[str, Callable[[], Any]] = {
        "put": lambda: jobs.put(b"x", timeout=timeout),
        "put_many": lambda: jobs.put_many([b"x"], timeout=timeout),
        "get": lambda: jobs.get(timeout=timeout),
        "get_many": lambda: jobs.get_many(1, timeout=timeout),
        "join": lambda: jobs.join(timeout=timeout),
        "lease": lambda: jobs.lease(timeout=timeout),
    }
    with pytest.raises(ValueError, match="timeout"):
        calls[method]()
    assert (jobs.qsize(), jobs.stat().leased, jobs.unfinished_tasks) == (1, 0, 1)


@pytest.mark.parametrize("timeout", ["1", [], True, 1j])
def test_a_timeout_that_is_no_number_is_a_type_error(space: shmspace.Space, timeout: Any) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    calls: list[Callable[[], Any]] = [
        lambda: jobs.put("y", timeout=timeout),
        lambda: jobs.put_many(["y"], timeout=timeout),
        lambda: jobs.get(timeout=timeout),
        lambda: jobs.get_many(1, timeout=timeout),
        lambda: jobs.lease(timeout=timeout),
        lambda: jobs.join(timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert jobs.qsize() == 1


def test_a_value_that_cannot_be_encoded_is_refused_before_waiting(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    jobs.put("x")
    with pytest.raises(shmspace.CodecError, match="object"):
        jobs.put(object())


# Tasks


def test_join_waits_until_every_task_is_done(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.join()
    jobs.put_many("ab")
    assert jobs.unfinished_tasks == 2
    call = blocked(jobs.join)
    for left in (1, 0):
        jobs.get()
        assert not call.done
        jobs.task_done()
        assert jobs.unfinished_tasks == left
    call.result()


def test_join_waits_for_tasks_of_another_process(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("ab")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        call = blocked(jobs.join)
        for _ in range(2):
            far.do("q.get")
            assert not call.done
            far.do("q.task_done")
        call.result()
        jobs.put("c")
        far.begin("q.join").until_blocked()
        jobs.get()
        jobs.task_done()
        far.result()


def test_join_that_expires_is_a_timeout_and_neither_empty_nor_full(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    for timeout in (0, 0.01):
        with pytest.raises(shmspace.Timeout) as refusal:
            jobs.join(timeout)
        assert not isinstance(refusal.value, queue.Empty | queue.Full)


@pytest.mark.parametrize("tasks", [0, 3])
def test_one_task_done_too_many_is_a_value_error(space: shmspace.Space, tasks: int) -> None:
    jobs = space.queue("q")
    jobs.put_many(range(tasks))
    for _ in range(tasks):
        jobs.task_done()
    with pytest.raises(ValueError, match="task_done"):
        jobs.task_done()
    jobs.put("x")
    assert jobs.unfinished_tasks == 1


def test_all_who_join_are_woken(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    calls = [blocked(jobs.join) for _ in range(5)]
    jobs.task_done()
    for call in calls:
        call.result()


def test_workers_and_join_account_for_every_task(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=7)
    total, lock = 0, threading.Lock()

    def work() -> None:
        nonlocal total
        while (number := jobs.get()) >= 0:
            with lock:
                total += number
            jobs.task_done()
        jobs.task_done()

    for _ in range(2):
        workers = [Call(work) for _ in range(3)]
        before = total
        for number in range(100):
            jobs.put(number)
        jobs.join()
        assert total == before + sum(range(100))
        for _ in workers:
            jobs.put(-1)
        jobs.join()
        for worker in workers:
            worker.result()


def test_getting_does_not_finish_a_task(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("abc")
    jobs.get_many(3)
    assert jobs.unfinished_tasks == 3


# Numbers


def test_stat_counts(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    assert tuple(jobs.stat()) == (0, 0, 0, 0, 0)
    jobs.put_many([bytes(10_000), b"y", b"z"])
    first = jobs.stat()
    assert (first.ready, first.leased, first.dead, first.waiting) == (3, 0, 0, 0)
    assert first.nbytes >= 10_002
    with jobs.lease():
        second = jobs.stat()
        assert (second.ready, second.leased) == (2, 1)
        jobs.get_many(2)
        call = blocked(jobs.get)
        assert jobs.stat().waiting == 1
        jobs.put("w")
        call.result()
    assert tuple(jobs.stat()) == (0, 0, 0, 0, 0)


def test_stat_is_the_same_for_everybody(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many("abc")
    jobs.get()
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        assert far.do("q.stat") == jobs.stat()
        assert far.do("q.qsize") == 2
        assert far.look("q.unfinished_tasks") == 3
