"""How executors end: shut down, cancelled, dropped, left to the end of the interpreter, forked."""

from __future__ import annotations

import gc
import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import weakref
from concurrent import futures
from pathlib import Path

import psutil
import pytest

import shmspace
from tests.helpers import scenario_tasks as tasks
from tests.helpers.peer_wait import DEADLINE_S, blocked, until


def workers() -> list[psutil.Process]:
    """The children of this process that are alive."""
    return [child for child in psutil.Process().children() if is_worker(child)]


def is_worker(child: psutil.Process) -> bool:
    try:
        command = " ".join(child.cmdline())
        alive = child.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
    return alive and "resource_tracker" not in command and "forkserver" not in command


def threads() -> set[str]:
    return {thread.name for thread in threading.enumerate() if thread.name.startswith("shmspace-")}


def memory() -> int:
    """How many private spaces this process has mapped."""
    gc.collect()
    return Path("/proc/self/maps").read_text().count("memfd:shmspace")


# Shutting down


def test_submitting_after_shutdown_is_a_runtime_error() -> None:
    pool = shmspace.Executor(1)
    assert pool.submit(tasks.same, 1).result() == 1
    pool.shutdown()
    for call in (pool.submit, pool.map):
        with pytest.raises(RuntimeError, match="after shutdown"):
            call(tasks.same, [1])


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_shutdown_waits_for_all_tasks_and_leaves_nothing(method: str) -> None:
    before = memory()
    descriptors = len(os.listdir("/proc/self/fd"))
    pool = shmspace.Executor(2, mp_context=multiprocessing.get_context(method))
    given = [pool.submit(tasks.same, number) for number in range(100)]
    pool.shutdown()
    assert all(future.done() for future in given)
    assert (workers(), threads(), multiprocessing.active_children()) == ([], set(), [])
    del pool, given
    assert memory() == before
    if method != "forkserver":  # which stays, with its descriptors
        assert len(os.listdir("/proc/self/fd")) <= descriptors + 1  # that of the resource tracker


def test_shutdown_without_waiting_returns_at_once_and_loses_nothing(tmp_path: Path) -> None:
    pool = shmspace.Executor(1)
    given = [pool.submit(tasks.wait_for, tmp_path / "go", number) for number in range(20)]
    pool.shutdown(wait=False)
    assert not given[0].done()
    (tmp_path / "go").touch()
    assert [future.result() for future in given] == list(range(20))
    pool.shutdown(wait=True)
    assert (workers(), threads()) == ([], set())


def test_shutdown_may_be_called_again_and_by_many() -> None:
    pool = shmspace.Executor(1)
    pool.submit(tasks.same, 1)
    calls = [blocked_or_done(pool) for _ in range(4)]
    for call in calls:
        call.join(DEADLINE_S)
        assert not call.is_alive()
    pool.shutdown()


def blocked_or_done(pool: shmspace.Executor) -> threading.Thread:
    thread = threading.Thread(target=pool.shutdown)
    thread.start()
    return thread


def test_a_pool_that_was_never_used_ends_at_once() -> None:
    before = memory()
    with shmspace.Executor(3) as pool:
        assert workers() == []
    del pool
    assert memory() == before


