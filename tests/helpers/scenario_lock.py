"""Work for other processes about named locks: ways to end while holding one, and counting."""

from __future__ import annotations

import os
import sys
from multiprocessing.connection import Connection

import shmspace


def hold_and_end(talk: Connection, name: str, way: str) -> None:
    """Take the lock `l`, say so, and end in the given way without releasing it."""
    space = shmspace.open(name, create=False)
    held = space.lock("l")
    held.__enter__()
    talk.send("held")
    talk.recv()
    if way == "os._exit":
        os._exit(0)
    if way == "sys.exit":
        sys.exit(0)
    if way == "abort":
        os.abort()
    if way == "exec":
        os.execv("/bin/true", ["true"])
    if way == "exception":
        raise RuntimeError("on purpose")
    assert way == "return"


def count_up(talk: Connection, name: str, path: str, times: int) -> None:
    """Read, add one and write a number in a file, each time under the lock `l`."""
    with shmspace.open(name, create=False) as space:
        talk.send("ready")
        talk.recv()
        add_up(space, path, times)
    talk.send("done")


def add_up(space: shmspace.Space, path: str, times: int) -> None:
    """The same in this process."""
    for _ in range(times):
        with space.lock("l"):
            with open(path, encoding="ascii") as file:
                number = int(file.read())
            with open(path, "w", encoding="ascii") as file:
                file.write(str(number + 1))
