"""Work for the processes that a queue of `shmspace.mp` is given to, however they are started."""

from __future__ import annotations

import logging
import logging.handlers
import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from typing import Any

from shmspace import mp

METHODS = ("fork", "spawn", "forkserver")


def context(method: str) -> Any:
    """The multiprocessing context of that way to start processes."""
    return multiprocessing.get_context(method)


@contextmanager
def started(method: str, work: Callable[..., None], *args: Any) -> Iterator[Any]:
    """A process that does the work meanwhile, and is expected to end well."""
    child = context(method).Process(target=work, args=args)
    child.start()
    try:
        yield child
        child.join()
        assert child.exitcode == 0
    finally:
        child.kill()
        child.join()
        child.close()


# What the documentation of multiprocessing shows


def put_a_greeting(jobs: mp.Queue) -> None:
    jobs.put([42, None, "hello"])


def put_something_big(jobs: mp.Queue) -> None:
    jobs.put("X" * 1_000_000)


def serve(tasks: mp.Queue, answers: mp.Queue) -> None:
    """Call what comes, until STOP."""
    for number, function, args in iter(tasks.get, "STOP"):
        answers.put((number, function(*args)))


def double(number: int) -> int:
    return number * 2


def add(left: int, right: int) -> int:
    return left + right


def finish_tasks(jobs: mp.JoinableQueue, done: mp.SimpleQueue) -> None:
    """Do tasks until None."""
    while (job := jobs.get()) is not None:
        done.put(job)
        jobs.task_done()
    jobs.task_done()


def log_through(queue: mp.Queue) -> None:
    logger = logging.getLogger("worker")
    logger.setLevel(logging.INFO)
    logger.addHandler(logging.handlers.QueueHandler(queue))
    logger.propagate = False
    logger.info("said by %s", "the worker")


given: list[mp.Queue] = []


def remember(queue: mp.Queue) -> None:
    """Keep the queue for what a pool calls later."""
    given.append(queue)


def put_what_was_remembered(number: int) -> int:
    given[0].put(number)
    return os.getpid()


def put_into(queue: mp.Queue, value: object) -> int:
    queue.put(value)
    return os.getpid()


# Back and forth


def echo(there: mp.Queue, back: mp.Queue) -> None:
    """Send everything back, until None."""
    while (value := there.get()) is not None:
        back.put(value)


def put_numbers(queue: mp.Queue, first: int, last: int) -> None:
    for number in range(first, last):
        queue.put(number)


def collect(queue: mp.Queue, books: mp.Queue) -> None:
    """Get until None; give all of it, in its order."""
    books.put(list(iter(queue.get, None)))


def describe(queue: mp.Queue, answers: Connection) -> None:
    """Say what the queue looks like from here."""
    answers.send((type(queue).__name__, queue.maxsize, queue.qsize(), queue.empty(), queue.full()))


def get_a_queue_and_put(queues: mp.Queue, got: Any) -> None:
    """Take a queue out of a queue; say so; put something into it."""
    inner = queues.get()
    got.set()
    inner.put("through the inner one")


def put_and_wait_for_ever(queue: mp.Queue, value: object) -> None:
    queue.put(value)
    signal.pause()


def get_and_wait_for_ever(queue: mp.Queue, told: Any) -> None:
    queue.get()
    told.set()
    signal.pause()


def hold_a_lease_for_ever(queue: mp.Queue, told: Any) -> None:
    held = queue.lease()
    told.set()
    signal.pause()
    held.ack()


def relay_and_die(queue: mp.Queue) -> None:
    """Put, and end at once in the hardest way."""
    queue.put("the last word" * 10_000)
    os.kill(os.getpid(), signal.SIGKILL)


def close_what_is_there(queue: mp.Queue) -> None:
    queue.put("before")
    queue.close()


def drain_on_order(orders: mp.Queue, queue: mp.Queue, back: mp.Queue) -> None:
    """Get as many as is asked for, in all, and send them back."""
    wanted = orders.get()
    back.put([queue.get() for _ in range(wanted)])
