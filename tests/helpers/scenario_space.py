"""Work for other processes about whole spaces: opening damaged ones, crowding, filling up."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import shmspace


def use(name: str, directory: str | None = None, **options: Any) -> str:
    """Open a space and do a little of everything; `"works"`, or the name of the refusal."""
    try:
        with shmspace.open(name, directory=directory, timeout=0, **options) as space:
            space.names()
            space.stat()
            space.members()
            channel = space.channel("c")
            channel.send(b"y", timeout=0)
            channel.recv(timeout=0)
            space.check()
    except shmspace.ShmspaceError as error:
        return type(error).__name__
    return "works"


def open_truncated(talk: Connection, name: str, path: str, lengths: list[int]) -> None:
    """Cut the region file to each length in turn and try to open it; says each outcome."""
    with open(path, "rb") as file:
        whole = file.read()
    directory = os.path.dirname(path)
    for length in lengths:
        with open(path, "wb") as file:
            file.write(whole[:length])
        talk.send((length, use(name, directory)))
    restore(path, whole)
    talk.send(None)


def open_flipped(talk: Connection, name: str, path: str, offsets: list[int], bit: int) -> None:
    """Flip one bit of the region file at each offset in turn and use it; says each outcome."""
    with open(path, "rb") as file:
        whole = file.read()
    directory = os.path.dirname(path)
    for offset in offsets:
        restore(path, whole)
        with open(path, "r+b") as file:
            file.seek(offset)
            file.write(bytes([whole[offset] ^ (1 << bit)]))
        talk.send((offset, use(name, directory)))
    restore(path, whole)
    talk.send(None)


def restore(path: str, whole: bytes) -> None:
    """Write the region file as it was, in place if it is still there."""
    with open(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), "r+b") as file:
        file.write(whole)
        file.truncate()


def crowd(talk: Connection, name: str, count: int) -> None:
    """Fork `count` children that all attach and stay; says how many got each outcome."""
    ready, tell_ready = os.pipe()
    leave, tell_leave = os.pipe()
    children = [fork_member(name, tell_ready, leave, tell_leave) for _ in range(count)]
    outcomes = b""
    while len(outcomes) < count:
        outcomes += os.read(ready, count)
    talk.send({letter: outcomes.count(letter.encode()) for letter in "wfx"})
    with contextlib.suppress(EOFError):
        talk.recv()
    os.close(tell_leave)
    codes = [os.waitpid(child, 0)[1] for child in children]
    talk.send(codes.count(0))


def fork_member(name: str, tell_ready: int, leave: int, tell_leave: int) -> int:
    """One forked child: attach, write w (works), f (full) or x (anything else), wait, leave."""
    child = os.fork()
    if child:
        return child
    os.close(tell_leave)
    code = 1
    try:
        try:
            with shmspace.open(name, create=False) as space:
                letter = b"w" if space.names() == [] else b"x"
                os.write(tell_ready, letter)
                os.read(leave, 1)
        except shmspace.TooManyMembers:
            os.write(tell_ready, b"f")
            os.read(leave, 1)
        code = 0
    except BaseException:
        os.write(tell_ready, b"x")
    finally:
        os._exit(code)


def fill(talk: Connection, name: str, directory: str, size: str) -> None:
    """Send until the machine or the space is full, take everything, send once more.

    Says how many were sent, how many of them came back intact, the text of the refusal, and how
    many problems there are. A machine too small for the space itself refuses the opening.
    """
    sent = received = 0
    try:
        space = shmspace.open(name, directory=directory, size=size)
    except shmspace.SpaceFull as error:
        talk.send((0, 0, str(error), 0))
        return
    with space:
        channel = space.channel("c", capacity=1000)
        try:
            while True:
                channel.send(bytes([sent % 251]) * 50_000)
                sent += 1
        except shmspace.SpaceFull as error:
            text = str(error)
        while channel.stat().waiting:
            received += channel.recv(timeout=0) == bytes([received % 251]) * 50_000
        channel.send(b"there is room again", timeout=0)
        talk.send((sent, received, text, len(space.check())))


def open_as(talk: Connection, uid: int, name: str, options: dict[str, Any]) -> None:
    """Open a space as another user; says the outcome. Warmed up before, since files may hide."""
    with shmspace.open(f"{name}-warm", size="1M") as space:
        space.channel("c").send(b"x")
        space.destroy()
    as_user(uid, lambda: talk.send(outcome(name, options)))


def outcome(name: str, options: dict[str, Any]) -> str:
    """`"opened"`, or the name of the refusal."""
    try:
        shmspace.open(name, **options).close()
    except Exception as error:
        return type(error).__name__
    return "opened"


def as_user(uid: int, work: Callable[[], None]) -> None:
    """Do the work as another user and come back."""
    os.setegid(uid)
    os.seteuid(uid)
    try:
        work()
    finally:
        os.seteuid(0)
        os.setegid(0)
