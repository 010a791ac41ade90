"""Handles that travel: pickled ones attach by name, readers and writers stay where they are."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.scenario_channel import pool_map, start_with_handles, start_with_space

METHODS = ["fork", "spawn", "forkserver"]


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_handle_attaches_by_name(space: shmspace.Space, protocol: int) -> None:
    channel = space.channel("c")
    channel.send("x")
    other = pickle.loads(pickle.dumps(channel, protocol))
    assert (other.name, other.space.name) == ("c", space.name)
    assert other.recv(timeout=0) == "x"
    other.space.close()


def test_a_pickled_handle_adopts_the_options(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=3, delivery="all", overflow="error", codec="json")
    with channel.reader():
        other = pickle.loads(pickle.dumps(channel))
        assert other.stat() == channel.stat()
        other.space.close()


def test_a_copy_lives_and_dies_by_itself(space: shmspace.Space) -> None:
    channel = space.channel("c")
    other = pickle.loads(pickle.dumps(channel))
    other.close()
    channel.send("x")
    assert channel.recv(timeout=0) == "x"
    third = pickle.loads(pickle.dumps(channel))
    channel.close()
    third.send("y")
    assert third.recv(timeout=0) == "y"
    third.space.close()
    other.space.close()


def test_the_pickle_of_a_handle_holds_no_data(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send_many([b"x" * 10_000] * 50)
    assert len(pickle.dumps(channel)) < 5000


def test_a_pickled_handle_finds_its_directory(tmp_path: Path) -> None:
    with shmspace.open("s", size="1M", directory=tmp_path) as space:
        channel = space.channel("c")
        channel.send("x")
        other = pickle.loads(pickle.dumps(channel))
        assert other.recv(timeout=0) == "x"
        other.space.close()
        space.destroy()


def test_a_handle_of_a_destroyed_space_brings_nothing_back(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        frozen = pickle.dumps(space.channel("c"))
        space.destroy()
    with pytest.raises((shmspace.NotFound, shmspace.Closed)):
        pickle.loads(frozen).recv(timeout=0)
    assert space_name not in shmspace.list_spaces()


@pytest.mark.parametrize("end", ["reader", "writer"])
def test_readers_and_writers_are_not_pickled(space: shmspace.Space, end: str) -> None:
    handle = getattr(space.channel("c"), end)()
    with pytest.raises((TypeError, pickle.PicklingError)):
        pickle.dumps(handle)
    with pytest.raises((TypeError, pickle.PicklingError)):
        copy.copy(handle)


@pytest.mark.parametrize("method", METHODS)
def test_a_handle_works_in_a_process_that_it_is_given_to(
    space: shmspace.Space, method: str
) -> None:
    with Peer(start_with_handles, space.name, method) as peer:
        assert peer.said() == 0


@pytest.mark.parametrize("method", METHODS)
def test_a_space_works_in_a_process_that_it_is_given_to(space: shmspace.Space, method: str) -> None:
    with Peer(start_with_space, space.name, method) as peer:
        assert peer.said() == ([space.name, 3], 0)


@pytest.mark.parametrize("method", METHODS)
def test_a_handle_can_go_along_with_every_task_of_a_pool(
    space: shmspace.Space, method: str
) -> None:
    with Peer(pool_map, space.name, method) as peer:
        assert peer.said() == [number * number for number in range(20)]


def test_a_lagged_reader_can_tell_another_process(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2, delivery="all", overflow="oldest")
    reader = channel.reader()
    channel.send_many(range(5))
    with pytest.raises(shmspace.Lagged) as overtaken:
        reader.recv(timeout=0)
    back = pickle.loads(pickle.dumps(overtaken.value))
    assert (type(back), back.lost, str(back)) == (shmspace.Lagged, 3, str(overtaken.value))


def test_a_timeout_can_tell_another_process_whom_it_waited_for(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.Empty) as refusal:
        space.channel("c").recv(timeout=0)
    back = pickle.loads(pickle.dumps(refusal.value))
    assert type(back) is shmspace.Empty
    assert (list(back.holders), str(back)) == (list(refusal.value.holders), str(refusal.value))
