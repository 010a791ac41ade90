"""Work for other processes about queues and tuple spaces: handles that arrive by pickling."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import shmspace


def work_on(jobs: shmspace.Queue, answers: shmspace.Tuples) -> None:
    """Answer what is leased until the queue is shut down."""
    while True:
        try:
            lease = jobs.lease()
        except shmspace.Closed:
            return
        with lease:
            answers.out("answers", lease.value)


def start_with_values(talk: Connection, name: str, method: str) -> None:
    """Give a queue and a tuple space to a process started in the given way; says how it ended."""
    with shmspace.open(name, create=False) as space:
        jobs, answers = space.queue("jobs"), space.tuples()
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=work_on, args=(jobs, answers))
        child.start()
        for value in (1, b"two", "three", b"4" * 100_000):
            jobs.put(value)
            assert answers.take("answers") == value
        jobs.join()
        jobs.shutdown()
        child.join()
        talk.send(child.exitcode)


def pass_values_between(talk: Connection, name: str, method: str) -> None:
    """Send handles along with every task of a process pool; says what came back."""
    with shmspace.open(name, create=False) as space:
        jobs, answers = space.queue("jobs"), space.tuples()
        jobs.put_many(range(20))
        context: Any = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            pool.starmap(square_one, [(jobs, answers)] * 20)
            pool.close()
            pool.join()
        talk.send(sorted(answers.take_many("squares", 100)))


def square_one(jobs: shmspace.Queue, answers: shmspace.Tuples) -> None:
    with jobs.lease() as lease:
        answers.out("squares", lease.value**2)


def take_steadily(talk: Connection, name: str, style: str) -> None:
    """Take from the queue `q`, or at `key` of the tuple space `t`, until told to end; says what came."""
    taken = []
    with shmspace.open(name, create=False) as space:
        queue, values = space.queue("q"), space.tuples("t")
        talk.send("ready")
        while not talk.poll(0):
            try:
                if style == "lease":
                    with queue.lease(timeout=0.2) as lease:
                        taken.append(lease.value)
                else:
                    taken.append(queue.get(timeout=0.2) if style == "get" else values.take("key", timeout=0.2))
            except shmspace.Empty:
                continue
        talk.recv()
    talk.send(taken)
