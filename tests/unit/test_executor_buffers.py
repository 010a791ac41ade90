"""Large arguments and results of executors: they come whole, writable, and their memory is given back."""

from __future__ import annotations

import array
import operator
import os
import signal
from collections.abc import Iterator
from concurrent import futures
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import shmspace
from shmspace import freight, private
from tests.helpers import scenario_tasks as tasks
from tests.helpers.peer_wait import until

LARGE = freight.LARGE_BYTES


@pytest.fixture
def pool() -> Iterator[shmspace.Executor]:
    with shmspace.Executor(2) as made:
        yield made


def used(pool: shmspace.Executor) -> int:
    """Bytes of its shared memory that are in use."""
    return pool._pool._space.stat().used


def channels(pool: shmspace.Executor) -> list[str | bytes]:
    """Those that buffers travel in."""
    return pool._pool._space.channels()


SIZES = [0, 1, LARGE - 1, LARGE, LARGE + 1, 5 * LARGE + 3]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("kind", [bytes, bytearray])
def test_bytes_go_and_come_as_they_are(pool: shmspace.Executor, kind: type[Any], size: int) -> None:
    data = kind(os.urandom(size))
    got = pool.submit(tasks.same, data).result()
    assert (type(got), got == data) == (kind, True)
    assert channels(pool) == []


@pytest.mark.parametrize("shape", [(3,), (0, 4), (700, 300), (2, 3, 60_000)])
@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("dtype", ["f8", "c16", "?", "M8[s]", "S5"])
def test_arrays_go_and_come_equal_and_writable(
    pool: shmspace.Executor, shape: tuple[int, ...], order: Any, dtype: str
) -> None:
    given = np.asarray(np.arange(np.prod(shape)).reshape(shape).astype("i8").astype(dtype), order=order)
    got = pool.submit(tasks.same, given).result()
    np.testing.assert_array_equal(got, given)
    assert (got.dtype, got.shape, got.flags.writeable) == (given.dtype, given.shape, True)
    assert got.flags.f_contiguous == given.flags.f_contiguous
    assert channels(pool) == []


def test_parts_of_arrays_and_arrays_of_objects_travel_too(pool: shmspace.Executor) -> None:
    whole = np.arange(600_000).reshape(1000, 600)
    for given in (whole[::2, 1::3], whole.T[5:], np.array([{1}, "two", None] * 50_000, dtype=object)):
        np.testing.assert_array_equal(pool.submit(tasks.same, given).result(), given)


def test_a_task_may_change_its_argument_and_the_owner_its_result(pool: shmspace.Executor) -> None:
    given = np.zeros(LARGE)
    got = pool.submit(count_up, given).result()
    got += 1
    assert (given.sum(), got.sum()) == (0, 2 * LARGE)


def count_up(numbers: Any) -> Any:
    numbers += 1
    return numbers


def test_an_array_that_cannot_be_written_stays_so(pool: shmspace.Executor) -> None:
    given = np.arange(LARGE)
    given.flags.writeable = False
    got = pool.submit(tasks.same, given).result()
    np.testing.assert_array_equal(got, given)
    assert not got.flags.writeable


VIEWS = [
    *(memoryview(b"small"), memoryview(bytearray(LARGE)), memoryview(bytes(LARGE))),
    *(memoryview(array.array("d", range(LARGE))), memoryview(array.array("i", range(9)))[::2]),
    *(np.arange(LARGE * 6.0).reshape(LARGE, 2, 3).data, memoryview(b"")),
]


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: f"{view.format}{view.shape}")
def test_a_memoryview_keeps_format_and_shape(pool: shmspace.Executor, view: memoryview) -> None:
    got = pool.submit(tasks.same, view).result()
    assert (got.format, got.shape, got.readonly) == (view.format, view.shape, view.readonly)
    assert got == view


@pytest.mark.parametrize("wrap", [lambda one: (one, 1), lambda one: [one, one], lambda one: {"key": one}], ids="tld")
def test_large_things_travel_one_level_down(pool: shmspace.Executor, wrap: Any) -> None:
    given = wrap(os.urandom(LARGE))
    got = pool.submit(tasks.same, given).result()
    assert (type(got), got) == (type(given), given)
    args, kwargs = pool.submit(tasks.named, given, b"x" * LARGE, key=bytearray(LARGE)).result()
    assert (args, kwargs) == ((given, b"x" * LARGE), {"key": bytearray(LARGE)})


