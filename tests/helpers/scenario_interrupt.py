"""Work for processes that get a Ctrl-C in the middle of a blocking call."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any

import shmspace


def view_of(reader: shmspace.Reader) -> bytes:
    with reader.recv_view() as view:
        return bytes(view)


def fill_reserved(writer: shmspace.Writer) -> None:
    with writer.reserve(3) as view:
        view[:] = b"abc"


def hold(space: shmspace.Space) -> None:
    with space.lock("l"):
        pass


RECEIVING: dict[str, Callable[[shmspace.Channel, shmspace.Reader], Any]] = {
    "recv": lambda channel, _: channel.recv(),
    "recv with a timeout": lambda channel, _: channel.recv(timeout=1e6),
    "recv_many": lambda channel, _: channel.recv_many(5),
    "reader.recv": lambda _, reader: reader.recv(),
    "reader.recv_many": lambda _, reader: reader.recv_many(5),
    "reader.recv_view": lambda _, reader: view_of(reader),
    "reader.read": lambda _, reader: reader.read(),
    "reader.readinto": lambda _, reader: reader.readinto(bytearray(9)),
    "iteration": lambda _, reader: next(iter(reader)),
    "aio.recv": lambda channel, _: asyncio.run(channel.aio.recv()),
}
SENDING: dict[str, Callable[[shmspace.Channel, shmspace.Writer], Any]] = {
    "send": lambda channel, _: channel.send(b"abc"),
    "send with a timeout": lambda channel, _: channel.send(b"abc", timeout=1e6),
    "send_many": lambda channel, _: channel.send_many([b"abc", b"def"]),
    "writer.send": lambda _, writer: writer.send(b"abc"),
    "writer.write": lambda _, writer: writer.write(b"abc"),
    "writer.reserve": lambda _, writer: fill_reserved(writer),
    "aio.send": lambda channel, _: asyncio.run(channel.aio.send(b"abc")),
}


def prepared(space: shmspace.Space, call: str) -> Callable[[], Any]:
    """The call with all that it needs opened already."""
    if call == "lock":
        return lambda: hold(space)
    channel = space.channel("c")
    if call in SENDING:
        writer = channel.writer()
        return lambda: SENDING[call](channel, writer)
    reader = channel.reader()
    return lambda: RECEIVING[call](channel, reader)


def call_until_interrupted(talk: Connection, name: str, call: str) -> None:
    """Make one blocking call; say how it ended; make it again when told, and say so too."""
    with shmspace.open(name, create=False) as space:
        work = prepared(space, call)
        talk.send("ready")
        for _ in range(2):
            try:
                work()
            except KeyboardInterrupt:
                talk.send("interrupted")
            else:
                talk.send("returned")
            talk.recv()


def call_with_a_patient_handler(talk: Connection, name: str) -> None:
    """Receive while signals arrive whose handler raises nothing."""
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _: seen.append(number))
    with shmspace.open(name, create=False) as space:
        channel = space.channel("c")
        talk.send("ready")
        talk.send((channel.recv(), len(seen) > 0))


def receive_under_fire(talk: Connection, name: str) -> None:
    """Receive until the stream ends, taking up again after every interrupt; says what came.

    An interrupt between two calls is not the library's: the handler raises only while a frame of
    the library runs, so that no message is lost on its way from the call into the list.
    """
    own = sys._getframe().f_code
    receiving = False

    def handler(_: int, frame: FrameType | None) -> None:
        if receiving and frame is not None and frame.f_code is not own:
            raise KeyboardInterrupt

    got: list[int] = []
    signal.signal(signal.SIGINT, handler)
    with shmspace.open(name, create=False) as space, space.channel("c").reader() as reader:
        talk.send("ready")
        receiving = True
        while receiving:
            try:
                value = reader.recv()
            except KeyboardInterrupt:
                continue
            except shmspace.EndOfStream:
                receiving = False
            else:
                got.append(value)
    talk.send(got)
