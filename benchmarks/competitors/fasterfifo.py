"""faster-fifo: a circular buffer in shared memory under a process-shared mutex.

Its size is in bytes: depth * (message + its length word). Its documentation offers own serialisers in
place of pickle; bytes pass through here as they are, the fastest choice. It has `put_many` and
`get_many`. Its mutex is not robust: a process killed while it holds it blocks the others.
"""

from __future__ import annotations

import importlib
from typing import Any, ClassVar

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
    nothing,
)

_LENGTH_BYTES = 8
_LONG_SECONDS = 3600.0  # both calls give up after 10 s by default


def same(data: bytes) -> bytes:
    """The serialiser for what is bytes already."""
    return data


class FasterFifoLink(Link):
    """One queue per lane."""

    serialisers: ClassVar[dict[str, Any]] = {"loads": bytes, "dumps": same}

    def __init__(self, spec: LinkSpec) -> None:
        library: Any = importlib.import_module("faster_fifo")
        size_bytes = spec.depth * (spec.size + _LENGTH_BYTES)
        self._size = spec.size
        self._lanes = [library.Queue(size_bytes, **self.serialisers) for _ in range(spec.lanes)]

    def connect_sender(self, lane: int = 0) -> Sender:
        queue = self._lanes[lane]

        def send(data: bytes) -> None:
            queue.put(data, True, _LONG_SECONDS)

        def send_many(batch: list[bytes]) -> None:
            queue.put_many(batch, True, _LONG_SECONDS)

        return Sender(send, nothing, send_many)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        queue = self._lanes[lane]
        queue.reallocate_msg_buffer(2 * 100 * 64 if self._size <= 64 else 2 * self._size)

        def recv() -> bytes:
            data: bytes = queue.get(True, _LONG_SECONDS)
            return data

        def recv_many(max_count: int) -> list[bytes]:
            batch: list[bytes] = queue.get_many(True, _LONG_SECONDS, max_count)
            return batch

        return Receiver(recv, nothing, recv_many)


class FasterFifo(Competitor):
    """https://github.com/alex-petrenko/faster-fifo"""

    name = "faster-fifo"
    limits = {"view": "copies only"}

    def version(self) -> str | None:
        return distribution_version("faster-fifo")

    def create(self, spec: LinkSpec) -> Link:
        return FasterFifoLink(spec)
