"""Objects: the queues that pickle what they carry, each as it comes, without a serialiser of ours.

`shmspace.mp.Queue` is the drop-in for `multiprocessing.Queue`; `shmspace.Queue` stands beside it with codec "pickle".
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)
from benchmarks.competitors.fasterfifo import FasterFifo, FasterFifoLink
from benchmarks.competitors.mp_pipe import MultiprocessingPipe, PipeLink
from benchmarks.competitors.mp_queue import MultiprocessingQueue
from benchmarks.competitors.mp_simple_queue import MultiprocessingSimpleQueue
from benchmarks.competitors.shmspace_values import QueueLink, ShmspaceQueue


class DropInLink(Link):
    """A queue of a private space; workers inherit it."""

    def __init__(self, spec: LinkSpec) -> None:
        mp: Any = importlib.import_module("shmspace.mp")
        self._queue = mp.Queue(spec.depth)

    def connect_sender(self, lane: int = 0) -> Sender:
        return Sender(self._queue.put, self._queue.close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        return Receiver(self._queue.get, self._queue.close)

    def close(self) -> None:
        self._queue.close()


class ShmspaceDropIn(Competitor):
    """`put` and `get` of the drop-in."""

    name = "shmspace.mp.Queue"

    def version(self) -> str | None:
        return distribution_version("shmspace") if importlib.util.find_spec("shmspace") else None

    def create(self, spec: LinkSpec) -> Link:
        return DropInLink(spec)


class PickledQueueLink(QueueLink):
    """A queue of a named space, which allows pickles."""

    codec = "pickle"

    def _open(self) -> Any:
        return importlib.import_module("shmspace").open(self._space_name, size=self._size, allow_pickle=True)


class PickledShmspaceQueue(ShmspaceQueue):
    """The same as in the other patterns, with another codec."""

    link = PickledQueueLink


class PickledFasterFifoLink(FasterFifoLink):
    """With the library's own serialisers, which are pickle's."""

    serialisers = {}


class PickledFasterFifo(FasterFifo):
    """The library as it comes."""

    def create(self, spec: LinkSpec) -> Link:
        return PickledFasterFifoLink(spec)


class ObjectPipeLink(PipeLink):
    """`send` and `recv` in place of those of bytes."""

    def connect_sender(self, lane: int = 0) -> Sender:
        connection = self._lanes[lane][1]
        return Sender(connection.send, connection.close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        connection = self._lanes[lane][0]
        return Receiver(connection.recv, connection.close)


class ObjectPipe(MultiprocessingPipe):
    """The pipe of `multiprocessing`, with pickles."""

    def create(self, spec: LinkSpec) -> Link:
        return ObjectPipeLink(spec)


CARRIERS: tuple[Competitor, ...] = (
    ShmspaceDropIn(),
    PickledShmspaceQueue(),
    ObjectPipe(),
    MultiprocessingSimpleQueue(),
    MultiprocessingQueue(),
    PickledFasterFifo(),
)
