"""kill -9 of processes that write, count, push, remove, lock, read and watch keys of one store, at random instants.

Properties, whoever is killed wherever: every value that is read is whole and was written there; what a call that
returned has written is there; a count is what the calls that returned say, and one more at most for each process that
was killed; no key is stuck; when all is deleted the memory is as it was.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

import shmspace
from tests.helpers import scenario_store_kills as work
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_kills import Fleet, kill_while_working
from tests.helpers.scenario_traffic import entries, opened

KILLS = max(1, int(os.environ.get("SHMSPACE_KILLS", "100")) // 4)
ROLES = ("writer", "counter", "pusher", "locker", "looker", "watcher")
STUCK_S = 30.0
FEED = 64


def let_them_work(space: shmspace.Space, place: Path) -> Fleet:
    """Every role at work while anybody is killed; the fleet after all have ended."""
    _, chance = seeded()
    name, stop = space.name, place / "stop"
    with Nursery() as nursery:
        fleet = Fleet(nursery, place)
        fleet.add("writer", lambda number, path: (work.write_data, name, path, number), 2)
        fleet.add("counter", lambda number, path: (work.count, name, path, number), 1)
        fleet.add("pusher", lambda number, _: (work.push_and_remove, name, stop, number), 1)
        fleet.add("locker", lambda number, _: (work.rewrite_under_lock, name, stop, number), 2)
        fleet.add("looker", lambda number, _: (work.look, name, stop, number), 1)
        fleet.add("watcher", lambda number, _: (work.watch, name, stop, number), 1)

        def progress() -> int:
            return sum(ledger.stat().st_size for ledger in place.glob("writer-*")) // 8

        kill_while_working(fleet, chance, KILLS, ROLES, progress)
        stop.touch()
        for role in ROLES:
            fleet.finish(role)
    return fleet


def check_counts(fleet: Fleet, store: shmspace.Store) -> None:
    """Every number that was returned was returned once; the rest belongs to the dead."""
    noted = [entry for number in fleet.numbers("counter") for entry in fleet.entries("counter", number)]
    assert len(noted) == len(set(noted))
    missing = 0
    for place, key in enumerate(work.COUNTS):
        became = {number for counted, number in noted if counted == place}
        entry = store.get(key, None)
        total = entry.value if entry else 0
        assert became <= set(range(1, total + 1))
        missing += total - len(became)
    assert missing <= len(fleet.numbers("counter", killed=True))


def check_own(fleet: Fleet, store: shmspace.Store) -> None:
    """What was noted is there, or the next one, if it was being written at the time of a kill."""
    for number in fleet.numbers("writer"):
        noted = len(fleet.entries("writer", number))
        entry = store.get(f"own/{number}", None)
        written = 0 if entry is None else opened(entry.value)[1] + 1
        killed = number in fleet.numbers("writer", killed=True)
        assert noted <= written <= noted + killed


def check_that_nothing_is_stuck(store: shmspace.Store) -> None:
    for key in {*work.DATA, *work.COUNTS, *store}:
        with store.lock(key, timeout=STUCK_S) as held:
            held.set(b"last")
        store.set(key, b"last", timeout=STUCK_S)
        assert store[key] == b"last"
    there = len(store)
    assert store.delete("*/*") == there
    assert (len(store), list(store)) == (0, [])


def test_every_value_is_whole_whoever_is_killed(space: shmspace.Space, tmp_path: Path) -> None:
    before = space.stat().used
    store = space.store(work.NAME, shards=4, feed=FEED)
    fleet = let_them_work(space, tmp_path)
    for entry in (*store.list("data/*"), *store.list("log/*"), *store.list("own/*")):
        work.check_one(entry)
    check_counts(fleet, store)
    check_own(fleet, store)
    until(partial(nobody_watches, store), "the dead watchers to be forgotten")
    check_that_nothing_is_stuck(store)
    assert space.check() == []
    store.drop()
    store.close()  # what was dropped goes with the last handle
    assert space.check() == []
    assert space.stat().used == before


def nobody_watches(store: shmspace.Store) -> bool:
    return store.stat().watchers == 0


@pytest.mark.parametrize("shards", [1, 64])
def test_keys_expire_though_whoever_gives_them_up_is_killed(space: shmspace.Space, tmp_path: Path, shards: int) -> None:
    """Nobody sets a time afterwards: what the dead have left behind goes by itself, and nobody goes on with it."""
    _, chance = seeded()
    store = space.store(work.NAME, shards=shards, feed=FEED)
    with Nursery() as nursery:
        for turn in range(KILLS):
            book = tmp_path / f"turns-{turn}"
            pid = nursery.start(work.let_keys_expire, space.name, book, turn)
            until(partial(has_noted, book, chance.randrange(1, 30)), "keys to expire")
            nursery.kill(pid)
            until(partial(are_gone, store), "the keys of the dead to expire")
            assert (len(store), store.stat().keys, list(store)) == (0, 0, [])
            for key in work.FLEETING:
                assert store.incr(key) == 1, "the value of an expired key was gone on with"
            assert store.delete("fleeting/*") == len(work.FLEETING)
            assert space.check() == []


def has_noted(book: Path, turns: int) -> bool:
    return len(entries(book)) >= turns


def are_gone(store: shmspace.Store) -> bool:
    return not any(key in store for key in work.FLEETING)
