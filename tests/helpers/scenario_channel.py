"""Work for other processes about channels: handles that arrive by pickling, foreign codecs."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import shmspace


def echo(channel: shmspace.Channel, back: shmspace.Channel) -> None:
    """Send back what comes on the channel until its stream ends."""
    for value in channel.reader():
        back.send(value)


def start_with_handles(talk: Connection, name: str, method: str) -> None:
    """Give two handles to a process started in the given way, and let it echo three values."""
    with shmspace.open(name, create=False) as space:
        there, back = space.channel("there"), space.channel("back")
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=echo, args=(there, back))
        with there.writer() as writer:
            child.start()
            for value in (1, b"two", "three"):
                writer.send(value)
                assert back.recv() == value
        child.join()
        talk.send(child.exitcode)


def start_with_space(talk: Connection, name: str, method: str) -> None:
    """Give a space to a process started in the given way; says what that process received."""
    with shmspace.open(name, create=False) as space:
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=answer, args=(space,))
        child.start()
        said = space.channel("answers").recv()
        child.join()
        talk.send((said, child.exitcode))


def answer(space: shmspace.Space) -> None:
    space.channel("answers").send([space.name, space.stat().members])


def pool_map(talk: Connection, name: str, method: str) -> None:
    """Send a handle along with every task of a process pool."""
    with shmspace.open(name, create=False) as space:
        channel = space.channel("squares")
        context: Any = multiprocessing.get_context(method)
        with context.Pool(2) as pool:
            pool.starmap(send_square, [(channel, number) for number in range(20)])
            pool.close()
            pool.join()
        talk.send(sorted(channel.recv_many(100)))


def send_square(channel: shmspace.Channel, number: int) -> None:
    channel.send(number * number)


def backwards(value: str) -> bytes:
    """The encoding half of a codec of the tests' own: text, its bytes reversed."""
    if value == "refuse me":
        raise KeyError("encode refused")
    return value.encode()[::-1]


def forwards(data: bytes) -> str:
    """The decoding half."""
    text = bytes(data)[::-1].decode()
    if text == "refuse me later":
        raise KeyError("decode refused")
    return text


def exchange_backwards(talk: Connection, name: str, number: int) -> None:
    """Register the codec, then send back what was received."""
    shmspace.register_codec("backwards", number, backwards, forwards)
    with shmspace.open(name, create=False) as space:
        channel = space.channel("c")
        talk.send(channel.recv())
        channel.send("from there")
