"""What is read from outside is what members are told: of a space at work, through the package's own calls."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pytest

import shmspace
from shmspace.layout import DEFAULT_DIRECTORY, SpaceInfo, dump, read_space, read_spaces, region_path
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet

LOOKS = 200


def numbers(stat: Any) -> dict[str, int]:
    """The fields of a stat by name, whether it is a named tuple or a data class."""
    return dict(stat._asdict()) if hasattr(stat, "_asdict") else asdict(stat)


def outside(space: shmspace.Space) -> SpaceInfo:
    """The space as it is read from outside, which must agree with the space itself in every number."""
    found, told = read_space(space.name), numbers(space.stat())
    assert told.pop("structures") == len(found.structures)
    assert {name: getattr(found, name) for name in told} == told
    assert (found.path, found.state) == (str(space.path), "ok")
    listed = [(info.kind, info.name) for info in found.structures]
    for kind in ("channel", "log", "sharded_log", "tuples", "queue", "store"):
        assert [name for its_kind, name in listed if its_kind == kind] == space.names(kind)
    return found


def agrees(space: shmspace.Space, channel: Any) -> dict[str, int]:
    """The numbers of a channel, the same from outside and from inside."""
    found = {info.name: info.stat for info in outside(space).structures if info.kind == "channel"}
    assert found[channel.name] == numbers(channel.stat())
    return found[channel.name]


@pytest.fixture
def handles() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def test_a_fresh_space_is_the_same_from_outside(space: shmspace.Space) -> None:
    found = outside(space)
    assert (found.members, found.structures) == (1, ())


def test_a_space_in_a_directory_is_found_there(tmp_path: Path) -> None:
    with shmspace.open("mine", directory=tmp_path, size="1M") as space:
        space.channel("c").send(b"x")
        (found,) = read_spaces(tmp_path)
        assert found == read_space("mine", tmp_path)
        assert (found.name, found.size, found.structures[0].stat["waiting"]) == ("mine", 1 << 20, 1)
        space.destroy()
    assert read_spaces(tmp_path) == []


def test_the_spaces_of_the_machine_are_those_that_are_listed(space: shmspace.Space) -> None:
    assert space.path == region_path(space.name)
    assert str(space.path).startswith(DEFAULT_DIRECTORY)
    assert space.name in [found.name for found in read_spaces()]


def test_a_destroyed_space_is_not_found(space: shmspace.Space) -> None:
    space.destroy()
    with pytest.raises(shmspace.NotFound):
        read_space(space.name)


def test_members_come_and_go(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        assert outside(space).members == 2
        far.peer.kill()
        assert read_space(space.name).members == 1


def test_a_member_in_the_dump_has_its_process_id(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        pids = [value for name, _, field, value in dump(space.name) if (name, field) == ("shm_member", "pid")]
        assert far.pid in pids


def test_a_deleted_structure_is_gone_and_a_lock_is_none(space: shmspace.Space) -> None:
    for name in ("b", "ä", "a"):
        space.channel(name).send(b"x")
    with space.lock("build"):
        assert [info.name for info in outside(space).structures] == ["a", "b", "ä"]
    space.delete("channel", "b")
    assert [info.name for info in outside(space).structures] == ["a", "ä"]


def test_a_channel_with_competing_readers_agrees(space: shmspace.Space, handles: ExitStack) -> None:
    channel = space.channel("c", capacity=7, codec="raw")
    for size in (0, 1, 80, 81, 4096, 4097, 100_000):
        channel.send(bytes(size))
    readers = [handles.enter_context(channel.reader()) for _ in range(3)]
    handles.enter_context(channel.writer())
    assert agrees(space, channel)["nbytes"] == 108_355
    for reader in readers:
        reader.recv()
    found = agrees(space, channel)
    assert (found["waiting"], found["received"], found["readers"], found["writers"]) == (4, 3, 3, 1)


def test_a_channel_for_all_agrees(space: shmspace.Space, handles: ExitStack) -> None:
    channel = space.channel("c", capacity=50, delivery="all", replay=10, codec="raw")
    first = handles.enter_context(channel.reader())
    for number in range(20):
        channel.send(bytes(number * 30))
    second = handles.enter_context(channel.reader())
    assert agrees(space, channel)["waiting"] == 20
    for _ in range(15):
        first.recv()
    second.recv()
    assert agrees(space, channel)["received"] == 16


@pytest.mark.parametrize("delivery", ["one", "all"])
def test_a_channel_that_drops_agrees(space: shmspace.Space, handles: ExitStack, delivery: str) -> None:
    channel = space.channel("c", capacity=3, delivery=delivery, overflow="oldest", codec="raw")
    handles.enter_context(channel.reader())
    for number in range(10):
        channel.send(bytes(100 + number))
    found = agrees(space, channel)
    assert (found["waiting"], found["dropped"], found["nbytes"]) == (3, 7, 324)


@pytest.mark.parametrize("delivery", ["one", "all"])
def test_a_channel_whose_messages_were_discarded_agrees(
    space: shmspace.Space, handles: ExitStack, delivery: str
) -> None:
    channel = space.channel("c", delivery=delivery, codec="raw")
    reader = handles.enter_context(channel.reader())
    for _ in range(5):
        channel.send(b"x")
    reader.recv()
    channel.shutdown(immediate=True)
    found = agrees(space, channel)
    assert (found["waiting"], found["sent"], found["received"]) == (0, 5, 1)


def test_ports_of_a_killed_process_leave_as_they_do_inside(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.writer", keep="w")
        assert agrees(space, channel)["writers"] == 1
        far.peer.kill()
    # Whoever notices the death hands the port back; only then inside and outside have to agree again.
    list(space.members())
    channel.stat()
    assert read_space(space.name).structures[0].stat["writers"] == numbers(channel.stat())["writers"]


def churn(talk: Connection, name: str) -> None:
    """Make channels and ports and remove them again, in one space, until told to stop; then say how many."""
    made = 0
    with shmspace.open(name, create=False) as space:
        talk.send("begun")
        while not talk.poll(0):
            channel = space.channel(f"c{made % 7}", codec="raw")
            with channel.writer() as writer, channel.reader():
                writer.send(bytes(made % 3 * 5000))
            channel.drop()
            made += 1
    talk.send(made)


def test_a_space_that_changes_all_the_time_is_never_called_damaged(space: shmspace.Space) -> None:
    """While structures and ports come and go in another process, every look from outside gives a result."""
    space.channel("still").send(b"x")
    with Peer(churn, space.name) as peer:
        assert peer.said() == "begun"
        for _ in range(LOOKS):
            assert "still" in [info.name for info in read_space(space.name).structures]
            assert any(name == "shm_ring" for name, _, _, _ in dump(space.name))
        assert peer.ask("stop") > 0
