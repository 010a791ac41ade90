"""multiprocessing.SimpleQueue: pickle over a pipe, with a lock on either side.

Its depth cannot be set: it is what the kernel's pipe holds (64 KiB by default).
"""

from __future__ import annotations

import platform
from multiprocessing.queues import SimpleQueue

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Receiver, Sender
from benchmarks.crew import CONTEXT


class SimpleQueueLink(Link):
    """One queue per lane."""

    def __init__(self, spec: LinkSpec) -> None:
        self._lanes: list[SimpleQueue[bytes]] = [CONTEXT.SimpleQueue() for _ in range(spec.lanes)]

    def connect_sender(self, lane: int = 0) -> Sender:
        return Sender(self._lanes[lane].put, self._lanes[lane].close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        return Receiver(self._lanes[lane].get, self._lanes[lane].close)

    def close(self) -> None:
        for queue in self._lanes:
            queue.close()


class MultiprocessingSimpleQueue(Competitor):
    """Python's own."""

    name = "multiprocessing.SimpleQueue"
    limits = {"view": "pickles into a pipe"}

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, spec: LinkSpec) -> Link:
        return SimpleQueueLink(spec)
