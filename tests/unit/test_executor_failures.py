"""What fails in a task, or on its way there or back, fails its own future only, and says why."""

from __future__ import annotations

import multiprocessing
import pickle
import threading
import traceback
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

import shmspace
from shmspace.executor import RemoteTraceback
from tests.helpers import scenario_tasks as tasks
from tests.helpers.peer_wait import until

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture
def pool() -> Iterator[shmspace.Executor]:
    """What happens to one future leaves the pool as it was: the same workers, which do the next task."""
    with shmspace.Executor(1) as made:
        worker = made.submit(tasks.my_pid).result()
        yield made
        assert made.submit(tasks.my_pid).result() == worker


# Exceptions


def test_an_exception_comes_back_with_its_type_and_arguments(pool: shmspace.Executor) -> None:
    with pytest.raises(ZeroDivisionError, match="^division by zero$"):
        pool.submit(tasks.divide, 1, 0).result()
    error = pool.submit(tasks.fail, KeyError, "a", 2).exception()
    assert isinstance(error, KeyError)
    assert error.args == ("a", 2)


def test_an_exception_that_knows_how_to_be_pickled_keeps_its_attributes(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.fail, tasks.Detailed, 7, hint="look here").exception()
    assert isinstance(error, tasks.Detailed)
    assert (error.code, error.hint) == (7, "look here")


def test_errors_of_this_package_keep_their_attributes(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.fail, shmspace.OutOfRange, "gone", earliest=3, next=5).exception()
    assert isinstance(error, shmspace.OutOfRange)
    assert (error.earliest, error.next) == (3, 5)


def test_the_traceback_in_the_worker_is_the_cause(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.divide, 1, 0).exception()
    assert isinstance(error, ZeroDivisionError)
    assert isinstance(error.__cause__, RemoteTraceback)
    shown = "".join(traceback.format_exception(error))
    assert "return left / right" in shown
    assert "scenario_tasks.py" in shown
    assert str(error.__cause__) in shown


def test_causes_in_the_worker_are_shown_too(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.fail_because_of_another).exception()
    assert isinstance(error, ValueError)
    shown = "".join(traceback.format_exception(error))
    assert shown.index("the deeper reason") < shown.index("what is seen")


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit, BaseException])
def test_exceptions_that_end_programs_end_only_their_task(pool: shmspace.Executor, kind: type[BaseException]) -> None:
    error = pool.submit(tasks.fail, kind, 5).exception()
    assert type(error) is kind
    assert error.args == (5,)


def test_an_exception_that_cannot_be_unpickled_is_stood_for(pool: shmspace.Executor) -> None:
    """As one is whose `__init__` wants other arguments than it gave to its base."""
    error = pool.submit(tasks.fail, tasks.Demanding, "a", "b", "c").exception()
    assert isinstance(error, pickle.PicklingError)
    assert "Demanding" in str(error)
    assert "missing 2 required positional arguments" in str(error)
    assert "Demanding: a b c" in str(error.__cause__)


def test_an_exception_that_cannot_be_pickled_is_stood_for(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.fail, tasks.Holding).exception()
    assert isinstance(error, pickle.PicklingError)
    assert "Holding" in str(error)
    assert "it holds a lock" in str(error.__cause__)


# Arguments and results that do not travel


@pytest.mark.parametrize(
    ("value", "error"),
    [(tasks.Stubborn(), ArithmeticError), (threading.Lock(), TypeError), (lambda: 1, Exception)],
    ids=["own reasons", "lock", "lambda"],
)
def test_an_argument_that_cannot_be_pickled_fails_its_future(
    pool: shmspace.Executor, value: object, error: type[Exception]
) -> None:
    before, bad, after = (pool.submit(tasks.same, one) for one in ("before", value, "after"))
    assert isinstance(bad.exception(), error)
    assert (before.result(), after.result()) == ("before", "after")


def test_a_function_that_cannot_be_pickled_fails_its_future(pool: shmspace.Executor) -> None:
    assert isinstance(pool.submit(lambda: 1).exception(), Exception)


def test_one_bad_argument_of_many_that_wait_fails_its_future_only(pool: shmspace.Executor, tmp_path: Path) -> None:
    """Also when it is pickled later, when there is room in the window."""
    pool.submit(tasks.wait_for, tmp_path / "go")
    given = [pool.submit(tasks.same, tasks.Stubborn() if number % 3 == 1 else number) for number in range(30)]
    (tmp_path / "go").touch()
    for number, future in enumerate(given):
        if number % 3 == 1:
            assert isinstance(future.exception(), ArithmeticError)
        else:
            assert future.result() == number


