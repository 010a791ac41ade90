"""What is said about members, structures and channels of a region, and about all regions of a directory."""

from __future__ import annotations

import fcntl
import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from shmspace import errors
from shmspace.layout import SpaceInfo, dump, read_space, read_spaces
from shmspace.layout.directory import Found, live_structures, of_structure, steadily
from shmspace.layout.region import Region, opened_region
from shmspace.layout.tables import Record
from tests.helpers.region_bytes import CLASSES, PAGE_WORDS, PAGES, POOL, STRUCTS, C, RegionBytes, overwrite, size_of

NAME = "jobs"


@pytest.fixture
def region() -> RegionBytes:
    return RegionBytes()


def read(directory: Path, region: RegionBytes) -> SpaceInfo:
    region.write(directory, NAME)
    return read_space(NAME, directory)


# ---- the directory


def test_structures_come_by_kind_and_then_by_name_in_byte_order(tmp_path: Path, region: RegionBytes) -> None:
    for kind, name in [("STORE", "a"), ("CHANNEL", "b"), ("QUEUE", "é"), ("QUEUE", "z"), ("CHANNEL", "B")]:
        if kind == "CHANNEL":
            region.add_channel(name.encode())
        elif kind == "QUEUE":
            region.add_queue(name.encode())
        else:
            region.add_store(name.encode())
    found = [(info.kind, info.name) for info in read(tmp_path, region).structures]
    assert found == [("channel", "B"), ("channel", "b"), ("queue", "z"), ("queue", "é"), ("store", "a")]


def test_kinds_are_named_as_users_name_them(tmp_path: Path, region: RegionBytes) -> None:
    kinds = ["channel", "log", "sharded_log", "tuples", "queue", "store"]
    region.add_channel(b"x")
    region.add_tuples(b"x")
    region.add_queue(b"x")
    region.add_log(b"x")
    region.add_log(b"x", kind=C["SHM_KIND_SHARDED_LOG"])
    region.add_store(b"x")
    assert [info.kind for info in read(tmp_path, region).structures] == kinds


def test_named_locks_and_deleted_structures_are_not_listed(tmp_path: Path, region: RegionBytes) -> None:
    region.add_entry(C["SHM_KIND_LOCK"], b"build", size_of("shm_mutex"))
    entry, _ = region.add_channel(b"old")
    region.put("shm_entry", entry, life=C["SHM_LIFE_DELETED"])
    assert read(tmp_path, region).structures == ()


def test_all_structures_of_one_chain_are_found(tmp_path: Path, region: RegionBytes) -> None:
    names = [b"n%d" % number for number in range(5000)]
    chain = [name for name in names if region.bucket(name) == region.bucket(names[0])]
    assert len(chain) > 2
    for name in chain:
        region.add_channel(name)
    assert [info.name.encode() for info in read(tmp_path, region).structures] == sorted(chain)


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"next": 1 << 40}, "lies outside the pages"),
        ({"next": 64}, "lies outside the pages"),
        ({"next": 2**64 - 16}, "lies outside the pages"),
        ({"name_length": 0}, "a name of 0 bytes"),
        ({"name_length": C["SHM_NAME_BYTES"]}, "a name of 256 bytes"),
        ({"name": b"xbc"}, "has not the hash of its name"),
        ({"hash": 1}, "is in chain"),
        ({"kind": 99}, "has the kind 99"),
        ({"id": 77}, "in the block of another structure"),
        ({"main": 8}, "the channel 'abc' lies outside the pages"),
        ({"main_gen": 2}, "the channel 'abc' is not where its entry says"),
    ],
)
def test_a_damaged_directory_entry_is_named(
    tmp_path: Path, region: RegionBytes, fields: dict[str, int | bytes], text: str
) -> None:
    entry, _ = region.add_channel(b"abc")
    region.put("shm_entry", entry, **fields)
    with pytest.raises(errors.Corrupted, match=text):
        read(tmp_path, region)


def test_a_name_that_is_no_text_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    region.add_channel(b"\xff")
    with pytest.raises(errors.Corrupted, match="no UTF-8"):
        read(tmp_path, region)