def test_several_arrays_go_with_one_task(pool: shmspace.Executor) -> None:
    given = [np.full(LARGE + number, number, "u1") for number in range(5)]
    args, kwargs = pool.submit(tasks.named, *given, last=given[2]).result()
    for got, array_given in zip([*args, kwargs["last"]], [*given, given[2]], strict=True):
        np.testing.assert_array_equal(got, array_given)


def test_large_things_are_not_copied_into_pickles() -> None:
    with private.make_private() as space:
        for value in (np.zeros(LARGE), bytes(LARGE), [bytearray(LARGE)], {"key": memoryview(bytes(LARGE))}):
            load = freight.pack(freight.lifted(value), space, "name")
            assert len(load) < 1000
            assert freight.has_buffers(load)
            freight.drop(space, "name")
        assert not freight.has_buffers(freight.pack(freight.lifted([bytes(LARGE - 1)]), space, "name"))


# Memory


def test_memory_is_given_back_when_tasks_are_done(pool: shmspace.Executor) -> None:
    def work() -> int:
        assert list(map(len, pool.map(tasks.same, (np.full(LARGE, n) for n in range(10))))) == [LARGE] * 10
        for number in range(5):
            assert isinstance(pool.submit(operator.truediv, bytes(LARGE), number).exception(), TypeError)
        assert isinstance(pool.submit(tasks.make, tasks.Stubborn).exception(), ArithmeticError)
        until(lambda: channels(pool) == [], "the last buffers to be dropped")
        return used(pool)

    found = [work() for _ in range(4)]
    assert max(found) - min(found) < 4096  # some answers that are waited for


def test_arguments_are_there_again_for_a_task_that_has_to_run_again(pool: shmspace.Executor, tmp_path: Path) -> None:
    given = np.arange(LARGE)
    got = pool.submit(tasks.kill_me_at_first, tmp_path / "log", 2, given).result()
    np.testing.assert_array_equal(got, given)
    assert channels(pool) == []


def test_memory_is_given_back_when_workers_are_killed(pool: shmspace.Executor, tmp_path: Path) -> None:
    pool.submit(tasks.same, np.zeros(LARGE)).result()
    before = used(pool)
    for number in range(6):
        killed = pool.submit(tasks.kill_me_at_first, tmp_path / f"log{number}", number % 4, bytes(LARGE))
        assert isinstance(killed.exception(), shmspace.WorkerDied | None)
        future = pool.submit(tasks.wait_for, tmp_path / f"go{number}", bytes(LARGE))
        os.kill(tasks.begun(tmp_path / f"go{number}"), signal.SIGKILL)
        (tmp_path / f"go{number}").touch()
        assert future.result() == bytes(LARGE)
    until(lambda: channels(pool) == [], "the last buffers to be dropped")
    # What the dead had pinned is given back by who comes by next.
    until(lambda: pool.submit(abs, -1).result() and used(pool) < before + LARGE // 2, "the memory to be given back")


def test_memory_of_cancelled_tasks_is_given_back(pool: shmspace.Executor, tmp_path: Path) -> None:
    given = [pool.submit(tasks.wait_for, tmp_path / "go", bytes(LARGE)) for _ in range(20)]
    cancelled = [future for future in given if future.cancel()]
    (tmp_path / "go").touch()
    assert futures.wait(given).not_done == set()
    assert len(cancelled) >= 17
    until(lambda: channels(pool) == [], "the last buffers to be dropped")


@pytest.fixture
def small_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have private spaces of 16 MiB."""
    monkeypatch.setattr(private, "default_size", lambda: 16 << 20)


@pytest.mark.usefixtures("small_memory")
def test_more_than_fits_at_once_goes_through() -> None:
    """Arguments wait until those of other tasks are done with."""
    with shmspace.Executor(2) as pool:
        given = [pool.submit(np.sum, np.full(1 << 19, number)) for number in range(20)]
        assert [future.result() for future in given] == [number << 19 for number in range(20)]


@pytest.mark.usefixtures("small_memory")
def test_what_can_never_fit_is_space_full() -> None:
    with shmspace.Executor(1) as pool:
        calls: list[tuple[Any, Any]] = [
            (len, bytes(20 << 20)),
            (bytes, 20 << 20),
            (make_list, 500_000),
            (len, make_list(500_000)),
        ]
        for function, argument in calls:
            assert isinstance(pool.submit(function, argument).exception(), shmspace.SpaceFull)
        assert pool.submit(len, bytes(1 << 20)).result() == 1 << 20


def make_list(count: int) -> list[str]:
    """A list that pickles into more than 16 MiB without a large buffer in it."""
    return ["x" * 30 + str(number) for number in range(count)]
