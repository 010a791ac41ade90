"""A channel's numbers as they are read from outside, from rings, slots and ports built byte by byte."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from shmspace import errors
from shmspace.layout import read_space
from shmspace.layout.channel import channel_stat
from shmspace.layout.directory import live_structures
from shmspace.layout.region import opened_region
from shmspace.layout.tables import Record
from tests.helpers.region_bytes import STRUCTS, C, RegionBytes, overwrite

NAME = "jobs"
READER, WRITER = C["SHM_PORT_READER"], C["SHM_PORT_WRITER"]


@pytest.fixture
def region() -> RegionBytes:
    return RegionBytes()


def stat(directory: Path, region: RegionBytes) -> dict[str, int]:
    region.write(directory, NAME)
    (structure,) = read_space(NAME, directory).structures
    return structure.stat


def test_an_empty_channel_has_its_numbers(tmp_path: Path, region: RegionBytes) -> None:
    region.add_channel(b"a", slots=8)
    names = "waiting capacity nbytes sent received dropped readers writers".split()  # noqa: SIM905
    assert stat(tmp_path, region) == {**dict.fromkeys(names, 0), "capacity": 8}
    assert list(stat(tmp_path, region)) == names


def test_a_channel_with_competing_readers_counts_from_its_head(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a", slots=4)
    for data in (b"gone", b"xx", b"", b"yyy"):
        region.send(ring, data)
    region.put("shm_ring", ring, head=1)
    for role in (READER, WRITER, READER, READER):
        region.add_port(ring, role)
    found = stat(tmp_path, region)
    assert (found["waiting"], found["nbytes"], found["sent"], found["received"]) == (3, 5, 4, 1)
    assert (found["readers"], found["writers"]) == (3, 1)


def test_what_was_dropped_or_discarded_was_not_received(tmp_path: Path, region: RegionBytes) -> None:
    region.add_channel(b"a", slots=2, tail=10, head=9, dropped=6, discarded=1)
    found = stat(tmp_path, region)
    assert (found["received"], found["dropped"]) == (2, 6)


def test_a_message_taken_by_two_readers_of_all_was_received_twice(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a", delivery=C["SHM_DELIVERY_ALL"], received_all=7)
    for received in (1, 2):
        region.put("shm_port", region.add_port(ring, READER), received=received)
    assert stat(tmp_path, region)["received"] == 10


def test_a_channel_for_all_counts_from_its_slowest_reader(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a", slots=8, delivery=C["SHM_DELIVERY_ALL"], received_all=9)
    for number in range(6):
        region.send(ring, b"x" * (1 << number))
    for cursor in (6, 3, 5):
        region.add_port(ring, READER, cursor)
    region.add_port(ring, WRITER)
    found = stat(tmp_path, region)
    assert (found["waiting"], found["nbytes"], found["received"]) == (3, 8 + 16 + 32, 9)


@pytest.mark.parametrize("word", ["floor", "discarded"])
def test_what_is_gone_for_readers_does_not_wait(tmp_path: Path, region: RegionBytes, word: str) -> None:
    _, ring = region.add_channel(b"a", slots=8, delivery=C["SHM_DELIVERY_ALL"], **{word: 4})
    for _ in range(6):
        region.send(ring, b"x")
    region.add_port(ring, READER, 1)
    assert stat(tmp_path, region)["waiting"] == 2


def test_without_a_reader_nothing_waits_in_a_channel_for_all(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a", delivery=C["SHM_DELIVERY_ALL"])
    region.send(ring, b"x")
    assert stat(tmp_path, region)["waiting"] == 0


def test_the_bytes_of_many_messages_are_summed_over_the_end_of_the_slots(tmp_path: Path) -> None:
    region = RegionBytes(size=2 << 20)
    _, ring = region.add_channel(b"a", slots=2048, tail=1500, head=1500)
    for number in range(2000):
        region.send(ring, b"x" * (number % 7))
    found = stat(tmp_path, region)
    assert (found["waiting"], found["nbytes"]) == (2000, sum(number % 7 for number in range(2000)))


def test_a_slot_that_is_being_written_again_is_not_summed(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a", slots=4)
    for _ in range(3):
        region.send(ring, b"xx")
    region.put("shm_slot", region.slot(ring, 1), seq=6)
    assert stat(tmp_path, region)["nbytes"] == 4


def test_a_slot_that_is_written_again_while_it_is_read_is_not_summed(
    tmp_path: Path, region: RegionBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ring = region.add_channel(b"a", slots=4)
    for _ in range(3):
        region.send(ring, b"xx")
    path = region.write(tmp_path, NAME)
    with opened_region(NAME, tmp_path) as opened:
        (found,) = live_structures(opened)
        read_bytes = opened.read

        def read_and_write(offset: int, length: int, what: str) -> bytes:
            copy = read_bytes(offset, length, what)
            if offset == region.slot(ring, 0):
                overwrite(path, region.slot(ring, 1), struct.pack("<Q", 6))
            return copy

        monkeypatch.setattr(opened, "read", read_and_write)
        assert channel_stat(opened, found)["nbytes"] == 4


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"capacity": 0}, "4 slots for 0 messages"),
        ({"capacity": 5}, "4 slots for 5 messages"),
        ({"slot_count": 3, "capacity": 3}, "3 slots for 3 messages"),
        ({"slot_count": 0, "capacity": 0}, "0 slots"),
        ({"slot_count": 1 << 63}, "lie outside the pages"),
        ({"slots_offset": 8}, "lie outside the pages"),
        ({"slots_offset": 2**64 - 4}, "lie outside the pages"),
        ({"delivery": 2}, "unknown delivery"),
        ({"id": 99}, "not where its entry says"),
        ({"ports": 24}, "a port of the channel 'a' lies outside"),
    ],
)
def test_a_damaged_ring_is_named(tmp_path: Path, region: RegionBytes, fields: dict[str, int], text: str) -> None:
    _, ring = region.add_channel(b"a")
    region.put("shm_ring", ring, **fields)
    with pytest.raises(errors.Corrupted, match=text):
        stat(tmp_path, region)


@pytest.mark.parametrize("fields", [{"role": 0}, {"role": 17}, {"next": 1 << 50}])
def test_a_damaged_port_is_damage(tmp_path: Path, region: RegionBytes, fields: dict[str, int]) -> None:
    _, ring = region.add_channel(b"a")
    region.put("shm_port", region.add_port(ring, READER), **fields)
    with pytest.raises(errors.Corrupted, match="a port of the channel 'a'"):
        stat(tmp_path, region)


def test_closed_ports_that_are_still_there_hold_nobody_up(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a")
    region.put("shm_ring", ring, tail=9, delivery=C["SHM_DELIVERY_ALL"])
    for role in (C["SHM_PORT_PINS"], READER | C["SHM_PORT_LEFT"], READER | C["SHM_PORT_GONE"]):
        region.add_port(ring, role)
    region.add_port(ring, READER, cursor=7)
    facts = stat(tmp_path, region)
    assert (facts["readers"], facts["waiting"]) == (3, 2)


def test_a_cycle_of_ports_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    _, ring = region.add_channel(b"a")
    first = region.add_port(ring, READER)
    region.put("shm_port", first, next=region.add_port(ring, WRITER))
    with pytest.raises(errors.Corrupted, match="a cycle in the ports of the channel 'a'"):
        stat(tmp_path, region)


def test_a_port_that_is_closed_under_the_walk_is_no_damage(
    tmp_path: Path, region: RegionBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ring = region.add_channel(b"a")
    closed = region.add_port(ring, WRITER)
    region.add_port(ring, READER)
    path = region.write(tmp_path, NAME)
    with opened_region(NAME, tmp_path) as opened:
        (found,) = live_structures(opened)
        record = opened.record

        def record_and_close(name: str, offset: int, what: str) -> Record:
            copy = record(name, offset, what)
            if name == "shm_port" and offset != closed:  # its next still was the one that is freed now
                overwrite(path, offset + STRUCTS["shm_port"]["next"]["offset"], struct.pack("<Q", 0))
                overwrite(path, closed - C["SHM_BLOCK_HEADER_BYTES"], struct.pack("<Q", 1 << 32))
            return copy

        monkeypatch.setattr(opened, "record", record_and_close)
        numbers = channel_stat(opened, found)
        assert (numbers["readers"], numbers["writers"]) == (1, 0)
