"""Logs in a space that may only be read: all reading works, waiting too, and nothing can be changed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.peer_wait import blocked


@pytest.fixture
def view(space: shmspace.Space) -> Iterator[shmspace.Space]:
    with shmspace.open(space.name, readonly=True) as made:
        yield made


@pytest.fixture
def log(space: shmspace.Space) -> shmspace.Log:
    made = space.log("l", segment_size=4, codec="auto", key_index=True, time_index=True)
    made.publish([Message([number], f"k{number % 2}", number) for number in range(10)])
    made.append(bytes(20_000), key="big", time=10)
    return made


def test_everything_can_be_read(log: shmspace.Log, view: shmspace.Space) -> None:
    seen = view.log("l")
    assert (seen.range(), seen.next_offset, seen.stat()) == ((4, 10), 11, log.stat())
    assert [seen.read(offset) for offset in range(4, 11)] == log.read_batch(4, 9)
    assert (seen.read(OLDEST).value, seen.read(NEWEST).value) == ([4], bytes(20_000))
    assert (seen.read_batch(5, 3), seen.consume(0, 3)) == (log.read_batch(5, 3), log.consume(0, 3))
    assert seen.consume(OLDEST, key="k1") == log.consume(OLDEST, key="k1")
    assert (seen.read_by_key("big"), seen.offset_by_key("k0")) == (log.read(10), 8)
    assert (seen.read_by_time(7), seen.offset_by_time(8)) == (log.read(7), (8, 8))
    assert seen.size(b"x", "k") == log.size(b"x", "k")
    with seen.stream() as stream:
        assert [stream.next(timeout=0).offset for _ in range(7)] == list(range(4, 11))
    with pytest.raises(shmspace.OutOfRange):
        seen.read(3)
    with pytest.raises(shmspace.FutureOffset):
        seen.consume(12)


@pytest.mark.parametrize("way", ["consume", "stream", "future"])
def test_waiting_works(log: shmspace.Log, view: shmspace.Space, way: str) -> None:
    seen = view.log("l")
    ways: dict[str, Callable[[], Any]] = {
        "consume": lambda: seen.consume(11, key="k", timeout=None)[1][0],
        "stream": lambda: next(seen.stream(NEWEST, key="k")),
        "future": lambda: next(seen.stream(12)),
    }
    call = blocked(ways[way])
    log.append("other")
    call.until_blocked()
    log.append("mine", key="k")
    assert call.result().value == "mine"
    assert seen.consume(13, timeout=0.01) == (13, [])
    with pytest.raises(shmspace.Empty):
        seen.stream(13, timeout=0.01).next()


@pytest.mark.parametrize("end", ["drop", "destroy", "close"])
def test_a_waiting_reader_learns_of_the_end(
    space: shmspace.Space, log: shmspace.Log, view: shmspace.Space, end: str
) -> None:
    seen = view.log("l")
    calls = [blocked(seen.consume, 11, timeout=None), blocked(seen.stream(NEWEST).next)]
    {"drop": log.drop, "destroy": space.destroy, "close": view.close}[end]()
    for call in calls:
        with pytest.raises(shmspace.Closed):
            call.result()


def test_closing_a_stream_ends_it(log: shmspace.Log, view: shmspace.Space) -> None:
    stream = view.log("l").stream(NEWEST)
    call = blocked(lambda: list(stream))
    stream.close()
    assert call.result() == []


def test_what_would_change_something_is_refused(log: shmspace.Log, view: shmspace.Space) -> None:
    seen, before = view.log("l"), log.stat()
    changes: list[Callable[[], Any]] = [
        lambda: seen.append("x"),
        lambda: seen.append("x", timeout=0),
        lambda: seen.append(bytes(20_000), key="k"),
        lambda: seen.publish(["x"]),
        lambda: seen.publish([]),
        lambda: seen.delete([4]),
        lambda: seen.delete([]),
        lambda: seen.trim(count=0),
        lambda: seen.trim(count=100),
        lambda: seen.compact(updates_before=100),
        seen.drop,
        lambda: view.delete("log", "l"),
    ]
    for change in changes:
        with pytest.raises(shmspace.ReadOnly):
            change()
    assert (log.stat(), log.range()) == (before, (4, 10))


def test_what_is_not_there_is_not_made(space: shmspace.Space, view: shmspace.Space) -> None:
    for opening in (view.log, view.sharded_log):
        with pytest.raises(shmspace.NotFound):
            opening("none")
    assert space.names() == []


def test_a_reader_holds_nobody_up_and_sees_only_whole_records(space: shmspace.Space, view: shmspace.Space) -> None:
    """Short and long records go by, slots and blocks are used again, while somebody looks."""
    log, over = space.log("l", segment_size=2), threading.Event()
    sizes = (1, 16, 17, 1000, 5000)

    def append() -> None:
        number = 0
        while not over.is_set():
            log.publish([(number + i).to_bytes(4, "big") * sizes[(number + i) % 5] for i in range(3)])
            number += 3

    thread = threading.Thread(target=append)
    thread.start()
    try:
        stream, last, found = view.log("l").stream(0, lost="skip"), -1, 0
        while found < 5000:
            offset, _, _, data = next(stream)
            assert data == offset.to_bytes(4, "big") * sizes[offset % 5]
            assert offset > last
            last, found = offset, found + 1
        assert last + 1 == found + stream.lost
    finally:
        over.set()
        thread.join()
