"""multiprocessing.Queue: the standard library's bounded queue, pickle over a pipe with a feeder thread.

A `put` only hands the object to the feeder thread; what is measured is what comes out at the other end.
"""

from __future__ import annotations

import platform
from multiprocessing.queues import Queue

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Receiver, Sender
from benchmarks.crew import CONTEXT


class QueueLink(Link):
    """One queue per lane, of `depth` messages."""

    def make(self, depth: int) -> Queue[bytes]:
        """Make one of them."""
        return CONTEXT.Queue(depth)

    def __init__(self, spec: LinkSpec) -> None:
        self._lanes = [self.make(spec.depth) for _ in range(spec.lanes)]

    def connect_sender(self, lane: int = 0) -> Sender:
        queue = self._lanes[lane]

        def close() -> None:
            queue.close()
            queue.cancel_join_thread()  # everything that counts has been received by now

        return Sender(queue.put, close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        queue = self._lanes[lane]
        return Receiver(queue.get, queue.close)

    def close(self) -> None:
        for queue in self._lanes:
            queue.close()


class MultiprocessingQueue(Competitor):
    """Python's own."""

    name = "multiprocessing.Queue"
    limits = {"view": "pickles into a pipe"}

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, spec: LinkSpec) -> Link:
        return QueueLink(spec)
