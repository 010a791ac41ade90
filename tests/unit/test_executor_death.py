"""Executors whose workers are killed or stopped, or whose owner is: tasks run again, others do not notice."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import psutil
import pytest

import shmspace
from tests.helpers import leftovers
from tests.helpers import scenario_tasks as tasks
from tests.helpers.peer import Peer
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until, until_stopped

METHODS = ("fork", "spawn", "forkserver")


def ended(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


# Workers


@pytest.mark.parametrize("method", METHODS)
def test_the_task_of_a_killed_worker_runs_again(tmp_path: Path, method: str) -> None:
    with shmspace.Executor(2, mp_context=multiprocessing.get_context(method)) as pool:
        future = pool.submit(tasks.kill_me_at_first, tmp_path / "log", 2, "done")
        others = [pool.submit(tasks.same, number) for number in range(100)]
        assert future.result() == "done"
        assert [other.result() for other in others] == list(range(100))
    pids = tasks.lines(tmp_path / "log")
    assert len(set(pids)) == len(pids) == 3


def test_a_task_that_kills_every_worker_is_given_up(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        bad = pool.submit(tasks.kill_me, tmp_path / "log")
        others = [pool.submit(tasks.same, number) for number in range(100)]
        error = bad.exception()
        assert isinstance(error, shmspace.WorkerDied)
        assert "3 times" in str(error)
        assert [other.result() for other in others] == list(range(100))
    assert len(tasks.lines(tmp_path / "log")) == 3


@pytest.mark.parametrize("tries", [1, 2, 5])
def test_max_deliveries_is_how_often_it_is_tried(tmp_path: Path, tries: int) -> None:
    with shmspace.Executor(1, max_deliveries=tries) as pool:
        assert isinstance(pool.submit(tasks.kill_me, tmp_path / "log").exception(), shmspace.WorkerDied)
        assert pool.submit(tasks.kill_me_at_first, tmp_path / "other", tries - 1, 1).result() == 1
    assert len(tasks.lines(tmp_path / "log")) == tries


def test_a_worker_that_ends_by_itself_in_a_task_has_died() -> None:
    with shmspace.Executor(1, max_deliveries=2) as pool:
        assert isinstance(pool.submit(tasks.exit_hard, 0).exception(), shmspace.WorkerDied)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGUSR1])
def test_whatever_signal_ends_a_worker_its_task_runs_again(tmp_path: Path, number: signal.Signals) -> None:
    with shmspace.Executor(1) as pool:
        future = pool.submit(tasks.wait_for, tmp_path / "go", "done")
        first = tasks.begun(tmp_path / "go")
        os.kill(first, number)
        until(lambda: len(tasks.lines(tmp_path / "go.begun")) == 2, "the task to begin again")
        (tmp_path / "go").touch()
        assert future.result() == "done"
        assert tasks.begun(tmp_path / "go") != first


@pytest.mark.parametrize("method", METHODS)
def test_an_idle_pool_fills_up_again(tmp_path: Path, method: str) -> None:
    with shmspace.Executor(2, mp_context=multiprocessing.get_context(method)) as pool:
        for turn in range(3):
            waiting = [pool.submit(tasks.wait_for, tmp_path / f"{turn}go{number}") for number in range(2)]
            pids = {tasks.begun(tmp_path / f"{turn}go{number}") for number in range(2)}
            assert len(pids) == 2
            for number in range(2):
                (tmp_path / f"{turn}go{number}").touch()
            for future in waiting:
                future.result()
            for pid in pids:
                os.kill(pid, signal.SIGKILL)


def test_all_workers_may_be_killed_at_once_and_no_future_is_lost(tmp_path: Path) -> None:
    with shmspace.Executor(3) as pool:
        waiting = [pool.submit(tasks.wait_for, tmp_path / f"go{number}", number) for number in range(3)]
        others = [pool.submit(tasks.same, number) for number in range(50)]
        for pid in [tasks.begun(tmp_path / f"go{number}") for number in range(3)]:
            os.kill(pid, signal.SIGKILL)
        for number in range(3):
            (tmp_path / f"go{number}").touch()
        assert [future.result() for future in waiting] == [0, 1, 2]
        assert [future.result() for future in others] == list(range(50))


def test_a_stopped_worker_is_not_robbed(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        future = pool.submit(tasks.wait_for, tmp_path / "go", "mine")
        stopped = tasks.begun(tmp_path / "go")
        os.kill(stopped, signal.SIGSTOP)
        until_stopped(stopped)
        (tmp_path / "go").touch()
        assert list(pool.map(tasks.same, range(200))) == list(range(200))  # the other worker has nothing else to do
        assert not future.done()
        os.kill(stopped, signal.SIGCONT)
        assert future.result() == "mine"
    assert tasks.lines(tmp_path / "go.begun") == [str(stopped)]


def test_a_stopped_worker_that_is_killed_gives_its_task_back(tmp_path: Path) -> None:
    with shmspace.Executor(1) as pool:
        future = pool.submit(tasks.wait_for, tmp_path / "go", "again")
        stopped = tasks.begun(tmp_path / "go")
        os.kill(stopped, signal.SIGSTOP)
        until_stopped(stopped)
        (tmp_path / "go").touch()
        os.kill(stopped, signal.SIGKILL)
        assert future.result() == "again"


def test_shutdown_waits_for_tasks_that_have_to_run_again(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        given = [pool.submit(tasks.kill_me_at_first, tmp_path / f"log{number}", 2, number) for number in range(4)]
    assert [future.result(timeout=0) for future in given] == list(range(4))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_every_result_comes_while_workers_are_killed_at_random(method: str) -> None:
    """Property: with no bound on deliveries every task has its one right result, whoever dies whenever."""
    _, chance = seeded()
    context: Any = multiprocessing.get_context(method)
    with shmspace.Executor(3, mp_context=context, max_deliveries=1000) as pool:
        pool.submit(tasks.same, 0).result()
        given = [pool.submit(tasks.add, number, bytes_of(number)) for number in range(600)]
        for number in range(0, 600, 40):
            given[number].exception()  # some work is done
            victims = [child.pid for child in multiprocessing.active_children() if child.pid]
            if victims:
                with contextlib.suppress(ProcessLookupError):  # it died of the last kill just now
                    os.kill(chance.choice(victims), signal.SIGKILL)
        assert [future.result() for future in given] == [number + bytes_of(number) for number in range(600)]


def bytes_of(number: int) -> int:
    return number << 4000


# The owner


def own_a_pool(talk: Connection, method: str, place: Path) -> None:
    pool = shmspace.Executor(2, mp_context=multiprocessing.get_context(method))
    for number in range(4):
        pool.submit(tasks.wait_for, place / f"go{number}", bytes(1 << 20))
    talk.send([tasks.begun(place / f"go{number}") for number in range(2)])
    talk.recv()


@pytest.mark.parametrize("method", METHODS)
def test_workers_end_when_their_owner_is_killed_and_nothing_is_left(tmp_path: Path, method: str) -> None:
    files = leftovers.strays()
    with Peer(own_a_pool, method, tmp_path) as owner:
        workers = owner.said()
        assert len(set(workers)) == 2
        owner.kill()
    for pid in workers:
        until(partial(ended, pid), "the worker to end")
    assert leftovers.strays() <= files


def test_idle_workers_end_when_their_owner_is_killed() -> None:
    with Peer(own_an_idle_pool) as owner:
        workers = owner.said()
        owner.kill()
    for pid in workers:
        until(partial(ended, pid), "the worker to end")


def own_an_idle_pool(talk: Connection) -> None:
    pool = shmspace.Executor(3)
    pool.submit(tasks.same, 1).result()
    talk.send([child.pid for child in multiprocessing.active_children()])
    talk.recv()


def test_a_stopped_worker_ends_after_its_owner_when_it_goes_on(tmp_path: Path) -> None:
    with Peer(own_a_pool, "fork", tmp_path) as owner:
        stopped, other = owner.said()
        os.kill(stopped, signal.SIGSTOP)
        until_stopped(stopped)
        owner.kill()
    until(lambda: ended(other), "the other worker to end")
    assert not ended(stopped)
    os.kill(stopped, signal.SIGCONT)
    until(lambda: ended(stopped), "the worker to end")
