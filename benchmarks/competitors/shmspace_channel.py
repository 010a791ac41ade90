"""shmspace: a channel with one space per link, one channel per lane.

Codec "raw" (bytes in, bytes out), `delivery="one"`, so several readers compete. Writer and reader
handles are opened once; their bound methods are used directly.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
from collections.abc import Callable
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Edges,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)

_SMALLEST_SPACE = 64 << 20
_numbers = itertools.count()


class ChannelLink(Link):
    """The names under which workers find space and channels, and the options of the channels."""

    def __init__(self, spec: LinkSpec) -> None:
        self._space_name = f"bench-{os.getpid()}-{next(_numbers)}"
        self._size = max(_SMALLEST_SPACE, 4 * spec.lanes * spec.depth * spec.size)
        self._capacity = spec.depth
        self._max_message = spec.size
        space = self._open()
        for lane in range(spec.lanes):
            self._channel(space, lane).reader().close()  # a first reader or writer creates it
        space.close()

    def _open(self) -> Any:
        return importlib.import_module("shmspace").open(self._space_name, size=self._size)

    def _channel(self, space: Any, lane: int) -> Any:
        return space.channel(
            f"lane{lane}", capacity=self._capacity, max_message=self._max_message, codec="raw"
        )

    def connect_sender(self, lane: int = 0) -> Sender:
        space = self._open()
        writer = self._channel(space, lane).writer()

        def send_view(nbytes: int, fill: Callable[[memoryview], None]) -> None:
            with writer.reserve(nbytes) as view:
                fill(view)

        return Sender(writer.send, space.close, writer.send_many, send_view)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        space = self._open()
        reader = self._channel(space, lane).reader()

        def recv_view(use: Callable[[memoryview], Edges]) -> Edges:
            with reader.recv_view() as view:
                return use(view)

        return Receiver(reader.recv, space.close, reader.recv_many, recv_view)

    def close(self) -> None:
        importlib.import_module("shmspace").destroy(self._space_name, missing_ok=True)


class ShmspaceChannel(Competitor):
    """This product."""

    name = "shmspace"

    def version(self) -> str | None:
        if importlib.util.find_spec("shmspace") is None:
            return None
        return distribution_version("shmspace")

    def create(self, spec: LinkSpec) -> Link:
        return ChannelLink(spec)
