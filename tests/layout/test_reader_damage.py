"""Any bytes give a result or an error of ours: never another exception, never a walk without end.

Every read here ends within the time limit of its test; thousands of them do, so none can be long.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shmspace import errors
from shmspace.layout import dump, read_space
from shmspace.layout.region import opened_region
from tests.helpers.region_bytes import (
    CLASSES,
    CODES,
    DIRECTORY,
    MEMBERS,
    PAGE_WORDS,
    POOL,
    STRUCTS,
    TABLES,
    C,
    RegionBytes,
    size_of,
)

NAME = "jobs"
COVERED_END = STRUCTS["shm_header"]["header_crc"]["offset"] + 4
SECTIONS = range(size_of("shm_header"), size_of("shm_header") + 7 * size_of("shm_section"))


class Sample:
    """A region with something of everything, as a file whose bytes can be changed and changed back."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.bytes = RegionBytes()
        entry, ring = self.bytes.add_channel(b"one")
        for data in (b"a", b"bb", b"ccc"):
            self.bytes.send(ring, data)
        port = self.bytes.add_port(ring, C["SHM_PORT_READER"])
        self.bytes.add_port(ring, C["SHM_PORT_WRITER"])
        self.bytes.add_channel(b"all", delivery=C["SHM_DELIVERY_ALL"])
        self.bytes.add_entry(C["SHM_KIND_LOCK"], b"build", size_of("shm_mutex"))
        queue = self.bytes.add_queue(b"jobs", (b"a", b"bb"))
        lane = queue + size_of("shm_queue_main")
        tuples = self.bytes.add_tuples(b"bag", values=(b"a",))
        shard = tuples + size_of("shm_tuples_main")
        log = self.bytes.add_log(b"audit", (b"a", b"bb"))
        slots = log + size_of("shm_log_main") + size_of("shm_log_shard")
        store = self.bytes.add_store(b"conf", values=(b"a", b"bb"), watches=1)
        drawer = store + size_of("shm_store_main")
        table = drawer + int(STRUCTS["shm_store_shard"]["table"]["offset"])
        waiter = self.bytes.add_block(size_of("shm_waiter"), 1)
        place = int(STRUCTS["shm_lane"]["line"]["offset"])
        struct.pack_into("<2Q", self.bytes.data, lane + place, waiter, waiter)
        segment = queue + size_of("shm_queue_main") + 2 * size_of("shm_lane")
        self.records = {
            "shm_log_main": log,
            "shm_log_shard": log + size_of("shm_log_main"),
            "shm_record": slots,
            "shm_queue_main": queue,
            "shm_lane": lane,
            "shm_segment": segment,
            "shm_cell": segment + size_of("shm_segment"),
            "shm_fifo_in": lane + int(STRUCTS["shm_lane"]["in"]["offset"]),
            "shm_fifo_out": lane + int(STRUCTS["shm_lane"]["out"]["offset"]),
            "shm_fifo_line": lane + place,
            "shm_waiter": waiter,
            "shm_store_main": store,
            "shm_store_shard": drawer,
            "shm_item": self.bytes.get("shm_shard", table, "first"),
            "shm_feed": self.bytes.get("shm_store_shard", drawer, "feed"),
            "shm_claim": self.bytes.get("shm_store_shard", drawer, "claims"),
            "shm_tuples_main": tuples,
            "shm_shard": shard,
            "shm_key": self.bytes.get("shm_shard", shard, "first"),
            "shm_tuple": self.bytes.get("shm_shard", shard, "first"),
            "shm_header": 0,
            "shm_section": SECTIONS.start,
            "shm_member": self.bytes.add_member(0, C["SHM_MEMBER_ACTIVE"]),
            "shm_directory": self.bytes.section[DIRECTORY],
            "shm_entry": entry,
            "shm_class": self.bytes.section[CLASSES],
            "shm_pool": self.bytes.section[POOL],
            "shm_block": ring - C["SHM_BLOCK_HEADER_BYTES"],
            "shm_ring": ring,
            "shm_slot": self.bytes.slot(ring, 1),
            "shm_port": port,
        }
        self.file = os.open(self.bytes.write(directory, NAME), os.O_RDWR)

    def outcome(self, place: int, data: bytes) -> str:
        """What comes of reading with other bytes there: the state or the name of the error."""
        os.pwrite(self.file, data, place)
        try:
            return outcome(self.directory)
        finally:
            os.pwrite(self.file, self.bytes.data[place : place + len(data)], place)


def outcome(directory: Path) -> str:
    try:
        list(dump(NAME, directory))
        return read_space(NAME, directory).state
    except errors.ShmspaceError as error:
        return type(error).__name__


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sample]:
    made = Sample(tmp_path_factory.mktemp("sample"))
    yield made
    os.close(made.file)


