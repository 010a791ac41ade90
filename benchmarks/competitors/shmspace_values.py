"""shmspace again: its queue, its queue with leases, and its tuple space, each lane a queue resp. a key of its own.

Codec "raw" (bytes in, bytes out). The bound methods are used directly; a lease takes one call more, which is in an
adapter function, as is the key of a tuple space.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
from typing import Any, ClassVar

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)

_SMALLEST_SPACE = 64 << 20
_numbers = itertools.count()


class _ValuesLink(Link):
    """The name under which workers find the space, and the bound of its structures."""

    def __init__(self, spec: LinkSpec) -> None:
        self._space_name = f"bench-{os.getpid()}-v{next(_numbers)}"
        self._size = max(_SMALLEST_SPACE, 4 * spec.lanes * spec.depth * spec.size)
        self._depth = spec.depth
        self._open().close()

    def _open(self) -> Any:
        return importlib.import_module("shmspace").open(self._space_name, size=self._size)

    def close(self) -> None:
        importlib.import_module("shmspace").destroy(self._space_name, missing_ok=True)


class QueueLink(_ValuesLink):
    """A queue a lane."""

    codec = "raw"

    def _queue(self, space: Any, lane: int) -> Any:
        return space.queue(f"lane{lane}", maxsize=self._depth, codec=self.codec)

    def connect_sender(self, lane: int = 0) -> Sender:
        space = self._open()
        queue = self._queue(space, lane)
        return Sender(queue.put, space.close, queue.put_many)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        space = self._open()
        queue = self._queue(space, lane)
        return Receiver(queue.get, space.close, queue.get_many)


class LeaseLink(QueueLink):
    """The same, with a lease that is acknowledged for every value."""

    def connect_receiver(self, lane: int = 0) -> Receiver:
        space = self._open()
        get_lease = self._queue(space, lane).lease

        def recv() -> bytes:
            lease = get_lease()
            data: bytes = lease.value
            lease.ack()
            return data

        return Receiver(recv, space.close)


class TuplesLink(_ValuesLink):
    """A key a lane."""

    def _tuples(self, space: Any) -> Any:
        return space.tuples(bound=self._depth, codec="raw")

    def connect_sender(self, lane: int = 0) -> Sender:
        space, key = self._open(), f"lane{lane}"
        tuples = self._tuples(space)
        return Sender(functools.partial(tuples.out, key), space.close, functools.partial(tuples.out_many, key))

    def connect_receiver(self, lane: int = 0) -> Receiver:
        space, key = self._open(), f"lane{lane}"
        tuples = self._tuples(space)
        return Receiver(functools.partial(tuples.take, key), space.close, functools.partial(tuples.take_many, key))


class _Ours(Competitor):
    link: ClassVar[type[_ValuesLink]]
    limits = {"view": "only channels lend views"}

    def version(self) -> str | None:
        if importlib.util.find_spec("shmspace") is None:
            return None
        return distribution_version("shmspace")

    def create(self, spec: LinkSpec) -> Link:
        return self.link(spec)


class ShmspaceQueue(_Ours):
    """`put` and `get`."""

    name = "shmspace.Queue"
    link = QueueLink


class ShmspaceLease(_Ours):
    """`put`, `lease` and `ack`."""

    name = "shmspace.Queue, leases"
    link = LeaseLink


class ShmspaceTuples(_Ours):
    """`out` and `take` of a key."""

    name = "shmspace.Tuples"
    link = TuplesLink
