"""pyzmq: PUSH and PULL over the ipc transport, one context and one I/O thread per process.

The high-water mark is four times the depth of the pattern on either side: the queue is bounded, and as
fast as an unlimited one, which would let a fast sender fill the memory (at the depth itself it lost a tenth to
a fifth). Sends and receives copy: for small messages its documentation recommends that, and the receiver
must end with `bytes` anyway. The side of which there is one binds, the others connect; a PUSH with several
peers deals messages out in turn.
"""

from __future__ import annotations

import importlib
import shutil
import tempfile
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)

_LINGER_MS = 1000
_MARK_PER_DEPTH = 4


class ZmqLink(Link):
    """A directory with one socket per lane."""

    def __init__(self, spec: LinkSpec) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-zmq-")
        self._high_water_mark = _MARK_PER_DEPTH * spec.depth
        self._sender_binds = spec.receivers > 1

    def _socket(self, kind: str, lane: int, binds: bool) -> tuple[Any, Any]:
        zmq: Any = importlib.import_module("zmq")
        context = zmq.Context()
        socket = context.socket(getattr(zmq, kind))
        socket.set_hwm(self._high_water_mark)
        address = f"ipc://{self._directory}/{lane}"
        if binds:
            socket.bind(address)
        else:
            socket.connect(address)
        return context, socket

    def connect_sender(self, lane: int = 0) -> Sender:
        context, socket = self._socket("PUSH", lane, self._sender_binds)

        def close() -> None:
            socket.close(_LINGER_MS)
            context.term()

        return Sender(socket.send, close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        context, socket = self._socket("PULL", lane, not self._sender_binds)

        def close() -> None:
            socket.close(0)
            context.term()

        return Receiver(socket.recv, close)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class Pyzmq(Competitor):
    """https://pyzmq.readthedocs.io"""

    name = "pyzmq"
    limits = {"view": "its messages arrive through a socket"}

    def version(self) -> str | None:
        found = distribution_version("pyzmq")
        if found is None:
            return None
        return f"{found} (libzmq {importlib.import_module('zmq').zmq_version()})"

    def create(self, spec: LinkSpec) -> Link:
        return ZmqLink(spec)