def test_an_unaligned_entry_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    entry, _ = region.add_channel(b"abc")
    struct.pack_into("<Q", region.data, region.bucket(b"abc"), entry + 8)
    with pytest.raises(errors.Corrupted, match="not aligned"):
        read(tmp_path, region)


def test_an_entry_beyond_what_is_committed_is_damage(tmp_path: Path, region: RegionBytes) -> None:
    entry, _ = region.add_channel(b"abc")
    region.put("shm_header", 0, committed_bytes=entry)
    with pytest.raises(errors.Corrupted, match="outside the pages"):
        read(tmp_path, region)


@pytest.mark.parametrize("name", ["entry", "ring"])
def test_what_lies_in_a_free_block_is_damage(tmp_path: Path, region: RegionBytes, name: str) -> None:
    places = dict(zip(("entry", "ring"), region.add_channel(b"abc"), strict=True))
    region.put("shm_block", places[name] - C["SHM_BLOCK_HEADER_BYTES"], word=1 << 32)
    with pytest.raises(errors.Corrupted, match="in a free block"):
        read(tmp_path, region)


def test_an_entry_that_its_dead_maker_still_holds_is_found(tmp_path: Path, region: RegionBytes) -> None:
    entry, ring = region.add_channel(b"abc")
    for place in (entry, ring):
        word = C["SHM_BLOCK_HELD"] << 60 | 1 << 32 | 5 << 12 | 1
        region.put("shm_block", place - C["SHM_BLOCK_HEADER_BYTES"], word=word)
    assert len(read(tmp_path, region).structures) == 1


@pytest.mark.parametrize("length", [1, 2, 3])
def test_a_cycle_in_the_directory_is_damage(tmp_path: Path, region: RegionBytes, length: int) -> None:
    names = [b"n%d" % number for number in range(20_000)]
    chain = [name for name in names if region.bucket(name) == region.bucket(names[0])][:length]
    entries = [region.add_channel(name)[0] for name in chain]
    region.put("shm_entry", entries[0], next=entries[-1])
    with pytest.raises(errors.Corrupted, match="a cycle in the directory"):
        read(tmp_path, region)


def test_a_walk_that_a_deletion_spoiled_is_begun_again(tmp_path: Path, region: RegionBytes) -> None:
    path = region.write(tmp_path, NAME)
    walks = 0

    def walk() -> str:
        nonlocal walks
        walks += 1
        if walks > 3:
            return "whole"
        overwrite(path, STRUCTS["shm_header"]["deletions"]["offset"], struct.pack("<Q", walks))
        raise errors.Corrupted("half")

    with opened_region(NAME, tmp_path) as opened:
        assert steadily(opened, walk) == "whole"
        assert walks == 4


def test_a_walk_that_met_the_end_of_an_earlier_deletion_is_begun_again(tmp_path: Path, region: RegionBytes) -> None:
    region.write(tmp_path, NAME)
    results = iter([errors.Corrupted("freed by a deletion that was counted before"), None])

    def walk() -> str:
        error = next(results)
        if error:
            raise error
        return "whole"

    with opened_region(NAME, tmp_path) as opened:
        assert steadily(opened, walk) == "whole"


def test_a_walk_in_which_nothing_was_deleted_is_preferred(tmp_path: Path, region: RegionBytes) -> None:
    path = region.write(tmp_path, NAME)
    results = iter(["before a deletion", "after it"])

    def walk() -> str:
        overwrite(path, STRUCTS["shm_header"]["deletions"]["offset"], struct.pack("<Q", 1))
        return next(results)

    with opened_region(NAME, tmp_path) as opened:
        assert steadily(opened, walk) == "after it"


@pytest.mark.parametrize(("life", "is_gone"), [("SHM_LIFE_DELETED", True), ("SHM_LIFE_LIVE", False)])
def test_damage_in_a_structure_that_is_deleted_by_then_is_none(
    tmp_path: Path, region: RegionBytes, life: str, is_gone: bool
) -> None:
    entry, _ = region.add_channel(b"a")
    path = region.write(tmp_path, NAME)

    def look(_region: Region, _found: Found) -> int:
        overwrite(path, entry + STRUCTS["shm_entry"]["life"]["offset"], struct.pack("<I", C[life]))
        raise errors.Corrupted("half freed")

    with opened_region(NAME, tmp_path) as opened:
        (found,) = live_structures(opened)
        if is_gone:
            assert of_structure(opened, found, look) is None
        else:
            with pytest.raises(errors.Corrupted):
                of_structure(opened, found, look)


