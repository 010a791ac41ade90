"""Work for processes that are stopped in the middle of it."""

from __future__ import annotations

from multiprocessing.connection import Connection

import shmspace


def send_steadily(talk: Connection, name: str) -> None:
    """Send rising numbers until told to end; says how many went."""
    number = 0
    with shmspace.open(name, create=False) as space:
        channel = space.channel("c")
        talk.send("ready")
        while not talk.poll(0):
            channel.send(number)
            number += 1
        talk.recv()
    talk.send(number)


def lock_steadily(talk: Connection, name: str) -> None:
    """Take and release the lock `l` until told to end; says how often a holder had died."""
    deaths = 0
    with shmspace.open(name, create=False) as space:
        talk.send("ready")
        while not talk.poll(0):
            with space.lock("l") as held:
                deaths += held.owner_died
        talk.recv()
    talk.send(deaths)
