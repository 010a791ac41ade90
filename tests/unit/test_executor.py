"""Executors do what those of `concurrent.futures` do: submitting, mapping, waiting, telling."""

from __future__ import annotations

import asyncio
import collections
import contextlib
import multiprocessing
import operator
import threading
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import pytest

import shmspace
from tests.helpers import scenario_tasks as tasks
from tests.helpers.peer_wait import DEADLINE_S, blocked, until

METHODS = ("fork", "spawn", "forkserver")


@pytest.fixture
def pool() -> Iterator[shmspace.Executor]:
    with shmspace.Executor(2) as made:
        yield made


# Submitting


@pytest.mark.parametrize("method", METHODS)
def test_a_call_is_made_in_another_process(method: str) -> None:
    with shmspace.Executor(1, mp_context=multiprocessing.get_context(method)) as pool:
        future = pool.submit(divide := operator.floordiv, 17, 5)
        assert isinstance(future, futures.Future)
        assert future.result() == divide(17, 5)
        (worker,) = {pool.submit(tasks.my_pid).result() for _ in range(3)}
        assert pool.submit(tasks.my_pid).result() == worker != multiprocessing.current_process().pid


def test_it_is_an_executor() -> None:
    assert issubclass(shmspace.Executor, futures.Executor)
    with shmspace.Executor() as pool:
        assert isinstance(pool, futures.Executor)


def test_arguments_have_their_places_and_names(pool: shmspace.Executor) -> None:
    assert pool.submit(tasks.named, 1, 2, three=3, self=4, fn=5, function=6).result() == (
        (1, 2),
        {"three": 3, "self": 4, "fn": 5, "function": 6},
    )


def test_results_are_each_their_own(pool: shmspace.Executor) -> None:
    """More than fit into the window, slow and quick ones."""
    given = [pool.submit(tasks.add, number, 1) for number in range(3000)]
    assert [future.result() for future in given] == list(range(1, 3001))


def test_one_worker_does_tasks_in_the_order_they_were_submitted(tmp_path: Path) -> None:
    with shmspace.Executor(1) as pool:
        for number in range(500):
            pool.submit(tasks.note, tmp_path / "log", str(number))
    assert tasks.lines(tmp_path / "log") == [str(number) for number in range(500)]


def test_workers_work_at_the_same_time(tmp_path: Path) -> None:
    with shmspace.Executor(3) as pool:
        waiting = [pool.submit(tasks.wait_for, tmp_path / f"go{number}", number) for number in range(3)]
        pids = {tasks.begun(tmp_path / f"go{number}") for number in range(3)}
        assert len(pids) == 3
        for number in (2, 0, 1):
            (tmp_path / f"go{number}").touch()
            assert waiting[number].result() == number


def test_no_more_workers_are_started_than_are_needed() -> None:
    """By spawn and forkserver; by fork all come at once, before there are threads."""
    with shmspace.Executor(3, mp_context=multiprocessing.get_context("spawn")) as pool:
        for _ in range(5):
            pool.submit(tasks.same, 1).result()
        assert len(multiprocessing.active_children()) == 1


def test_any_thread_may_submit(pool: shmspace.Executor) -> None:
    def work(first: int) -> int:
        return sum(pool.submit(tasks.same, number).result() for number in range(first, first + 50))

    with futures.ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(work, range(0, 200, 50))) == sum(range(200))


def test_a_callback_is_called_once_and_may_submit_again(pool: shmspace.Executor) -> None:
    seen: list[int] = []
    done = threading.Event()

    def again(future: futures.Future[int]) -> None:
        seen.append(future.result())
        if len(seen) < 20:
            pool.submit(tasks.add, future.result()).add_done_callback(again)
        else:
            done.set()

    pool.submit(tasks.same, 1).add_done_callback(again)
    assert done.wait(DEADLINE_S)
    assert seen == list(range(1, 21))


