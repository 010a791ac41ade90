"""Queues and tuple spaces that are used for long need no more memory than what is in them."""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Iterator

import pytest

import shmspace
from tests.helpers.peer_seed import seeded

QUICK, LONG, PARTS = 100_000, 1_000_000, 10
MOST_BYTES = 64 << 10
KEYS, LEVEL = 3000, 60
IDLE_BYTES = 300_000
"""What empty structures may keep for those to come: segments, and entries of idle keys."""


def value_of(chance: random.Random) -> bytes:
    """Every order of magnitude is as likely as any other."""
    return b"x" * int(2 ** chance.uniform(0, MOST_BYTES.bit_length() - 1))


def use_queue(queue: shmspace.Queue, chance: random.Random) -> Iterator[None]:
    """One operation after the other."""
    while True:
        if chance.randrange(2 * LEVEL) >= queue.qsize():
            queue.put(value_of(chance))
        elif chance.randrange(3):
            queue.get()
        else:
            lease = queue.lease()
            (lease.nack if chance.randrange(4) == 0 else lease.ack)()
        yield


def use_tuples(tuples: shmspace.Tuples, chance: random.Random) -> Iterator[None]:
    keys: list[str] = []
    while True:
        if chance.randrange(2 * LEVEL) >= len(keys):
            keys.append(f"key-{int(KEYS * chance.random() ** 3)}")
            tuples.out(keys[-1], value_of(chance))
        elif chance.randrange(3) == 0:
            tuples.read(chance.choice(keys))
        else:
            tuples.take(keys.pop(chance.randrange(len(keys))))
        yield


def empty(queue: shmspace.Queue, tuples: shmspace.Tuples) -> None:
    while queue.qsize():
        queue.get()
    keys = tuples.keys()
    for key in keys:
        tuples.take_many(key, LEVEL * LEVEL, timeout=0)


def stay_flat(space: shmspace.Space, operations: int) -> None:
    """Use both, look at the memory when they are empty, and when they are gone."""
    _, chance = seeded()
    before = space.stat()
    queue, tuples = space.queue("q"), space.tuples("t")
    steps: list[Callable[[], None]] = [use_queue(queue, chance).__next__, use_tuples(tuples, chance).__next__]
    for _ in range(PARTS):
        for _ in range(operations // PARTS):
            chance.choice(steps)()
        empty(queue, tuples)
        assert space.stat().used - before.used <= IDLE_BYTES
        steps[1] = use_tuples(tuples, chance).__next__
    space.delete("queue", "q")
    space.delete("tuples", "t")
    queue.close()
    tuples.close()
    after = space.stat()
    assert after.used == before.used


def test_a_hundred_thousand_operations_leave_the_memory_as_it_was(space: shmspace.Space) -> None:
    stay_flat(space, QUICK)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_million_operations_leave_the_memory_as_it_was(space: shmspace.Space) -> None:
    stay_flat(space, int(os.environ.get("SHMSPACE_OPERATIONS", LONG)))
