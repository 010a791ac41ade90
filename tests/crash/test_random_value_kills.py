"""kill -9 of processes that pass values on, at random instants: jobs under lease, results in a tuple space.

Properties, whoever is killed wherever: a job whose put had returned has a result, unless whoever took that was killed
(then one is missing at most); a kill of who does jobs costs one repetition at most; nobody is held up, nothing is torn,
and when all is deleted the memory is as it was.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import collections
import contextlib
import os
from pathlib import Path

import shmspace
from tests.helpers import scenario_value_kills as work
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_kills import Fleet, kill_while_working

KILLS = max(1, int(os.environ.get("SHMSPACE_KILLS", "100")) // 4)
ROLES = ("producer", "worker", "reader", "consumer")


def noted(fleet: Fleet, role: str) -> list[tuple[int, int]]:
    return [entry for number in fleet.numbers(role) for entry in fleet.entries(role, number)]


def drained(space: shmspace.Space) -> list[tuple[int, int]]:
    """All that is left, with what the dead had in hand."""
    jobs, _ = work.shelves(space)
    found: list[tuple[int, int]] = []

    def nothing_is_held() -> bool:
        with contextlib.suppress(shmspace.Closed, shmspace.Empty):
            found.extend(work.left_over(space))
        stat = jobs.stat()
        return stat.leased == stat.ready == 0

    until(nothing_is_held, "the leases of the dead to come back")
    return found


def test_every_job_has_its_result_whoever_is_killed(space: shmspace.Space, tmp_path: Path) -> None:
    _, chance = seeded()
    name, before = space.name, space.stat().used
    jobs, results = work.shelves(space)
    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (work.put_jobs, name, path, number), 2)
        fleet.add("worker", lambda number, _: (work.do_jobs, name, number), 2)
        fleet.add("reader", lambda number, _: (work.look_at_results, name, number), 1)
        fleet.add("consumer", lambda _, path: (work.take_results, name, path), 2)

        def progress() -> int:
            return sum(ledger.stat().st_size for ledger in tmp_path.glob("consumer-*")) // 4

        kill_while_working(fleet, chance, KILLS, ROLES, progress)
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        jobs.shutdown()
        fleet.finish("worker")
        results.shutdown()
        fleet.finish("reader")
        fleet.finish("consumer")
    put = set(noted(fleet, "producer"))
    perhaps = {(number, len(fleet.entries("producer", number))) for number in fleet.numbers("producer", killed=True)}
    came = collections.Counter(noted(fleet, "consumer") + drained(space))
    assert set(came) <= put | perhaps
    assert len(put - set(came)) <= len(fleet.numbers("consumer", killed=True))
    assert came.total() - len(came) <= len(fleet.numbers("worker", killed=True))
    assert space.check() == []
    for kind, structure in (("queue", jobs), ("tuples", results)):
        space.delete(kind, "jobs" if kind == "queue" else "results")
        structure.close()
    assert space.stat().used == before