@pytest.mark.parametrize("error", [ValueError, SystemExit, KeyboardInterrupt])
def test_a_callback_that_raises_hurts_nobody(
    pool: shmspace.Executor, caplog: pytest.LogCaptureFixture, error: type[BaseException]
) -> None:
    def raise_it(_: object) -> None:
        raise error("in a callback")

    for number in range(50):
        with contextlib.suppress(error):  # it was done already: then the callback is called here
            pool.submit(tasks.same, number).add_done_callback(raise_it)
    assert pool.submit(tasks.same, "goes on").result() == "goes on"
    assert any("exception calling callback" in record.message for record in caplog.records)


# Arguments


@pytest.mark.parametrize("count", [0, -1, 1 << 20])
def test_a_number_of_workers_out_of_range_is_a_value_error(count: int) -> None:
    with pytest.raises(ValueError, match="max_workers"):
        shmspace.Executor(count)


@pytest.mark.parametrize("options", [{"max_workers": "2"}, {"max_deliveries": 1.5}, {"initializer": "no"}], ids=str)
def test_an_option_of_another_type_is_a_type_error(options: dict[str, Any]) -> None:
    with pytest.raises(TypeError, match=next(iter(options))):
        shmspace.Executor(**options)


def test_max_deliveries_is_one_at_least() -> None:
    with pytest.raises(ValueError, match="max_deliveries"):
        shmspace.Executor(1, max_deliveries=0)


# Mapping


@pytest.mark.parametrize("chunksize", [1, 3, 7, 1000])
def test_map_gives_what_map_gives(pool: shmspace.Executor, chunksize: int) -> None:
    assert list(pool.map(pow, range(40), range(40), chunksize=chunksize)) == list(map(pow, range(40), range(40)))
    assert list(pool.map(pow, range(5), range(99), chunksize=chunksize)) == list(map(pow, range(5), range(5)))
    assert list(pool.map(tasks.same, [], chunksize=chunksize)) == []


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_raises_what_a_call_raised_in_its_place(pool: shmspace.Executor, chunksize: int) -> None:
    results = pool.map(divide_by, [4, 2, 1, 0, 5], chunksize=chunksize)
    assert [next(results), next(results)] == [3, 6]
    if chunksize == 1:
        assert next(results) == 12
    with pytest.raises(ZeroDivisionError):
        next(results)
    with pytest.raises(StopIteration):
        next(results)


def divide_by(number: int) -> int:
    return 12 // number


@pytest.mark.parametrize("chunksize", [1, 2])
def test_map_that_takes_too_long_is_a_timeout_error(tmp_path: Path, chunksize: int) -> None:
    go = tmp_path / "go"
    with shmspace.Executor(2) as pool:
        results = pool.map(wait_if_odd, [(go, number) for number in (0, 2, 1, 3)], timeout=0.3, chunksize=chunksize)
        assert [next(results), next(results)] == [0, 2]
        with pytest.raises(futures.TimeoutError):
            next(results)
        go.touch()


def wait_if_odd(given: tuple[Path, int]) -> int:
    go, number = given
    return int(tasks.wait_for(go, number)) if number % 2 else number


@pytest.mark.parametrize("chunksize", [0, -1])
def test_a_chunk_has_one_item_at_least(pool: shmspace.Executor, chunksize: int) -> None:
    with pytest.raises(ValueError, match="chunksize must be >= 1"):
        pool.map(tasks.same, "abc", chunksize=chunksize)


def test_chunks_are_what_is_sent(tmp_path: Path) -> None:
    """Ten items, four at a time: three tasks, each done by one worker."""
    with shmspace.Executor(1) as pool:
        list(pool.map(tasks.same, range(10), chunksize=4))
        assert pool._pool._number == 3


# Waiting