def test_a_block_that_changes_hands_while_it_is_copied_is_refused(
    tmp_path: Path, region: RegionBytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry, _ = region.add_channel(b"a")
    path = region.write(tmp_path, NAME)
    with opened_region(NAME, tmp_path) as opened:
        record = opened.record

        def record_and_reuse(name: str, offset: int, what: str) -> Record:
            copy = record(name, offset, what)
            if name == "shm_entry":
                word = C["SHM_BLOCK_LINKED"] << 60 | 2 << 32 | 1
                overwrite(path, entry - C["SHM_BLOCK_HEADER_BYTES"], struct.pack("<Q", word))
            return copy

        monkeypatch.setattr(opened, "record", record_and_reuse)
        with pytest.raises(errors.Corrupted, match="changed hands"):
            opened.block("shm_entry", entry, "the entry")


# ---- members


@contextmanager
def alive(path: Path, slot: int) -> Iterator[None]:
    """What a member does while it lives: keep a byte of the region file locked."""
    asked = struct.pack("hhqqi4x", fcntl.F_WRLCK, os.SEEK_SET, C["SHM_MEMBER_LOCK"] + slot, 1, 0)
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, asked)
        yield
    finally:
        os.close(descriptor)


def test_a_member_counts_while_the_kernel_keeps_its_byte_locked(tmp_path: Path, region: RegionBytes) -> None:
    for slot in (0, 2, 3):
        region.add_member(slot, C["SHM_MEMBER_ACTIVE"])
    path = region.write(tmp_path, NAME)
    assert read_space(NAME, tmp_path).members == 0
    with alive(path, 2), alive(path, 3):
        assert read_space(NAME, tmp_path).members == 2
    assert read_space(NAME, tmp_path).members == 0


@pytest.mark.parametrize("state", ["SHM_MEMBER_FREE", "SHM_MEMBER_DEAD"])
def test_a_slot_that_is_not_active_does_not_count_even_if_locked(
    tmp_path: Path, region: RegionBytes, state: str
) -> None:
    region.add_member(1, C[state])
    path = region.write(tmp_path, NAME)
    with alive(path, 1):
        assert read_space(NAME, tmp_path).members == 0


# ---- all spaces of a directory


def test_the_spaces_of_a_directory_come_by_name_with_their_states(tmp_path: Path, region: RegionBytes) -> None:
    region.write(tmp_path, "good")
    (tmp_path / "shmspace.file").write_bytes(b"no space")
    (tmp_path / "shmspace.dir").mkdir()
    region.put("shm_header", 0, creator_uid=5)
    region.write(tmp_path, "bad")
    region.put("shm_header", 0, incompat=2**63)
    region.write(tmp_path, "Newer")
    found = read_spaces(tmp_path)
    states = [("Newer", "incompatible"), ("bad", "corrupted"), ("dir", "not a space"), ("file", "not a space")]
    assert [(info.name, info.state) for info in found] == [*states, ("good", "ok")]
    assert all(info.detail for info in found[:-1])
    assert found[0].path == str(tmp_path / "shmspace.Newer")
    assert found[0].size == 0


def test_other_files_are_not_listed(tmp_path: Path, region: RegionBytes) -> None:
    for name in (".shmspace.jobs.123", "shmspace", "shmspace.", "shmspace..x", "shmspace.a b", "other", "xshmspace.a"):
        (tmp_path / name).write_bytes(region.data)
    assert read_spaces(tmp_path) == []


def test_a_directory_that_is_not_there_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="nowhere"):
        read_spaces(tmp_path / "nowhere")


# ---- the dump


