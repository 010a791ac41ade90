"""Work for processes that get a Ctrl-C in the middle of a blocking call of a log."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import shmspace
from tests.helpers.peer_wait import Call

WAITS: dict[str, Callable[[shmspace.Log, shmspace.LogStream], Any]] = {
    "consume": lambda log, _: log.consume(0, timeout=None)[1][0],
    "consume with a timeout": lambda log, _: log.consume(0, timeout=1e6)[1][0],
    "consume of a key": lambda log, _: log.consume(0, key="k", timeout=None)[1][0],
    "iteration": lambda _, stream: next(stream),
    "next": lambda _, stream: stream.next(),
    "next with a timeout": lambda _, stream: stream.next(timeout=1e6),
    "aio.consume": lambda log, _: asyncio.run(log.aio.consume(0, timeout=None))[1][0],
    "aio.next": lambda _, stream: asyncio.run(stream.aio.next()),
}


def wait_until_interrupted(talk: Connection, name: str, call: str) -> None:
    """Make one blocking call; say how it ended; make it again when told, and say so too."""
    with shmspace.open(name, create=False) as space:
        log = space.log("l")
        stream = log.stream()
        talk.send("ready")
        for _ in range(2):
            try:
                outcome = WAITS[call](log, stream).data
            except KeyboardInterrupt:
                outcome = "interrupted"
            talk.send(outcome)
            talk.recv()


def stream_under_fire(talk: Connection, name: str) -> None:
    """Read until told to stop, taking up again after every interrupt; says which records and how many interrupts came.

    `list.extend` keeps what it was given before an exception, and looks for no signals itself: every interrupt is
    raised by the stream, or when it has ended.
    """
    got: list[shmspace.Record] = []
    asking, interrupts = False, 0

    def handler(*_: object) -> None:
        nonlocal asking, interrupts
        if asking:
            asking = False
            interrupts += 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    with shmspace.open(name, create=False) as space:
        stream = space.log("l").stream()
        talk.send("ready")

        def close_when_told() -> None:
            talk.recv()
            stream.close()

        closer = Call(close_when_told)
        while not stream.closed:
            try:
                asking = True
                got.extend(stream)
                asking = False
            except KeyboardInterrupt:
                pass
        asking = False
        closer.result()
    talk.send(([record.offset for record in got], interrupts))