def test_leaving_a_with_block_waits_for_all_tasks(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        given = [pool.submit(tasks.same, number) for number in range(50)]
    assert [future.result(timeout=0) for future in given] == list(range(50))


def test_cancel_futures_drops_what_has_not_begun(tmp_path: Path) -> None:
    pool = shmspace.Executor(1)
    running = pool.submit(tasks.wait_for, tmp_path / "go", "done")
    tasks.begun(tmp_path / "go")
    given = [pool.submit(tasks.note, tmp_path / "log", str(number)) for number in range(300)]
    call = blocked(pool.shutdown, cancel_futures=True)
    dropped = [future for future in given if future.cancelled()]
    assert len(dropped) >= len(given) - 1  # one more than there are workers is in the window
    (tmp_path / "go").touch()
    call.result()
    assert running.result() == "done"
    assert len(tasks.lines(tmp_path / "log")) == len(given) - len(dropped)
    assert futures.wait(given, timeout=DEADLINE_S).not_done == set()


def test_a_pool_of_quick_tasks_has_few_that_cannot_be_cancelled_when_slow_ones_follow(tmp_path: Path) -> None:
    with shmspace.Executor(2) as pool:
        list(pool.map(tasks.same, range(5000)))
        given = [pool.submit(tasks.wait_for, tmp_path / "go") for _ in range(2000)]
        cancelled = [future.cancel() for future in given]
        (tmp_path / "go").touch()
    assert 2000 - 260 <= sum(cancelled) < 2000


def test_a_cancelled_future_is_never_called(tmp_path: Path) -> None:
    with shmspace.Executor(1) as pool:
        pool.submit(tasks.wait_for, tmp_path / "go")
        given = [pool.submit(tasks.note, tmp_path / "log", str(number)) for number in range(20)]
        kept = [number for number, future in enumerate(given) if not (number % 2 and future.cancel())]
        (tmp_path / "go").touch()
    assert tasks.lines(tmp_path / "log") == [str(number) for number in kept]
    assert len(kept) <= 11
    for future in given[3::2]:
        with pytest.raises(futures.CancelledError):
            future.result()


@pytest.mark.parametrize("wait", [True, False])
def test_a_callback_may_shut_its_own_pool_down(wait: bool) -> None:
    pool = shmspace.Executor(1)
    done = threading.Event()
    go = threading.Event()

    def end(_: object) -> None:
        go.wait()
        pool.shutdown(wait=wait)
        done.set()

    future = pool.submit(tasks.same, 1)
    future.add_done_callback(end)
    go.set()
    assert done.wait(DEADLINE_S)
    pool.shutdown()
    assert (workers(), threads()) == ([], set())


# Dropped


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_a_pool_that_is_dropped_finishes_and_ends(tmp_path: Path, method: str) -> None:
    before = memory()
    pool = shmspace.Executor(2, mp_context=multiprocessing.get_context(method))
    given = [pool.submit(tasks.wait_for, tmp_path / "go", number) for number in range(30)]
    gone = weakref.ref(pool)
    del pool
    gc.collect()
    assert gone() is None
    assert not given[0].done()
    (tmp_path / "go").touch()
    assert [future.result() for future in given] == list(range(30))
    until(lambda: not workers() and not threads(), "workers and threads to end")
    assert memory() == before


def test_an_idle_pool_that_is_dropped_ends() -> None:
    pool = shmspace.Executor(2)
    assert pool.submit(tasks.same, 1).result() == 1
    del pool
    until(lambda: not workers() and not threads(), "workers and threads to end")


def test_a_pool_in_a_cycle_that_is_dropped_ends() -> None:
    """The garbage collector may come by on any thread, those of the pool included."""
    for _ in range(10):
        pool = shmspace.Executor(1)
        future = pool.submit(tasks.same, 1)
        future.pool = pool  # type: ignore[attr-defined]
        pool.future = future  # type: ignore[attr-defined]
        del pool, future

    def nothing_there() -> bool:
        gc.collect()
        return not workers() and not threads()

    until(nothing_there, "workers and threads to end")


# The end of the interpreter


def run(program: str, *args: object) -> subprocess.CompletedProcess[str]:
    """Run a program as a script of its own, and look at what it says."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program), *map(str, args)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(["." if part == "" else part for part in sys.path])},
    )


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_pending_tasks_are_done_before_the_interpreter_ends(tmp_path: Path, method: str) -> None:
    program = """
        import multiprocessing, pathlib, sys
        import shmspace
        from tests.helpers import scenario_tasks as tasks

        pool = shmspace.Executor(2, mp_context=multiprocessing.get_context(sys.argv[2]))
        for number in range(50):
            pool.submit(tasks.note, pathlib.Path(sys.argv[1]), str(number))
        print("the end of the program")
    """
    done = run(program, tmp_path / "log", method)
    assert (done.returncode, done.stdout, done.stderr) == (0, "the end of the program\n", "")
    assert sorted(map(int, tasks.lines(tmp_path / "log"))) == list(range(50))


def test_submitting_at_the_end_of_the_interpreter_is_refused() -> None:
    program = """
        import atexit
        import shmspace
        from tests.helpers import scenario_tasks as tasks

        def late():
            for each in (pool, another):
                try:
                    each.submit(tasks.same, 2)
                except RuntimeError as error:
                    print(error)

        atexit.register(late)
        pool, another = shmspace.Executor(1), shmspace.Executor(1)
        pool.submit(tasks.same, 1)
    """
    done = run(program)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "cannot schedule new futures after interpreter shutdown\n" * 2


def test_a_program_that_ends_by_an_exception_ends() -> None:
    program = """
        import shmspace
        from tests.helpers import scenario_tasks as tasks

        pool = shmspace.Executor(2)
        pool.submit(tasks.same, 1).result()
        raise SystemExit(7)
    """
    assert run(program).returncode == 7


def test_an_unguarded_main_module_does_not_start_processes_for_ever(tmp_path: Path) -> None:
    program = tmp_path / "unguarded.py"
    program.write_text(
        textwrap.dedent(
            """
            import multiprocessing
            import shmspace

            pool = shmspace.Executor(2, mp_context=multiprocessing.get_context("spawn"))
            pool.submit(abs, -1).result()
            """
        )
    )
    done = subprocess.run(
        [sys.executable, str(program)],
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([os.getcwd(), *filter(None, sys.path)])},
    )
    assert done.returncode == 1
    assert "BrokenExecutor: workers end before they are ready" in done.stderr.splitlines()[-1]


# Forks


def test_the_child_of_a_fork_cannot_submit_and_leaves_the_pool_alone() -> None:
    with shmspace.Executor(1) as pool:
        assert pool.submit(tasks.same, 1).result() == 1
        child = os.fork()
        if not child:
            code = 1
            try:
                with pytest.raises(RuntimeError, match="process which made it"):
                    pool.submit(tasks.same, 2)
                pool.shutdown()
                code = 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert pool.submit(tasks.same, 3).result() == 3
