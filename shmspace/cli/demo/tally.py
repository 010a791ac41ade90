"""What the collector of the demo knows: which files are done, and who works on which."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class WorkerTally:
    """What one worker has said of itself."""

    state: str = "starting"
    """``"starting"``, ``"waiting"`` or ``"working"``."""
    current: str | None = None
    """The file that it announced and has not finished."""
    done: int = 0


class Tally:
    """Merges the messages of the workers."""

    def __init__(self, sizes: dict[str, int]) -> None:
        self.workers: dict[int, WorkerTally] = {}
        self.done: set[str] = set()
        self.done_bytes = 0
        self.messages = 0
        self._sizes = sizes

    def worker(self, number: int) -> WorkerTally:
        """Give what is known of one worker."""
        return self.workers.setdefault(number, WorkerTally())

    def take(self, message: dict[str, Any]) -> None:
        """Take one message of a worker into account."""
        self.messages += 1
        worker = self.worker(message["worker"])
        event = message["event"]
        if event == "ready":
            worker.state = "waiting"
        elif event == "start":
            worker.state, worker.current = "working", message["file"]
        else:
            self._finish(worker, message["file"])

    def _finish(self, worker: WorkerTally, name: str) -> None:
        if name not in self.done:  # else its first worker had said so, and died before it could acknowledge the file
            self.done.add(name)
            self.done_bytes += self._sizes[name]
        worker.state, worker.current = "waiting", None
        worker.done += 1
