"""What is said about queues and tuple spaces."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from shmspace import errors
from shmspace.layout import read_space
from tests.helpers.region_bytes import STRUCTS, C, RegionBytes, size_of

NAME = "jobs"


def stat(directory: Path, region: RegionBytes) -> dict[str, int]:
    region.write(directory, NAME)
    (structure,) = read_space(NAME, directory).structures
    return structure.stat


@pytest.fixture
def region() -> RegionBytes:
    return RegionBytes()


def cell(queue: int, index: int) -> int:
    segment = queue + size_of("shm_queue_main") + 2 * size_of("shm_lane")
    return segment + size_of("shm_segment") + index * size_of("shm_cell")


def test_values_that_wait_are_counted(tmp_path: Path, region: RegionBytes) -> None:
    region.add_queue(b"q", (b"a", b"bb", b"ccc"))
    assert stat(tmp_path, region) == {"ready": 3, "leased": 0, "dead": 0, "nbytes": 6, "waiting": 0}


def test_leased_values_are_told_from_those_that_are_being_taken(tmp_path: Path, region: RegionBytes) -> None:
    queue = region.add_queue(b"q", (b"a", b"bb", b"ccc"))
    for index, leased in ((0, 1), (1, 0)):
        held = index << 32 | C["SHM_VALUE_HELD"] << 30 | 1 << 12
        region.put("shm_cell", cell(queue, index), word=held, leased=leased)
    assert stat(tmp_path, region) == {"ready": 1, "leased": 1, "dead": 0, "nbytes": 3, "waiting": 0}


def test_those_who_wait_are_counted_not_those_who_were_told(tmp_path: Path, region: RegionBytes) -> None:
    queue = region.add_queue(b"q")
    waiters = [region.add_block(size_of("shm_waiter"), 1) for _ in range(4)]
    kinds = [C["SHM_WAITER_READ"], C["SHM_WAITER_TAKE"], C["SHM_WAITER_TAKE"], C["SHM_WAITER_PUT"]]
    states = [C["SHM_WAIT_WAITING"], C["SHM_WAIT_WAITING"], C["SHM_WAIT_GONE"], C["SHM_WAIT_WAITING"]]
    for waiter, after, kind, state in zip(waiters, [*waiters[1:], 0], kinds, states, strict=True):
        region.put("shm_waiter", waiter, next=after, kind=kind, state=state)
    line = queue + size_of("shm_queue_main") + int(STRUCTS["shm_lane"]["line"]["offset"])
    struct.pack_into("<Q", region.data, line, waiters[0])
    assert stat(tmp_path, region)["waiting"] == 2


def test_keys_and_values_of_a_tuple_space_are_counted(tmp_path: Path, region: RegionBytes) -> None:
    region.add_tuples(b"t", b"key", (b"a", b"bb"))
    assert stat(tmp_path, region) == {"keys": 1, "entries": 2, "nbytes": 3, "waiting": 0}


def test_an_emptied_key_is_none(tmp_path: Path, region: RegionBytes) -> None:
    region.add_tuples(b"t", b"key")
    assert stat(tmp_path, region) == {"keys": 0, "entries": 0, "nbytes": 0, "waiting": 0}


@pytest.mark.parametrize(
    ("name", "fields", "text"),
    [
        ("shm_segment", {"cells": 3}, "has 3 cells"),
        ("shm_segment", {"cells": 0}, "has 0 cells"),
        ("shm_segment", {"cells": 1 << 31}, "lies outside"),
        ("shm_segment", {"next": 1 << 50}, "lies outside"),
    ],
)
def test_damage_is_named(
    tmp_path: Path, region: RegionBytes, name: str, fields: dict[str, int], text: str
) -> None:
    queue = region.add_queue(b"q", (b"a",))
    region.put(name, cell(queue, 0) - size_of("shm_segment"), **fields)
    with pytest.raises(errors.Corrupted, match=text):
        stat(tmp_path, region)


def test_a_cycle_of_segments_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    queue = region.add_queue(b"q")
    segment = cell(queue, 0) - size_of("shm_segment")
    region.put("shm_segment", segment, next=segment)
    with pytest.raises(errors.Corrupted, match="a cycle in the segments of the queue 'q'"):
        stat(tmp_path, region)


def test_a_cycle_of_keys_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    tuples = region.add_tuples(b"t")
    entry = region.get("shm_shard", tuples + size_of("shm_tuples_main"), "first")
    region.put("shm_key", entry, next=entry)
    with pytest.raises(errors.Corrupted, match="a cycle in the keys of the tuples 't'"):
        stat(tmp_path, region)
