"""The end of logs: closing, dropping, destroying, and what those learn of it who are blocked or come late."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked

ENDS: dict[str, Callable[[shmspace.Space, shmspace.Log], Any]] = {
    "close": lambda space, log: log.close(),
    "close the space": lambda space, log: space.close(),
    "drop": lambda space, log: log.drop(),
    "delete": lambda space, log: space.delete("log", "l"),
    "destroy": lambda space, log: space.destroy(),
}


def refused(call: Callable[[], Any]) -> None:
    with pytest.raises(shmspace.Closed):
        call()


@pytest.mark.parametrize("end", ENDS)
def test_blocked_calls_are_told(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        log = space.log("l", key_index=True)
        log.append(b"x", key="k")
        waits: list[Callable[[], Any]] = [
            lambda: log.consume(1, timeout=None),
            lambda: log.consume(NEWEST, timeout=1000),
            lambda: log.consume(0, key="none", timeout=None),
            log.stream(NEWEST).next,
            lambda: next(log.stream(key="none")),
        ]
        calls = [blocked(wait) for wait in waits]
        ENDS[end](space, log)
        for call in calls:
            refused(call.result)


@pytest.mark.parametrize("end", ENDS)
def test_an_ended_handle_refuses_every_call(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        log = space.log("l", key_index=True, time_index=True)
        log.append(b"x", key="k")
        streams = [log.stream(), log.stream(NEWEST), log.stream(100)]
        ENDS[end](space, log)
        calls: list[Callable[[], Any]] = [
            lambda: log.append(b"x"),
            lambda: log.append(b"x", timeout=0),
            lambda: log.publish([b"x"]),
            lambda: log.publish([]),
            lambda: log.read(0),
            lambda: log.read(5),
            lambda: log.read(OLDEST),
            lambda: log.read_batch(0, 5),
            lambda: log.read_batch(0, 0),
            lambda: log.consume(0),
            lambda: log.consume(1, timeout=0.01),
            lambda: log.consume(5),
            lambda: log.read_by_key("k"),
            lambda: log.offset_by_key("none"),
            lambda: log.read_by_time(0),
            lambda: log.delete([0]),
            lambda: log.delete([]),
            lambda: log.trim(count=0),
            lambda: log.compact(updates_before=0),
            lambda: log.next_offset,
            log.range,
            log.stat,
            log.stream,
            *(stream.next for stream in streams),
            *(lambda stream=stream: stream.next(timeout=0) for stream in streams),
        ]
        for call in calls * 2:
            refused(call)


@pytest.mark.parametrize("end", ["drop", "delete", "destroy"])
def test_calls_blocked_in_another_process_are_told(space_name: str, end: str) -> None:
    with shmspace.open(space_name, size="4M") as space, Puppet(space_name) as far, Puppet(space_name) as further:
        log = space.log("l")
        for puppet in (far, further):
            puppet.do("space.log", "l", keep="log")
        further.do("log.stream", keep="stream")
        far.begin("log.consume", 0, timeout=None).until_blocked()
        further.begin("stream.next").until_blocked()
        ENDS[end](space, log)
        for puppet in (far, further):
            refused(puppet.result)
            refused(lambda puppet=puppet: puppet.do("log.append", b"x"))  # type: ignore[misc]


def test_close_is_idempotent_and_local(space: shmspace.Space) -> None:
    with space.log("l") as first:
        second = space.log("l")
        first.append(b"x")
        kept = blocked(second.consume, 1, timeout=None)
    first.close()
    assert (first.closed, second.closed) == (True, False)
    second.append(b"y")
    assert kept.result()[0] == 2


def test_a_log_is_made_afresh_after_deletion(space: shmspace.Space) -> None:
    old = space.log("l", segment_size=2, codec="json", key_index=True)
    old.publish([Message([1], "k")] * 5)
    old.drop()
    afresh = space.log("l", segment_size=7, start_offset=3, key_index=True)
    assert (afresh.next_offset, afresh.range()) == (3, None)
    with pytest.raises(shmspace.NotFound):
        afresh.read_by_key("k")
    assert afresh.append(b"raw") == 3
    refused(lambda: old.read(NEWEST))
    assert space.delete("log", "l")
    assert not space.exists("log", "l")


def test_a_destroyed_space_is_free_at_once(space_name: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        log = space.log("l")
        log.append(b"old")
        space.destroy()
        with shmspace.open(space_name, size="4M") as anew:
            assert anew.log("l").append(b"new") == 0
            refused(lambda: log.read(0))
