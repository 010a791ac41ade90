"""The examples of multiprocessing's and logging's documentation do with `shmspace.mp` what they do with its queues."""

from __future__ import annotations

import io
import logging
import logging.handlers
from concurrent import futures
from typing import Any

import pytest

from shmspace import mp
from tests.helpers import scenario_mp
from tests.helpers.scenario_mp import METHODS, context, started

pytestmark = pytest.mark.parametrize("method", METHODS)


def test_a_child_puts_an_object(method: str) -> None:
    with mp.Queue() as queue, started(method, scenario_mp.put_a_greeting, queue):
        assert queue.get() == [42, None, "hello"]


def test_a_simple_queue_carries_an_object(method: str) -> None:
    with mp.SimpleQueue() as queue:
        with started(method, scenario_mp.put_a_greeting, queue):
            assert queue.get() == [42, None, "hello"]
        assert queue.empty()


def test_a_child_that_put_much_can_be_joined_before_anybody_gets_it(method: str) -> None:
    """The documentation of multiprocessing shows this as a deadlock."""
    with mp.Queue() as queue:
        with started(method, scenario_mp.put_something_big, queue):
            pass
        assert queue.get(timeout=0) == "X" * 1_000_000


def test_workers_are_fed_with_tasks_and_their_results_collected(method: str) -> None:
    first: list[Any] = [(number, scenario_mp.double, (number,)) for number in range(20)]
    later: list[Any] = [(number, scenario_mp.add, (number, 8)) for number in range(20, 30)]
    with mp.Queue() as tasks, mp.Queue() as answers:
        for task in first:
            tasks.put(task)
        work = (method, scenario_mp.serve, tasks, answers)
        with started(*work), started(*work):
            got = dict(answers.get() for _ in first)
            for task in later:
                tasks.put(task)
            got |= dict(answers.get() for _ in later)
            for _ in range(2):
                tasks.put("STOP")
    assert got == {number: number * 2 if number < 20 else number + 8 for number in range(30)}


def test_join_waits_until_the_workers_have_done_every_task(method: str) -> None:
    with mp.JoinableQueue() as jobs, mp.SimpleQueue() as done:
        with started(method, scenario_mp.finish_tasks, jobs, done):
            for number in range(50):
                jobs.put(number)
            jobs.join()
            assert done.qsize() == 50
            jobs.put(None)
        assert done.get_many(100) == list(range(50))


def test_records_of_other_processes_are_logged_here(method: str) -> None:
    there = io.StringIO()
    handler = logging.StreamHandler(there)
    with mp.Queue() as queue:
        listener = logging.handlers.QueueListener(queue, handler)
        listener.start()
        with started(method, scenario_mp.log_through, queue):
            pass
        listener.stop()
    assert there.getvalue() == "said by the worker\n"


def test_the_initializer_of_a_pool_gets_a_queue(method: str) -> None:
    with mp.Queue() as queue:
        with context(method).Pool(2, scenario_mp.remember, (queue,)) as pool:
            pool.map(scenario_mp.put_what_was_remembered, range(20), chunksize=1)
            pool.close()
            pool.join()
        assert sorted(queue.get_many(100, timeout=0)) == list(range(20))


def test_a_queue_is_an_argument_of_what_a_pool_calls(method: str) -> None:
    """Multiprocessing refuses that: its queues are inherited only, or need a manager."""
    with mp.Queue() as queue:
        with futures.ProcessPoolExecutor(2, mp_context=context(method)) as pool:
            for number in range(10):
                pool.submit(scenario_mp.put_into, queue, number)
        assert sorted(queue.get_many(100, timeout=0)) == list(range(10))
