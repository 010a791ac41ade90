"""POSIX message queue: kept by the kernel, through posix-ipc.

The kernel limits depth (fs.mqueue.msg_max, 10 unless changed), message size (fs.mqueue.msgsize_max,
8192) and the bytes per user (ulimit -q). Privileged users may go beyond; the parent raises its own
byte limit where it is allowed to. The depth is the largest that is granted, and the row says it.
"""

from __future__ import annotations

import importlib
import itertools
import os
import resource
from pathlib import Path
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)
from benchmarks.outcome import NotApplicable

_LIMITS = Path("/proc/sys/fs/mqueue")
_numbers = itertools.count()


class MessageQueueLink(Link):
    """The names of the kernel's queues, one per lane."""

    def __init__(self, spec: LinkSpec) -> None:
        self._names = [f"/bench-{os.getpid()}-{next(_numbers)}" for _ in range(spec.lanes)]
        _lift_byte_limit()
        for depth in _depths(spec.depth):
            if self._create(depth, spec.size):
                if depth < spec.depth:
                    self.note = f"depth {depth}, the most this system grants"
                return
        raise NotApplicable(
            f"this system grants no queue of {spec.size} byte messages"
            f" (fs.mqueue.msgsize_max is {(_LIMITS / 'msgsize_max').read_text().strip()})"
        )

    def _create(self, depth: int, size_bytes: int) -> bool:
        library = _library()
        try:
            for name in self._names:
                library.MessageQueue(
                    name, library.O_CREX, max_messages=depth, max_message_size=size_bytes
                ).close()
        except (OSError, ValueError, library.Error):
            self.close()
            return False
        return True

    def connect_sender(self, lane: int = 0) -> Sender:
        queue = _library().MessageQueue(self._names[lane], read=False)
        return Sender(queue.send, queue.close)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        queue = _library().MessageQueue(self._names[lane], write=False)
        receive = queue.receive

        def recv() -> bytes:
            data: bytes = receive()[0]
            return data

        return Receiver(recv, queue.close)

    def close(self) -> None:
        library = _library()
        for name in self._names:
            try:
                library.unlink_message_queue(name)
            except library.ExistentialError:
                pass


def _library() -> Any:
    return importlib.import_module("posix_ipc")


def _depths(wanted: int) -> list[int]:
    granted = int((_LIMITS / "msg_max").read_text())
    return sorted({wanted, *(depth for depth in (256, 64, 16, granted, 4) if depth < wanted)}, reverse=True)


def _lift_byte_limit() -> None:
    try:
        resource.setrlimit(resource.RLIMIT_MSGQUEUE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    except (OSError, ValueError):
        soft, hard = resource.getrlimit(resource.RLIMIT_MSGQUEUE)
        if soft != hard:
            resource.setrlimit(resource.RLIMIT_MSGQUEUE, (hard, hard))


class PosixMessageQueue(Competitor):
    """https://semanchuk.com/philip/posix_ipc"""

    name = "POSIX mq"
    limits = {"view": "the kernel copies"}

    def version(self) -> str | None:
        found = distribution_version("posix-ipc")
        return None if found is None else f"posix-ipc {found}"

    def create(self, spec: LinkSpec) -> Link:
        return MessageQueueLink(spec)
