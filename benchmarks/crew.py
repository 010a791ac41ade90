"""Crew: the operating-system processes of one run, started together, watched, and always ended.

A worker function gets a `Gate` first. It connects, calls `gate.start()` (which returns when everyone
is connected), works, calls `gate.finish(result)` (which returns when everyone has finished, so nobody
takes a queue away while others still read it), and closes.

Every wait of the parent ends at the crew's deadline. Leaving the `with` block kills what is left.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, cast

from benchmarks.outcome import Crashed, Failed, Hung, RunEnded

CONTEXT = multiprocessing.get_context("spawn")
_JOIN_SECONDS = 3.0


class Gate:
    """A worker's side of the talk with the parent."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def tell(self, kind: str, value: object = None) -> None:
        """Send the parent one message; it takes it with `Crew.expect(kind)`."""
        self._connection.send((kind, value))

    def start(self) -> None:
        """Say that everything is connected; return when all workers are."""
        self.tell("ready")
        self._connection.recv()

    def finish(self, result: object) -> None:
        """Hand the result to the parent; return when all workers have."""
        self.tell("result", result)
        self._connection.recv()


@dataclass(frozen=True)
class Job:
    """What one worker runs: `target(gate, *args)`; both are pickled. One that is no daemon may have children."""

    target: Callable[..., None]
    args: tuple[Any, ...]
    daemon: bool = True


def _main(connection: Connection, job: Job) -> None:
    try:
        job.target(Gate(connection), *job.args)
    except (EOFError, KeyboardInterrupt):
        pass  # the parent has gone or is going
    except RunEnded as error:
        connection.send(("error", str(error)))
    except BaseException as error:
        connection.send(("error", f"{type(error).__name__}: {error}"))


class Crew:
    """Starts one spawned process per job; `timeout` in seconds bounds the whole life of the crew."""

    def __init__(self, jobs: Sequence[Job], timeout: float) -> None:
        self._deadline = time.monotonic() + timeout
        self._timeout = timeout
        self._connections: list[Connection] = []
        self._processes: list[multiprocessing.process.BaseProcess] = []
        try:
            for job in jobs:
                self._start(job)
        except BaseException:
            self.close()
            raise

    def _start(self, job: Job) -> None:
        ours, theirs = CONTEXT.Pipe()
        process = CONTEXT.Process(target=_main, args=(theirs, job), daemon=job.daemon)
        process.start()
        theirs.close()  # so that a dead worker reads as end of file
        self._connections.append(ours)
        self._processes.append(process)

    def __enter__(self) -> Crew:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def pids(self) -> list[int]:
        """Process ids in the order of the jobs."""
        return [process.pid or 0 for process in self._processes]

    def expect(self, kind: str, worker: int | None = None) -> list[Any]:
        """One message of this kind from every worker (or from that one), in the order of the jobs.

        Raises `Failed` with a worker's error, `Crashed` when one died, `Hung` at the deadline.
        """
        asked = self._connections if worker is None else [self._connections[worker]]
        answers: dict[Connection, Any] = {}
        while pending := [one for one in asked if one not in answers]:
            left = max(0.0, self._deadline - time.monotonic())
            if not (ready := wait(pending, left)):
                raise Hung(
                    f"no {kind} from {len(pending)} of {len(asked)} processes within {self._timeout:.1f} s"
                )
            for one in ready:
                answers[cast(Connection, one)] = self._take(cast(Connection, one), kind)
        return [answers[one] for one in asked]

    def _take(self, connection: Connection, kind: str) -> Any:
        try:
            found, value = connection.recv()
        except (EOFError, OSError):
            process = self._processes[self._connections.index(connection)]
            process.join(_JOIN_SECONDS)
            raise Crashed(_describe_exit(process.exitcode)) from None
        if found == "error":
            raise Failed(str(value))
        if found != kind:
            raise Failed(f"worker said {found!r} instead of {kind!r}")
        return value

    def release(self) -> None:
        """Let every worker go on from its `start()` or `finish()`."""
        for connection in self._connections:
            try:
                connection.send(None)
            except OSError:
                pass  # it died; the next expect() says so

    def kill(self, worker: int) -> int:
        """SIGKILL to one worker; the monotonic time in ns just before."""
        now_ns = time.monotonic_ns()
        self._processes[worker].kill()
        return now_ns

    def join(self) -> None:
        """Give the workers a moment to close what they opened."""
        deadline = time.monotonic() + _JOIN_SECONDS
        for process in self._processes:
            process.join(max(0.0, deadline - time.monotonic()))

    def close(self) -> None:
        """Kill whoever still runs; close everything."""
        for process in self._processes:
            if process.is_alive():
                process.kill()
        for process in self._processes:
            process.join()
        for connection in self._connections:
            connection.close()


def _describe_exit(exitcode: int | None) -> str:
    if exitcode is not None and exitcode < 0:
        return f"a process was killed by signal {-exitcode}"
    return f"a process ended with exit status {exitcode}"


def run_jobs(jobs: Sequence[Job], timeout: float) -> list[Any]:
    """Run one worker per job through start and finish; their results in the order of the jobs."""
    with Crew(jobs, timeout) as crew:
        crew.expect("ready")
        crew.release()
        results = crew.expect("result")
        crew.release()
        crew.join()
        return results
