"""multiprocessing.Pipe: a one-way kernel pipe with `send_bytes` and `recv_bytes`, no pickle.

Its depth is the pipe's size in bytes, which is set as near to depth * message as the system allows.
Each end belongs to one process: two that write or read at the same time may damage the data, says its
documentation, so it takes no part where several share an end (SimpleQueue is the same with locks).
"""

from __future__ import annotations

import fcntl
import platform
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Receiver, Sender
from benchmarks.crew import CONTEXT

_HEADER_BYTES = 4
_DEFAULT_PIPE_BYTES = 64 << 10
_ONE_PROCESS = "each end is for one process"


class PipeLink(Link):
    """One pipe per lane."""

    def __init__(self, spec: LinkSpec) -> None:
        self._lanes: list[tuple[Connection[Any, Any], Connection[Any, Any]]] = []
        for _ in range(spec.lanes):
            receiving, sending = CONTEXT.Pipe(duplex=False)
            _enlarge(sending.fileno(), spec.depth * (spec.size + _HEADER_BYTES))
            self._lanes.append((receiving, sending))

    def connect_sender(self, lane: int = 0) -> Sender:
        sending = self._lanes[lane][1]
        return Sender(sending.send_bytes, sending.close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        receiving = self._lanes[lane][0]
        return Receiver(receiving.recv_bytes, receiving.close)

    def close(self) -> None:
        for ends in self._lanes:
            for end in ends:
                end.close()


def _enlarge(descriptor: int, wanted_bytes: int) -> None:
    allowed_bytes = int(Path("/proc/sys/fs/pipe-max-size").read_text())
    if (size_bytes := min(wanted_bytes, allowed_bytes)) > _DEFAULT_PIPE_BYTES:
        fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, size_bytes)


class MultiprocessingPipe(Competitor):
    """Python's own."""

    name = "multiprocessing.Pipe"
    limits = {"view": "the kernel copies", "fan_in": _ONE_PROCESS, "fan_out": _ONE_PROCESS}

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, spec: LinkSpec) -> Link:
        return PipeLink(spec)
