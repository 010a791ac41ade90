"""The thread that wakes event loops: one for all, there while somebody waits and a little longer, never in the way."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading

import pytest

import shmspace
from tests.helpers.peer_wait import until


def bells() -> list[int | None]:
    return [thread.native_id for thread in threading.enumerate() if thread.name == "shmspace bell"]


def test_one_thread_serves_all_waiting_and_ends_with_the_space(space_name: str) -> None:
    async def wait(channel: shmspace.Channel) -> None:
        waiting = asyncio.create_task(channel.aio.recv())
        await asyncio.sleep(0.001)
        while not bells():  # on a busy machine it may not have begun to wait
            await asyncio.sleep(0.001)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c")
        asyncio.run(wait(channel))
        first = bells()
        assert len(first) == 1
        for _ in range(20):
            asyncio.run(wait(channel))
            assert bells() == first
    assert bells() == []


def test_the_thread_ends_when_nobody_has_waited_for_a_while(
    space: shmspace.Space, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shmspace.bell._LINGER_S", 0.05)
    with pytest.raises(shmspace.Empty):
        asyncio.run(space.channel("c").aio.recv(timeout=0.001))
    until(lambda: not bells(), "the thread to end")


FORGETS_ITS_SPACE = """
import atexit, sys, threading
atexit.register(lambda: print([thread.name for thread in threading.enumerate()]))  # the last to be called
import asyncio, gc, shmspace
async def wait(channel):
    try:
        await channel.aio.recv(timeout=0.001)
    except shmspace.Empty:
        print("empty")
asyncio.run(wait(shmspace.open(sys.argv[1], create=False).channel("c")))
gc.collect()
"""


def test_no_thread_is_left_at_exit_although_the_space_was_not_closed(space: shmspace.Space) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FORGETS_ITS_SPACE, space.name], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.stdout.split("\n")[:2], ended.stderr) == (["empty", "['MainThread']"], "")
