"""Ctrl-C at every place of a call at which Python looks for signals.

Property: whatever the place, a message is neither lost nor doubled, and nothing stays open, held or in use.
"""

from __future__ import annotations

import gc
from typing import Any

import pytest

import shmspace
from tests.helpers.interrupts import at_every_place

LONG = b"x" * 5000


@pytest.mark.parametrize("value", [b"short", LONG, ["a list", "y" * 5000]], ids=["short", "long", "encoded"])
@pytest.mark.parametrize("delivery", ["one", "all"])
def test_a_message_is_taken_by_a_view_or_is_still_there(space: shmspace.Space, delivery: str, value: Any) -> None:
    channel = space.channel("c", delivery=delivery)
    reader = channel.reader()
    got: list[bytes] = []

    def look() -> None:
        with reader.recv_view(timeout=0) as view:
            got.append(bytes(view))

    def afterwards() -> None:
        if got:
            with pytest.raises(shmspace.Empty):
                reader.recv(timeout=0)
        else:
            assert reader.recv(timeout=0) == value
        got.clear()
        channel.send(value)

    channel.send(value)
    before = space.stat().used
    assert at_every_place(look, afterwards) > 20
    gc.collect()
    assert space.stat().used == before


@pytest.mark.parametrize("value", [b"short", LONG], ids=["short", "long"])
def test_a_view_after_an_interrupted_one_is_of_the_same_bytes(space: shmspace.Space, value: bytes) -> None:
    channel = space.channel("c", codec="json")
    reader = channel.reader()
    got: list[bytes] = []

    def look() -> None:
        with reader.recv_view(timeout=0) as view:
            got.append(bytes(view))

    def afterwards() -> None:
        if not got:
            look()
        assert got == [b'"%b"' % value]
        got.clear()
        channel.send(value.decode())

    channel.send(value.decode())
    at_every_place(look, afterwards)


@pytest.mark.parametrize("n", [-1, 3])
def test_what_an_interrupted_read_has_taken_is_read_by_the_next_one(space: shmspace.Space, n: int) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    got: list[bytes] = []

    def read() -> None:
        got.append(reader.read(n))

    def afterwards() -> None:
        if got != [b"abcdef"]:
            got.append(reader.read())
        assert b"".join(got) == b"abcdef"
        got.clear()
        channel.send_many([b"", b"abcdef"])

    channel.send_many([b"", b"abcdef"])
    assert at_every_place(read, afterwards) > 5


def test_what_an_interrupted_read_has_taken_is_decoded_by_the_next_recv(space: shmspace.Space) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    got: list[Any] = []

    def read() -> None:
        got.append(reader.read())

    def afterwards() -> None:
        assert (got or [reader.recv(timeout=0)]) in (["text"], [b"\xa4text"])
        got.clear()
        channel.send("text")

    channel.send("text")
    assert at_every_place(read, afterwards) > 5


@pytest.mark.parametrize("role", ["reader", "writer"])
def test_no_port_stays_open(space: shmspace.Space, role: str) -> None:
    channel = space.channel("c")
    opened: list[Any] = []
    kept: list[BaseException] = []

    def open_one() -> None:
        try:
            opened.append(getattr(channel, role)())
        except KeyboardInterrupt as error:
            kept.append(error)  # with its traceback, and all that is in there
            raise

    def afterwards() -> None:
        stat = channel.stat()
        assert stat.readers + stat.writers == len(opened)
        for port in opened:
            port.close()
        opened.clear()
        kept.clear()

    assert at_every_place(open_one, afterwards) > 20


def test_no_channel_is_kept(space: shmspace.Space) -> None:
    def open_one() -> None:
        space.channel("c").close()

    def afterwards() -> None:
        gc.collect()
        space.delete("channel", "c")
        assert space.stat().used == before

    space.channel("c")
    space.delete("channel", "c")
    gc.collect()
    before = space.stat().used
    assert at_every_place(open_one, afterwards) > 20


def test_a_reservation_is_sent_or_dropped(space: shmspace.Space) -> None:
    channel = space.channel("c")
    writer = channel.writer()

    def fill() -> None:
        with writer.reserve(5000) as view:
            view[:] = LONG

    def afterwards() -> None:
        gc.collect()
        got = channel.stat().waiting and channel.recv()
        assert got in (0, LONG)
        assert space.stat().used == before

    fill()
    channel.recv()
    before = space.stat().used
    assert at_every_place(fill, afterwards) > 20
    assert space.check() == []


def test_a_lock_is_free_afterwards(space: shmspace.Space) -> None:
    lock, held = space.lock("l"), list[Any]()

    def enter() -> None:
        held.append(lock.__enter__())

    def afterwards() -> None:
        if held:
            lock.__exit__(None, None, None)
        with space.lock("l", timeout=0) as again:
            assert again.owner_died is False
        held.clear()

    assert at_every_place(enter, afterwards) > 20
