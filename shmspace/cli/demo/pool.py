"""The worker processes of the demo, as their parent sees them."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.context import SpawnProcess

from shmspace.cli.demo.worker import work


@dataclass
class Worker:
    """One worker process."""

    number: int
    process: SpawnProcess
    killed: bool = False
    """We killed it ourselves."""
    noticed: bool = False
    """Its end has been taken into account."""

    @property
    def pid(self) -> int:
        """Process id."""
        return self.process.pid or 0

    @property
    def ended(self) -> bool:
        """True when the process is gone."""
        return self.process.exitcode is not None

    @property
    def failed(self) -> bool:
        """True when the process is gone and did not leave by itself, its work done."""
        return self.process.exitcode not in (None, 0)


class Pool:
    """Starts, stops and kills workers; none of them outlives `close`."""

    def __init__(self, space: str, directory: str | None, root: str) -> None:
        self._arguments = (space, directory, root)
        self._context = multiprocessing.get_context("spawn")
        self.workers: list[Worker] = []

    def start(self) -> Worker:
        """Start one more worker."""
        number = len(self.workers) + 1
        process = self._context.Process(target=work, args=(number, *self._arguments), daemon=True)
        # A new process inherits the signal mask, so Ctrl-C, which a terminal sends to it as well, cannot end it with a
        # traceback before it has said that it does not want the signal. The tracker is started first since starting it
        # takes SIGINT out of the mask.
        resource_tracker.ensure_running()
        with _sigint_held():
            process.start()
        worker = Worker(number, process)
        self.workers.append(worker)
        return worker

    def living(self) -> list[Worker]:
        """Give the workers whose process is still there."""
        return [worker for worker in self.workers if not worker.ended]

    def freeze(self, worker: Worker) -> bool:
        """Stop a worker where it is; returns when it stands still, False if it has ended instead."""
        try:
            os.kill(worker.pid, signal.SIGSTOP)
            status = os.waitid(os.P_PID, worker.pid, os.WSTOPPED | os.WEXITED | os.WNOWAIT)
        except (ProcessLookupError, ChildProcessError):
            return False
        return status is not None and status.si_code == os.CLD_STOPPED

    def thaw(self, worker: Worker) -> None:
        """Let a frozen worker go on."""
        os.kill(worker.pid, signal.SIGCONT)

    def kill(self, worker: Worker) -> None:
        """Kill a worker with SIGKILL; returns when it is gone."""
        worker.killed = True
        worker.process.kill()
        worker.process.join()

    def close(self) -> None:
        """Kill whatever still runs."""
        for worker in self.workers:
            worker.process.kill()  # frozen ones as well, which SIGTERM would not reach
        for worker in self.workers:
            worker.process.join()


@contextlib.contextmanager
def _sigint_held() -> Iterator[None]:
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
