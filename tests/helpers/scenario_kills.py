"""Work for processes that are killed in the middle of it, and the fleet that they make up."""

from __future__ import annotations

import os
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import shmspace
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_wait import until
from tests.helpers.scenario_traffic import Ledger, entries


class Fleet:
    """Processes in roles: whoever is killed is replaced by a new one with a ledger of its own.

    A role is a name and a function of a number that is never used twice; the function gives the
    work and its arguments. Ledgers are files `role-number` in one directory.
    """

    def __init__(self, nursery: Nursery, place: Path) -> None:
        self.nursery, self.place = nursery, place
        self.alive: dict[int, tuple[str, int]] = {}
        self.killed: list[tuple[str, int]] = []
        self._roles: dict[str, Callable[[int, Path], tuple[Any, ...]]] = {}
        self._born = 0

    def add(self, role: str, work: Callable[[int, Path], tuple[Any, ...]], count: int) -> None:
        self._roles[role] = work
        for _ in range(count):
            self._start(role)

    def _start(self, role: str) -> None:
        number = self._born
        self._born += 1
        pid = self.nursery.start(*self._roles[role](number, self.ledger(role, number)))
        self.alive[pid] = (role, number)

    def ledger(self, role: str, number: int) -> Path:
        return self.place / f"{role}-{number}"

    def entries(self, role: str, number: int) -> list[tuple[int, int]]:
        return entries(self.ledger(role, number))

    def kill_one(self, chance: random.Random, roles: tuple[str, ...]) -> None:
        """kill -9 for anyone in these roles; another takes the place."""
        pid = chance.choice([pid for pid, (role, _) in self.alive.items() if role in roles])
        self.nursery.kill(pid)
        self.killed.append(self.alive.pop(pid))
        self._start(self.killed[-1][0])

    def finish(self, role: str) -> None:
        """Every survivor in that role ends by itself, and well."""
        codes = {who: self.nursery.ended(pid) for pid, who in self.alive.items() if who[0] == role}
        assert set(codes.values()) <= {0}, codes

    def numbers(self, role: str, *, killed: bool | None = None) -> list[int]:
        """The numbers of all who ever were in a role; of the killed or of the others only."""
        dead = {number for who, number in self.killed if who == role}
        living = {number for who, number in self.alive.values() if who == role}
        return sorted(dead | living if killed is None else dead if killed else living)


def kill_while_working(
    fleet: Fleet,
    chance: random.Random,
    kills: int,
    roles: tuple[str, ...],
    progress: Callable[[], int],
) -> None:
    """Kill again and again, each time after some more work has been done."""
    for _ in range(kills):
        until(partial(has_reached, progress, progress() + chance.randrange(60)), "work to go on")
        fleet.kill_one(chance, roles)
    until(partial(has_reached, progress, progress() + 1), "work to go on after the last kill")


def has_reached(progress: Callable[[], int], target: int) -> bool:
    return progress() >= target


def lock_and_log(name: str, log: Path, stop: Path) -> None:
    """Take and release the lock `l`; note the pid with 1 (2: owner died) at entry, 0 at leave."""
    me = os.getpid()
    with shmspace.open(name, create=False) as space, Ledger(log) as book:
        while not stop.exists():
            with space.lock("l") as held:
                book.note((me, 2 if held.owner_died else 1))
                book.note((me, 0))


def create_and_destroy(directory: Path, log: Path) -> None:
    """Create a space, use it, destroy it, for ever; note every step."""
    turn = 0
    with Ledger(log) as book:
        while True:
            turn += 1
            with shmspace.open("s", size="1M", directory=directory) as space:
                book.note((turn, 1))
                channel = space.channel("c", capacity=4)
                channel.send(bytes(10_000))
                channel.recv()
                book.note((turn, 2))
                if turn % 2:
                    space.destroy()
