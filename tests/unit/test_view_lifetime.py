"""Views and the memory behind them: it stays this process's as long as anything can look into it, and no longer."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet

SIZE = 9000


def array_of(view: memoryview) -> Any:
    return pytest.importorskip("numpy").frombuffer(view, dtype="u1")


LOOKS: dict[str, Callable[[memoryview], Any]] = {
    "slice": lambda view: view[10:20],
    "memoryview": memoryview,
    "cast": lambda view: view.cast("Q"),
    "array": array_of,
}


def lend(channel: shmspace.Channel, kind: str) -> AbstractContextManager[memoryview]:
    if kind == "reserve":
        return channel.writer().reserve(SIZE)
    channel.send(b"x" * SIZE)
    return channel.reader().recv_view()


def used(space: shmspace.Space) -> int:
    return space.stat().used


@pytest.fixture
def channel(space: shmspace.Space) -> shmspace.Channel:
    """A channel whose tables have grown as far as these tests need."""
    channel = space.channel("c")
    for kind in ("reserve", "recv_view"):
        with lend(channel, kind):
            pass
    channel.recv_many(9)
    gc.collect()
    return channel


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_what_still_looks_into_a_view_at_its_end_is_a_buffer_error_and_keeps_the_memory(
    space: shmspace.Space, channel: shmspace.Channel, kind: str, look: Callable[[memoryview], Any]
) -> None:
    before = used(space)
    with pytest.raises(BufferError, match="still looks into"), lend(channel, kind) as view:
        if kind == "reserve":
            view[:] = b"x" * SIZE
        kept = look(view)
    for _ in range(20):
        channel.send(b"y" * SIZE)
        assert channel.recv(timeout=0) == b"y" * SIZE
    assert bytes(kept) == (b"x" * SIZE)[: len(bytes(kept))]
    assert used(space) > before
    assert channel.stat().waiting == 0
    del view, kept
    gc.collect()
    assert used(space) == before


def test_what_looks_into_a_copy_at_its_end_is_a_buffer_error_too(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"short")
    with pytest.raises(BufferError, match="still looks into"), channel.reader().recv_view() as view:
        kept = view[:3]
    assert bytes(kept) == b"sho"


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS)
@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_an_exception_in_the_block_passes_and_what_still_looks_keeps_the_memory(
    space: shmspace.Space, channel: shmspace.Channel, kind: str, look: Callable[[memoryview], Any]
) -> None:
    before, kept = used(space), []
    with pytest.raises(KeyError, match="on purpose"), lend(channel, kind) as view:
        if kind == "reserve":
            view[:] = b"x" * SIZE
        kept.append(look(view))
        raise KeyError("on purpose")
    for _ in range(20):
        channel.send(b"y" * SIZE)
        channel.recv()
    assert bytes(kept[0]) == (b"x" * SIZE)[: len(bytes(kept[0]))]
    del kept[0], view
    gc.collect()
    assert used(space) == before


@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_an_exception_in_the_block_takes_the_view_away(
    space: shmspace.Space, channel: shmspace.Channel, kind: str
) -> None:
    before = used(space)
    with pytest.raises(KeyError), lend(channel, kind) as view:
        raise KeyError("on purpose")
    with pytest.raises(ValueError, match="released"):
        view[0]
    gc.collect()
    assert used(space) == before


@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_a_view_in_a_garbage_cycle_gives_its_memory_back(
    space: shmspace.Space, channel: shmspace.Channel, kind: str
) -> None:
    before = used(space)
    cycle: list[Any] = [lend(channel, kind)]
    cycle += [cycle[0].__enter__(), cycle]
    assert used(space) > before
    del cycle
    gc.collect()
    assert used(space) == before


@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_a_process_that_closes_the_space_stays_in_it_until_its_views_are_gone(space_name: str, kind: str) -> None:
    with shmspace.open(space_name, size="1M") as mine, Puppet(space_name) as far:
        far.do("space.channel", "far", keep="ch")
        lent = lend(mine.channel("c"), kind)
        view = lent.__enter__()
        if kind == "reserve":
            view[:] = b"x" * SIZE
        mine.close()
        assert far.do("space.stat").members == 2
        for _ in range(60):  # more than the space has room for
            far.do("ch.send", b"y" * SIZE)
            assert far.do("ch.recv") == b"y" * SIZE
        assert bytes(view) == b"x" * SIZE
        if kind == "reserve":
            with pytest.raises(shmspace.Closed):
                lent.__exit__(None, None, None)
        else:
            lent.__exit__(None, None, None)
        with pytest.raises(ValueError, match="released"):
            view[0]
        assert far.do("space.stat").members == 1


@pytest.mark.parametrize("ending", ["delete", "destroy"])
@pytest.mark.parametrize("kind", ["reserve", "recv_view"])
def test_a_view_outlives_its_channel_and_the_space(space_name: str, kind: str, ending: str) -> None:
    space = shmspace.open(space_name, size="1M")
    channel = space.channel("c")
    lent = lend(channel, kind)
    view = lent.__enter__()
    content = bytes(view)
    if ending == "delete":
        space.delete("channel", "c")
        other = space.channel("c")
        for _ in range(60):
            other.send(b"y" * SIZE)
            other.recv()
    else:
        space.destroy()
    space.close()
    del space, channel
    gc.collect()
    assert bytes(view) == content
    lent.__exit__(KeyError, KeyError(), None)


LEAVES_HOLDING = """
import sys, shmspace
space = shmspace.open(sys.argv[1], create=False)
channel = space.channel("c")
channel.send(b"x" * 9000)
incoming = channel.reader().recv_view()
outgoing = channel.writer().reserve(9000)
views = incoming.__enter__(), outgoing.__enter__()
kept = [view[1:] for view in views]
"""


def test_a_process_may_end_holding_views(space: shmspace.Space) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", LEAVES_HOLDING, space.name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert space.check() == []  # which hands back what it held
    assert [member.pid for member in space.members()] == [os.getpid()]