def test_the_dump_has_every_field_of_what_is_in_use(tmp_path: Path, region: RegionBytes) -> None:
    entry, ring = region.add_channel(b"a", slots=4, codec=b"auto")
    region.add_entry(C["SHM_KIND_LOCK"], b"build", size_of("shm_mutex"))
    row = region.add_member(2, C["SHM_MEMBER_DEAD"], pid=99)
    region.write(tmp_path, NAME)
    found = {(name, offset, field): value for name, offset, field, value in dump(NAME, tmp_path)}
    assert found["shm_header", 0, "magic"] == C["SHM_MAGIC"]
    assert found["shm_member", row + 4, "pid"] == 99
    assert found["shm_member", row + 136, "wait_structure"] == (0, 0, 0, 0)
    assert found["shm_entry", entry + 8, "main"] == ring
    place = ring + STRUCTS["shm_ring"]["codec"]["offset"]
    assert found["shm_ring", place, "codec"] == b"auto".ljust(32, b"\0")
    names = [name for name, _, field in found if field in ("magic", "kind", "pid", "main", "tail", "since_ns")]
    assert sorted(set(names)) == ["shm_entry", "shm_header", "shm_member", "shm_mutex", "shm_ring", "shm_section"]
    assert sum(name == "shm_section" for name, _, field in found if field == "offset") == 7


def test_the_dump_gives_reserved_bytes_only_if_they_are_not_zero(tmp_path: Path, region: RegionBytes) -> None:
    region.write(tmp_path, NAME)
    assert not any(field.startswith("pad") for _, _, field, _ in dump(NAME, tmp_path))
    region.put("shm_header", 0, pad1=b"\0\1")
    region.write(tmp_path, NAME)
    assert [field for _, _, field, _ in dump(NAME, tmp_path) if field.startswith("pad")] == ["pad1"]


def test_a_dump_of_what_is_not_there_fails_at_once(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound):
        dump(NAME, tmp_path)


# ---- what is used


def put_pages(region: RegionBytes, *words: tuple[str, int, int]) -> None:
    """Runs and spans from the first page on: (state, size class, pages)."""
    page = 0
    for state, size_class, pages in words:
        place = region.section[PAGE_WORDS] + 8 * page
        struct.pack_into("<Q", region.data, place, C[state] << 56 | size_class << 32 | pages)
        page += pages
    region.put("shm_pool", region.section[POOL], top_pages=page)


def test_blocks_and_spans_of_one_block_are_used(tmp_path: Path, region: RegionBytes) -> None:
    row = region.section[CLASSES] + 3 * size_of("shm_class")
    region.put("shm_class", row, stride_bytes=96, used_blocks=10)
    huge = C["SHM_CLASS_HUGE"]
    put_pages(
        region, ("SHM_PAGE_SPAN", 3, 4), ("SHM_PAGE_SPAN", huge, 7), ("SHM_PAGE_RUN", 0, 5), ("SHM_PAGE_SPAN", huge, 2)
    )
    info = read(tmp_path, region)
    assert info.used == region.section[PAGES] + 960 + 9 * C["SHM_PAGE_BYTES"]
    assert info.free == info.size - info.used


def test_pages_beyond_the_top_are_not_used(tmp_path: Path, region: RegionBytes) -> None:
    put_pages(region, ("SHM_PAGE_RUN", 0, 5), ("SHM_PAGE_SPAN", C["SHM_CLASS_HUGE"], 2))
    region.put("shm_pool", region.section[POOL], top_pages=5)
    assert read(tmp_path, region).used == region.section[PAGES]


def test_a_walk_over_pages_that_lost_its_way_finds_the_next_span(tmp_path: Path, region: RegionBytes) -> None:
    put_pages(region, ("SHM_PAGE_RUN", 0, 5), ("SHM_PAGE_SPAN", C["SHM_CLASS_HUGE"], 2))
    struct.pack_into("<Q", region.data, region.section[PAGE_WORDS], 0)
    assert read(tmp_path, region).used == region.section[PAGES] + 2 * C["SHM_PAGE_BYTES"]


def test_used_is_never_more_than_there_is(tmp_path: Path, region: RegionBytes) -> None:
    region.put("shm_class", region.section[CLASSES], stride_bytes=2**32 - 1, used_blocks=2**64 - 1)
    info = read(tmp_path, region)
    assert (info.used, info.free) == (info.size, 0)