@pytest.mark.parametrize("kind", [tasks.Brittle, tasks.Fatal])
def test_an_argument_that_cannot_be_unpickled_fails_its_future(pool: shmspace.Executor, kind: type[object]) -> None:
    error = pool.submit(tasks.same, kind()).exception()
    assert isinstance(error, ArithmeticError | SystemExit)
    assert "_break" in str(error.__cause__) or "_leave" in str(error.__cause__)


def test_a_result_that_cannot_be_pickled_fails_its_future(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.give_a_lock).exception()
    assert isinstance(error, TypeError)
    assert "lock" in str(error)


def test_a_result_that_refuses_to_be_pickled_fails_its_future(pool: shmspace.Executor) -> None:
    error = pool.submit(tasks.make, tasks.Stubborn).exception()
    assert isinstance(error, ArithmeticError)
    assert "I stay here" in str(error.__cause__)


@pytest.mark.parametrize(("kind", "error"), [(tasks.Brittle, ArithmeticError), (tasks.Fatal, SystemExit)])
def test_a_result_that_cannot_be_unpickled_fails_its_future(
    pool: shmspace.Executor, kind: type[object], error: type[BaseException]
) -> None:
    assert isinstance(pool.submit(tasks.make, kind).exception(), error)
    assert pool.submit(tasks.same, 1).result() == 1


# Initializers


@pytest.mark.parametrize("method", METHODS)
def test_every_worker_is_initialized_before_its_first_task(method: str) -> None:
    context = multiprocessing.get_context(method)
    with shmspace.Executor(2, mp_context=context, initializer=tasks.set_up, initargs=("depth", 3)) as pool:
        assert list(pool.map(tasks.setting, ["depth"] * 10)) == [3] * 10


def test_a_worker_that_takes_the_place_of_another_is_initialized_too(tmp_path: Path) -> None:
    with shmspace.Executor(1, initializer=tasks.set_up_and_note, initargs=(tmp_path / "log",)) as pool:
        pids = {pool.submit(tasks.my_pid).result()}
        assert isinstance(pool.submit(tasks.kill_me).exception(), shmspace.WorkerDied)
        pids.add(pool.submit(tasks.my_pid).result())
    started = tasks.lines(tmp_path / "log")
    assert pids <= set(map(int, started))
    assert len(started) == len(set(started)) == 4


@pytest.mark.parametrize("error", [ValueError, SystemExit])
@pytest.mark.parametrize("method", METHODS)
def test_a_failing_initializer_breaks_the_pool(method: str, error: type[BaseException]) -> None:
    context = multiprocessing.get_context(method)
    pool = shmspace.Executor(2, mp_context=context, initializer=tasks.fail, initargs=(error, "not this way"))
    with pool:
        try:
            given = [pool.submit(tasks.same, number) for number in range(20)]
        except futures.BrokenExecutor:
            given = []  # it was quick
        for future in given:
            assert isinstance(future.exception(), futures.BrokenExecutor)
            assert "not this way" in str(future.exception().__cause__)  # type: ignore[union-attr]
        until(lambda: is_broken(pool), "the pool to break")
        with pytest.raises(futures.BrokenExecutor, match="initializer"):
            pool.submit(tasks.same, 1)
        with pytest.raises(futures.BrokenExecutor):
            list(pool.map(tasks.same, "abc"))


def is_broken(pool: shmspace.Executor) -> bool:
    try:
        pool.submit(tasks.same, 1)
    except futures.BrokenExecutor:
        return True
    return False


def test_workers_that_end_before_they_are_ready_break_the_pool() -> None:
    """As when the main module starts a pool as it is imported, unguarded; or a library ends the process."""
    with shmspace.Executor(2, initializer=tasks.exit_hard) as pool:
        assert isinstance(pool.submit(tasks.same, 1).exception(), futures.BrokenExecutor)


def test_workers_that_are_killed_while_they_start_do_not_break_the_pool(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with shmspace.Executor(1, initializer=tasks.kill_me_at_first_start, initargs=(log, 7)) as pool:
        assert pool.submit(tasks.same, 1).result() == 1
    assert len(tasks.lines(log)) == 8


def test_workers_that_are_killed_whenever_they_start_break_the_pool() -> None:
    with shmspace.Executor(1, initializer=tasks.kill_me) as pool:
        assert isinstance(pool.submit(tasks.same, 1).exception(), futures.BrokenExecutor)


def test_an_initializer_that_cannot_be_sent_is_told_by_submit() -> None:
    context: Any = multiprocessing.get_context("spawn")
    with shmspace.Executor(2, mp_context=context, initializer=tasks.same, initargs=(threading.Lock(),)) as pool:
        for _ in range(2):
            with pytest.raises(TypeError, match="pickle"):
                pool.submit(tasks.same, 1)
