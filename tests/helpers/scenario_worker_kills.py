"""Work for processes that share a queue of `shmspace.mp`, or are an executor's workers, and are killed meanwhile."""

from __future__ import annotations

import os
import pickle
import random
from pathlib import Path
from typing import Any

import shmspace
from shmspace import mp
from tests.helpers.scenario_traffic import Ledger

SIZES = (0, 10, 100, 5000, 70_000)


def body(producer: int, number: int, size: int) -> bytes:
    return bytes([(producer * 31 + number) % 256]) * size


def produce(pickled: bytes, ledger: Path, producer: int) -> None:
    """Put values until the file `stop` is beside the ledger; note each after it was put."""
    chance = random.Random(producer)
    stop = ledger.with_name("stop")
    number = 0
    with pickle.loads(pickled) as queue, Ledger(ledger) as book:
        while not stop.exists():
            queue.put((producer, number, body(producer, number, chance.choice(SIZES))))
            book.note((producer, number))
            number += 1


def opened(value: Any) -> tuple[int, int]:
    """Who put it as what number; a torn one is an error."""
    producer, number, data = value
    if data != body(producer, number, len(data)):
        raise ValueError(f"torn value {producer} {number} of {len(data)} bytes")
    return producer, number


def get_values(pickled: bytes, ledger: Path) -> None:
    """Get values until None; note each after it was got."""
    with pickle.loads(pickled) as queue, Ledger(ledger) as book:
        while (value := queue.get()) is not None:
            book.note(opened(value))


def lease_values(pickled: bytes, ledger: Path) -> None:
    """Lease values until the end of the queue; note each before it is acknowledged."""
    with pickle.loads(pickled) as queue, Ledger(ledger) as book:
        while True:
            try:
                lease = queue.lease()
            except shmspace.Closed:
                return
            with lease:
                book.note(opened(lease.value))


def note_and_return(place: Path, number: int, load: bytes) -> tuple[int, bytes]:
    """A task: note that it runs, and in which process; give back what it was given."""
    with Ledger(place / "runs") as book:
        book.note((number, os.getpid()))
    return number, load


def own_a_pool(place: Path) -> None:
    """Have a pool do tasks for ever."""
    with shmspace.Executor(2) as pool:
        number = 0
        while True:
            done = pool.map(note_and_return, [place] * 20, range(number, number + 20), [bytes(300_000), b""] * 10)
            assert [found for found, _ in done] == list(range(number, number + 20))
            number += 20


def drained(queue: mp.Queue) -> list[tuple[int, int]]:
    """All that there is, with what the dead had in hand."""
    found = []
    while True:
        try:
            found.append(opened(queue.get(timeout=1)))
        except shmspace.Empty:
            return found
