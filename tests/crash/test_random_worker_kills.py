"""kill -9 of an executor's workers, and of those who share a queue of `shmspace.mp`, at random instants.

Properties, whoever is killed wherever: a value whose put had returned comes out exactly once, unless whoever got it was
killed (then what his one call had in hand is missing at most); with leases none is missing, and each kill costs one
repetition at most. Every task of an executor has its one right result, and each kill costs one more run at most. The
survivors are never held up, and nothing is left behind.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import collections
import contextlib
import multiprocessing
import os
import pickle
import signal
from concurrent import futures
from functools import partial
from pathlib import Path

import shmspace
from shmspace import mp
from tests.helpers import leftovers
from tests.helpers import scenario_worker_kills as work
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_kills import Fleet, has_reached, kill_while_working
from tests.helpers.scenario_traffic import entries

KINDS_OF_WORK = 4
KILLS = max(1, int(os.environ.get("SHMSPACE_KILLS", "100")) // KINDS_OF_WORK)
OWNERS_KILLED = max(1, KILLS // 4)  # each with its workers


def noted(fleet: Fleet, role: str) -> list[tuple[int, int]]:
    return [entry for number in fleet.numbers(role) for entry in fleet.entries(role, number)]


def size_of_ledgers(place: Path) -> int:
    """How far consumers have come, in bytes of their ledgers."""
    return sum(ledger.stat().st_size for ledger in place.glob("consumer-*")) // 4


def all_put(fleet: Fleet) -> tuple[set[tuple[int, int]], set[tuple[int, int]]]:
    """What certainly was put; and what may have been: the next one of each producer that was killed."""
    put = set(noted(fleet, "producer"))
    killed = fleet.numbers("producer", killed=True)
    return put, {(producer, len(fleet.entries("producer", producer))) for producer in killed}


def test_no_value_is_lost_or_doubled_when_those_who_put_and_get_are_killed(tmp_path: Path) -> None:
    _, chance = seeded()
    with mp.Queue(chance.choice([1, 2, 7, 100, 3000])) as queue, Nursery() as nursery:
        pickled = pickle.dumps(queue)
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (work.produce, pickled, path, number), 2)
        fleet.add("consumer", lambda _, path: (work.get_values, pickled, path), 2)
        kill_while_working(fleet, chance, KILLS, ("producer", "consumer"), partial(size_of_ledgers, tmp_path))
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        for _ in fleet.numbers("consumer", killed=False):
            queue.put(None)
        fleet.finish("consumer")
        got = noted(fleet, "consumer") + work.drained(queue)
        assert queue.space.check() == []
    put, perhaps = all_put(fleet)
    assert len(set(got)) == len(got), "a value came out twice"
    assert set(got) <= put | perhaps
    assert len(put - set(got)) <= len(fleet.numbers("consumer", killed=True))


def test_no_leased_value_is_lost_when_those_who_put_and_lease_are_killed(tmp_path: Path) -> None:
    _, chance = seeded()
    with mp.Queue(chance.choice([1, 2, 7, 100, 3000])) as queue, Nursery() as nursery:
        pickled = pickle.dumps(queue)
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (work.produce, pickled, path, number), 2)
        fleet.add("consumer", lambda _, path: (work.lease_values, pickled, path), 2)
        kill_while_working(fleet, chance, KILLS, ("producer", "consumer"), partial(size_of_ledgers, tmp_path))
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        queue.join()
        queue.shutdown()
        fleet.finish("consumer")
        assert queue.stat()[:3] == (0, 0, 0)
        assert queue.space.check() == []
    put, perhaps = all_put(fleet)
    times = collections.Counter(noted(fleet, "consumer"))
    assert put <= set(times) <= put | perhaps
    assert times.total() - len(times) <= len(fleet.numbers("consumer", killed=True)), "more was repeated than killed"


def test_every_task_has_its_result_when_workers_are_killed(tmp_path: Path) -> None:
    _, chance = seeded()
    kills = 0
    with shmspace.Executor(3, max_deliveries=1 << 20) as pool:
        given: list[tuple[futures.Future[tuple[int, bytes]], bytes]] = []
        for _ in range(KILLS):
            for _ in range(chance.randrange(1, 40)):
                load = bytes(chance.choice([0, 100, 5000, 300_000]))
                given.append((pool.submit(work.note_and_return, tmp_path, len(given), load), load))
            chance.choice(given[-40:])[0].result()
            victims = [child.pid for child in multiprocessing.active_children() if child.pid]
            with contextlib.suppress(ProcessLookupError, IndexError):
                os.kill(chance.choice(victims), signal.SIGKILL)
                kills += 1
        for number, (future, load) in enumerate(given):
            assert future.result() == (number, load)
        assert pool._pool._space.check() == []
        until(lambda: pool.submit(abs, -1).result() and pool._pool._space.channels() == [], "buffers to be dropped")
    runs = collections.Counter(number for number, _ in entries(tmp_path / "runs"))
    assert set(runs) == set(range(len(given)))
    assert runs.total() <= len(given) + kills


def test_nothing_is_left_of_a_pool_whose_owner_is_killed(tmp_path: Path) -> None:
    """Its workers end by themselves; that no process is left is what every test is checked for in the end."""
    _, chance = seeded()
    strays = leftovers.strays()
    with Nursery() as nursery:
        for turn in range(OWNERS_KILLED):
            place = tmp_path / str(turn)
            place.mkdir()
            pid = nursery.start(work.own_a_pool, place)
            until(partial(has_reached, partial(runs_in, place), chance.randrange(200)), "some work to be done")
            nursery.kill(pid)
    assert leftovers.strays() <= strays


def runs_in(place: Path) -> int:
    return len(entries(place / "runs"))