def test_the_sample_is_healthy(sample: Sample) -> None:
    assert sample.outcome(0, bytes(sample.bytes.data[:8])) == "ok"
    names = [info.name for info in read_space(NAME, sample.directory).structures]
    assert names == ["all", "one", "audit", "bag", "jobs", "conf"]


@pytest.mark.parametrize("eighth", range(8))
def test_every_bit_of_the_header_and_the_section_table_may_flip(sample: Sample, eighth: int) -> None:
    for place in [*range(eighth, size_of("shm_header"), 8), *SECTIONS[eighth::8]]:
        for bit in range(8):
            found = sample.outcome(place, bytes([sample.bytes.data[place] ^ 1 << bit]))
            if place < COVERED_END or place in SECTIONS:
                assert found in ("NotASpace", "IncompatibleLayout", "Corrupted"), f"bit {bit} of byte {place}"


@pytest.mark.parametrize("name", sorted(TABLES["structs"].keys() - {"shm_mutex", "shm_buckets"}))
def test_every_field_that_is_read_may_have_any_extreme(sample: Sample, name: str) -> None:
    for field in STRUCTS[name].values():
        width = struct.calcsize(CODES[field["type"]])
        top = 1 << 8 * width
        old = sample.bytes.get(name, sample.records[name], field["name"])
        for value in (0, 1, old + 1, old - 1, top // 2, top // 2 - 1, top - 1, len(sample.bytes.data)):
            data = (value % top).to_bytes(width, "little")
            sample.outcome(sample.records[name] + field["offset"], data)


@pytest.mark.parametrize(
    "names",
    [
        ("shm_entry", "shm_ring", "shm_port"),
        ("shm_lane", "shm_segment", "shm_shard", "shm_key"),
        ("shm_store_shard", "shm_claim"),
    ],
)
def test_every_word_may_point_at_every_record(sample: Sample, names: tuple[str, ...]) -> None:
    for name in names:
        for field in STRUCTS[name].values():
            if field["type"] == "u64" and field["sync"] != "ZERO":
                for target in sample.records.values():
                    sample.outcome(sample.records[name] + field["offset"], struct.pack("<Q", target))


@settings(max_examples=200, deadline=None)
@given(st.data())
def test_any_handful_of_bytes_may_be_wrong_under_right_checksums(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    directory = tmp_path_factory.mktemp("damage")
    region = RegionBytes()
    _, ring = region.add_channel(b"one")
    region.send(ring, b"a")
    region.add_port(ring, C["SHM_PORT_READER"])
    end = region.add_block(0, 1)
    places = st.one_of(
        st.integers(16, SECTIONS.stop),
        st.integers(region.section[MEMBERS], region.section[MEMBERS] + 2 * size_of("shm_member")),
        st.integers(region.bucket(b"one") - 8, region.bucket(b"one") + 16),
        st.integers(ring - 16, end),
    )
    for place, value in data.draw(st.lists(st.tuples(places, st.binary(min_size=1, max_size=8)), max_size=4)):
        region.data[place : place + len(value)] = value
    start, count = (region.get("shm_header", 0, f) for f in ("section_offset", "section_count"))
    if start + count * size_of("shm_section") <= C["SHM_HEADER_BYTES"]:
        region.seal()
    region.write(directory, NAME)
    outcome(directory)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=6000), st.booleans())
def test_a_file_may_have_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes, magic: bool) -> None:
    directory = tmp_path_factory.mktemp("bytes")
    first = struct.pack("<QI", C["SHM_MAGIC"], C["SHM_READY"]) if magic else b""
    (directory / f"shmspace.{NAME}").write_bytes(first + data)
    assert outcome(directory) in ("NotASpace", "IncompatibleLayout", "Corrupted")


def test_a_huge_sparse_file_is_refused_as_quickly_as_a_small_one(tmp_path: Path) -> None:
    region = RegionBytes()
    _, ring = region.add_channel(b"one")
    region.put("shm_header", 0, size_bytes=1 << 43, committed_bytes=1 << 43)
    region.put("shm_pool", region.section[POOL], top_pages=1 << 40)
    region.put("shm_section", region.section_row(PAGE_WORDS), length=1 << 36, count=2**32 - 1)
    region.put("shm_ring", ring, slot_count=1 << 34, capacity=1 << 34, tail=1 << 40)
    region.seal()
    path = region.write(tmp_path, NAME)
    os.truncate(path, 1 << 43)
    (structure,) = read_space(NAME, tmp_path).structures
    assert structure.stat["nbytes"] == 0


def test_a_file_that_is_cut_short_while_it_is_read_is_truncated(tmp_path: Path) -> None:
    path = RegionBytes().write(tmp_path, NAME)
    with opened_region(NAME, tmp_path) as region:
        os.truncate(path, C["SHM_HEADER_BYTES"])
        with pytest.raises(errors.Corrupted, match="truncated at the member table"):
            region.members()
