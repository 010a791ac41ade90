"""Work for processes that are killed while they pass values on through a queue of leases and a tuple space."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import shmspace
from tests.helpers.scenario_traffic import SIZES, Ledger, message, opened

KEYS = ("a", "b", "results/c")
ROOM = 8


def shelves(space: shmspace.Space) -> tuple[shmspace.Queue, shmspace.Tuples]:
    """Jobs, and results at some keys; there is room for few."""
    return space.queue("jobs", maxsize=ROOM), space.tuples("results", bound=ROOM)


def put_jobs(name: str, ledger: Path, producer: int) -> None:
    """Put jobs until the file `stop` is beside the ledger; note each after it was put."""
    chance, stop, number = random.Random(producer), ledger.with_name("stop"), 0
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        jobs, _ = shelves(space)
        while not stop.exists():
            jobs.put(message(producer, number, chance.choice(SIZES)))
            book.note((producer, number))
            number += 1


def do_jobs(name: str, number: int) -> None:
    """Lease jobs until their end; the result of each is there before it is acknowledged."""
    chance = random.Random(number)
    with shmspace.open(name, create=False) as space:
        jobs, results = shelves(space)
        while True:
            try:
                lease = jobs.lease()
            except shmspace.Closed:
                return
            if chance.randrange(5) == 0:
                lease.nack()
                continue
            with lease:
                opened(lease.value)
                results.out(chance.choice(KEYS), lease.value)


def look_at_results(name: str, number: int) -> None:
    """Read results, which must be whole, until their end."""
    chance = random.Random(number)
    with shmspace.open(name, create=False) as space:
        _, results = shelves(space)
        while True:
            try:
                opened(results.read(chance.choice(KEYS), timeout=0.02))
            except shmspace.Empty:
                continue
            except shmspace.Closed:
                return


def take_results(name: str, ledger: Path) -> None:
    """Take results until their end; note each after it was taken."""
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        _, results = shelves(space)
        left = list(KEYS)
        while left:
            left = [key for key in left if taken_from(results, key, book)]


def taken_from(results: shmspace.Tuples, key: str, book: Ledger) -> bool:
    """Take one if there is one soon; False when there will be none."""
    try:
        book.note(opened(results.take(key, timeout=0.005)))
    except shmspace.Empty:
        return True
    except shmspace.Closed:
        return False
    return True


def left_over(space: shmspace.Space, keys: Sequence[str] = KEYS) -> list[tuple[int, int]]:
    """All that is there, jobs and results."""
    jobs, results = shelves(space)
    found = [opened(value) for key in keys for value in results.take_many(key, 1000, timeout=0)]
    return found + [opened(value) for value in jobs.get_many(1000, timeout=0)]