def test_wait_and_as_completed_know_its_futures(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        slow = pool.submit(tasks.wait_for, tmp_path / "go", "slow")
        quick = [pool.submit(tasks.same, number) for number in range(5)]
        failing = pool.submit(tasks.divide, 1, 0)
        assert futures.wait([slow, failing], return_when=futures.FIRST_EXCEPTION).done == {failing}
        assert futures.wait([slow, *quick], return_when=futures.FIRST_COMPLETED).not_done >= {slow}
        assert futures.wait([slow], timeout=0.01) == (set(), {slow})
        completed = futures.as_completed([slow, *quick])
        assert {next(completed).result() for _ in quick} == set(range(5))
        with pytest.raises(futures.TimeoutError):
            slow.result(timeout=0.01)
        (tmp_path / "go").touch()
        assert next(completed) is slow
        assert futures.wait([slow, *quick]).not_done == set()


def test_a_future_tells_how_far_it_is(tmp_path: Path) -> None:
    with shmspace.Executor(1) as pool:
        future = pool.submit(tasks.wait_for, tmp_path / "go")
        tasks.begun(tmp_path / "go")
        assert (future.running(), future.done(), future.cancel()) == (True, False, False)
        call = blocked(future.result)
        (tmp_path / "go").touch()
        assert call.result() is None
        assert (future.running(), future.done(), future.cancelled()) == (False, True, False)


# asyncio


def test_an_event_loop_runs_calls_in_it() -> None:
    async def converse() -> list[Any]:
        loop = asyncio.get_running_loop()
        with shmspace.Executor(2) as pool:
            loop_is_free = asyncio.ensure_future(asyncio.sleep(0, "free"))
            calls = [loop.run_in_executor(pool, tasks.add, number, number) for number in range(20)]
            failing = loop.run_in_executor(pool, tasks.divide, 1, 0)
            found = await asyncio.gather(*calls)
            with pytest.raises(ZeroDivisionError):
                await failing
            return [*found, await loop_is_free]

    assert asyncio.run(converse()) == [*range(0, 40, 2), "free"]


def test_cancelling_what_an_event_loop_waits_for_cancels_what_has_not_begun(tmp_path: Path) -> None:
    async def converse(pool: shmspace.Executor) -> None:
        loop = asyncio.get_running_loop()
        pool.submit(tasks.wait_for, tmp_path / "go")
        calls = [loop.run_in_executor(pool, tasks.note, tmp_path / "log") for _ in range(10)]
        for call in calls:
            call.cancel()
        assert [type(one) for one in await asyncio.gather(*calls, return_exceptions=True)] == [
            asyncio.CancelledError
        ] * 10
        (tmp_path / "go").touch()

    with shmspace.Executor(1) as pool:
        asyncio.run(converse(pool))
    assert len(tasks.lines(tmp_path / "log")) <= 1  # one more than there are workers is in the window


# References


def test_neither_side_keeps_what_is_done_with(tmp_path: Path) -> None:
    """A worker lets go of arguments and results, the owner of the future's, as soon as the next thing happens."""
    with shmspace.Executor(1) as pool:
        assert str(pool.submit(tasks.bear_witness, tmp_path / "there").result()) == "the witness was here"
        until(lambda: tasks.lines(tmp_path / "there"), "the worker to let go of its result")
        future = pool.submit(tasks.same, tasks.Witness(tmp_path / "here"))
        assert str(future.result()) == "the witness was here"
        del future
        until(lambda: tasks.lines(tmp_path / "here"), "the owner to let go of the arguments")


def test_an_executor_can_be_used_in_a_task(pool: shmspace.Executor) -> None:
    assert pool.submit(tasks.within_itself, shmspace.Executor, 10).result() == sum(range(1, 11))


def test_containers_keep_their_type(pool: shmspace.Executor) -> None:
    given = [collections.OrderedDict(a=1), {"x": b"y"}, (1, [2]), {3}, collections.deque([4]), collections.Counter("a")]
    for value in given:
        got = pool.submit(tasks.same, value).result()
        assert (type(got), got) == (type(value), value)
