"""Every message that a slow reader does not get is counted in a `Lagged`, also when the loss falls into a batch."""

from __future__ import annotations

from itertools import pairwise
from multiprocessing.connection import Connection

import shmspace
from shmspace import Lagged, Space
from tests.helpers.peer import Peer

COUNT = 1_000_000


def _flood(talk: Connection, name: str) -> None:
    with shmspace.open(name) as space, space.channel("c").writer() as writer:
        talk.send("ready")
        talk.recv()
        for first in range(0, COUNT, 50):
            writer.send_many([number.to_bytes(4, "little") for number in range(first, first + 50)])


def test_what_is_not_received_is_told_as_lost(space: Space) -> None:
    channel = space.channel("c", capacity=70, delivery="all", overflow="oldest", codec="raw")
    received: list[int] = []
    losses: list[int] = []
    with channel.reader() as reader, Peer(_flood, space.name) as peer:
        assert peer.said() == "ready"
        peer.tell("go")
        while True:
            try:
                batch = reader.recv_many(5000, timeout=30)
            except Lagged as lagged:
                losses.append(lagged.lost)
            except shmspace.EndOfStream:
                break
            else:
                received += [int.from_bytes(message, "little") for message in batch]
    assert all(earlier < later for earlier, later in pairwise(received))
    assert len(received) + sum(losses) == COUNT
    assert losses
    assert all(losses)
