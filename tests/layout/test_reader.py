"""A space is read from outside, byte by byte as it was built, and whatever stands in it never more than refused."""

from __future__ import annotations

import json
import os
import random
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from shmspace import errors
from shmspace.layout import SpaceInfo, check_header, crc32c, dump, read_space, region_path
from tests.helpers.region_bytes import (
    CLASSES,
    DIRECTORY,
    LAYOUT_TEXT,
    PAGE_WORDS,
    PAGES,
    POOL,
    C,
    RegionBytes,
    compact_layout,
    crc32c_by_bits,
)

Change = Callable[[RegionBytes], object]
NAME = "jobs"


def header(seal: bool = True, **fields: int | bytes) -> Change:
    def change(region: RegionBytes) -> None:
        region.put("shm_header", 0, **fields)
        if seal:
            region.seal()

    return change


def section(which: int, /, **fields: int) -> Change:
    def change(region: RegionBytes) -> None:
        region.put("shm_section", region.section_row(which), **fields)
        region.seal()

    return change


def read(directory: Path, region: RegionBytes) -> SpaceInfo:
    region.write(directory, NAME)
    return read_space(NAME, directory)


def test_a_healthy_region_is_read(tmp_path: Path) -> None:
    region = RegionBytes(members=3)
    used = region.section[PAGES]
    assert read(tmp_path, region) == SpaceInfo(
        name=NAME,
        path=str(tmp_path / "shmspace.jobs"),
        size=1 << 20,
        committed=1 << 20,
        used=used,
        free=(1 << 20) - used,
        members=0,
        created_ns=12345,
        structures=(),
        recoveries=3,
        state="ok",
        detail="",
    )


def test_reading_changes_no_byte_and_needs_no_permission_to_write(tmp_path: Path) -> None:
    region = RegionBytes()
    region.add_channel(b"a")
    path = region.write(tmp_path, NAME)
    path.chmod(0o400)
    before = path.stat()
    read_space(NAME, tmp_path)
    list(dump(NAME, tmp_path))
    assert path.read_bytes() == region.data
    assert path.stat().st_mtime_ns == before.st_mtime_ns


def test_the_checksum_is_the_castagnoli_one() -> None:
    assert crc32c(b"123456789") == 0xE3069283
    sample = random.Random(7).randbytes(300)
    assert crc32c(sample) == crc32c_by_bits(sample)


@pytest.mark.parametrize("name", ["", ".hidden", "a/b", "a b", "x" * 101, "..", "a\n"])
def test_a_name_that_no_space_can_have_is_refused(name: str) -> None:
    with pytest.raises(errors.InvalidName):
        region_path(name)


# ---- the rungs before the header


def test_a_missing_space_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(errors.NotFound, match="'jobs'"):
        read_space(NAME, tmp_path)
    with pytest.raises(errors.NotFound):
        read_space(NAME, tmp_path / "nowhere")


def test_a_symbolic_link_is_not_a_space_even_to_one(tmp_path: Path) -> None:
    path = RegionBytes().write(tmp_path, "real")
    (tmp_path / "shmspace.jobs").symlink_to(path)
    with pytest.raises(errors.NotASpace, match="symbolic link"):
        read_space(NAME, tmp_path)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, 0o600 | 0o020000, os.makedev(1, 5))
    except PermissionError:
        pytest.skip("making a device needs root")


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))


@pytest.mark.parametrize(
    ("make", "text"),
    [(Path.mkdir, "a directory"), (os.mkfifo, "a pipe"), (make_socket, "a socket"), (make_device, "a device")],
)
def test_what_is_no_file_is_not_a_space(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Callable[[Path], None], text: str
) -> None:
    monkeypatch.chdir(tmp_path)  # the path of a socket has to be short
    make(Path("shmspace.jobs"))
    with pytest.raises(errors.NotASpace, match=text):
        read_space(NAME, tmp_path)


def test_a_region_that_may_not_be_read_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    RegionBytes().write(tmp_path, NAME)

    def refuse(*_arguments: object) -> int:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)
    with pytest.raises(errors.PermissionDenied, match="Permission denied"):
        read_space(NAME, tmp_path)


@pytest.mark.parametrize("length", [0, 1, 511, C["SHM_HEADER_BYTES"] - 1])
def test_a_file_shorter_than_a_header_is_not_a_space(tmp_path: Path, length: int) -> None:
    (tmp_path / "shmspace.jobs").write_bytes(RegionBytes().data[:length])
    with pytest.raises(errors.NotASpace, match="too short"):
        read_space(NAME, tmp_path)


# ---- the rungs of the header

RUNGS: list[tuple[str, Change, type[errors.ShmspaceError], str]] = [
    ("magic", header(magic=C["SHM_MAGIC"] ^ 1), errors.NotASpace, "SHMSPACE"),
    ("not ready", header(ready=0), errors.NotASpace, "is being created"),
    ("half ready", header(ready=1), errors.Corrupted, "ready word"),
    ("unknown flag", header(incompat=C["SHM_INCOMPAT"] | 1 << 40), errors.IncompatibleLayout, "0x10000000000"),
    ("header size", header(header_size=8192), errors.IncompatibleLayout, "8192"),
    ("header sum", header(seal=False, creator_uid=9), errors.Corrupted, "checksum of the header"),
    ("missing flag", header(incompat=0), errors.IncompatibleLayout, "lacks features"),
    ("table in header", header(section_offset=64), errors.Corrupted, "section table"),
    ("table outside", header(section_count=1 << 20), errors.Corrupted, "section table"),
    ("table sum", lambda r: r.put("shm_section", r.section_row(3), version=2), errors.Corrupted, "section table"),
    ("truncated", header(size_bytes=2 << 20), errors.Corrupted, "truncated"),
    ("tiny", header(size_bytes=C["SHM_SIZE_LEAST"] - 1), errors.Corrupted, "a size of"),
    ("no members", header(member_count=0), errors.Corrupted, "0 members"),
    ("too many members", header(member_count=C["SHM_MEMBERS_MOST"] + 1), errors.Corrupted, "members"),
    ("other members", header(member_count=2), errors.Corrupted, "section 2 has a wrong count"),
    ("section outside", section(PAGES, length=1 << 40), errors.Corrupted, "section 7 is out of bounds"),
    ("section wraps", section(PAGES, offset=2**64 - 4096), errors.Corrupted, "section 7 is out of bounds"),
    ("section in header", section(POOL, offset=64), errors.Corrupted, "section 5 is out of bounds"),
    ("section short", section(CLASSES, length=8), errors.Corrupted, "section 4 is too short"),
    ("item size", section(DIRECTORY, item_size=64), errors.Corrupted, "section 3 has items of another size"),
    ("twice", section(PAGE_WORDS, kind=PAGES), errors.Corrupted, "section 7 is there twice"),
    ("missing section", section(PAGE_WORDS, kind=99), errors.Corrupted, "section 6 is missing"),
    ("no directory", section(DIRECTORY, count=0), errors.Corrupted, "section 3 has a wrong count"),
    ("long text", section(LAYOUT_TEXT, length=1 << 19), errors.Corrupted, "a layout text of"),
    ("committed", header(committed_bytes=2 << 20), errors.Corrupted, "committed"),
    ("life", header(life=7), errors.Corrupted, "life word"),
]


@pytest.mark.parametrize(("change", "error", "text"), [rung[1:] for rung in RUNGS], ids=[rung[0] for rung in RUNGS])
def test_each_rung_has_its_own_refusal(
    tmp_path: Path, change: Change, error: type[errors.ShmspaceError], text: str
) -> None:
    region = RegionBytes()
    change(region)
    with pytest.raises(error, match=text):
        read(tmp_path, region)


def test_unknown_compat_flags_are_no_obstacle(tmp_path: Path) -> None:
    region = RegionBytes()
    header(compat=1 << 50)(region)
    assert read(tmp_path, region).state == "ok"


def test_a_truncated_file_is_told_at_any_length(tmp_path: Path) -> None:
    path = RegionBytes().write(tmp_path, NAME)
    for length in range((1 << 20) - 1, C["SHM_HEADER_BYTES"], -99_991):
        os.truncate(path, length)
        with pytest.raises(errors.Corrupted, match="truncated") as caught:
            read_space(NAME, tmp_path)
        assert (caught.value.path, caught.value.position) == (str(path), length)


def test_a_header_can_be_checked_without_a_file() -> None:
    region = RegionBytes()
    checked = check_header(bytes(region.data[: C["SHM_HEADER_BYTES"]]), len(region.data), "a copy")
    assert checked.record.word("size_bytes") == 1 << 20
    assert {kind: row.word("offset") for kind, row in checked.sections.items()} == region.section


@pytest.mark.parametrize(("life", "state"), [("SHM_LIFE_LIVE", "ok"), ("SHM_LIFE_DELETED", "destroyed")])
def test_a_destroyed_space_says_so(tmp_path: Path, life: str, state: str) -> None:
    region = RegionBytes()
    header(life=C[life])(region)
    assert read(tmp_path, region).state == state


def test_a_region_from_before_a_reboot_says_so(tmp_path: Path) -> None:
    region = RegionBytes()
    header(boot_id=b"another boot")(region)
    info = read(tmp_path, region)
    assert info.state == "leftover"
    assert "reboot" in info.detail


# ---- the layout that the region itself tells


@pytest.mark.parametrize(
    ("old", "new", "error"),
    [
        (b'"shm_ring"', b'"shm_rong"', errors.IncompatibleLayout),
        (b'"name":"tail"', b'"name":"tale"', errors.IncompatibleLayout),
        (b'"name":"magic","offset":0', b'"name":"magic","offset":8', errors.IncompatibleLayout),
        (b'"structs"', b'"strucks"', errors.Corrupted),
        (b'"constants":{', b'"constants":[', errors.Corrupted),
        (b'"fields":[', b'"fields":"[', errors.Corrupted),
        (b'"size_bytes":16}', b'"size_bytes":24}', errors.IncompatibleLayout),
    ],
)
def test_another_layout_is_incompatible_and_no_layout_is_damage(
    tmp_path: Path, old: bytes, new: bytes, error: type[errors.ShmspaceError]
) -> None:
    text = compact_layout()
    assert old in text
    with pytest.raises(error):
        read(tmp_path, RegionBytes(layout_text=text.replace(old, new)))


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"null", b"\xff" * 50, b"[" * 200_000, b"1" * 200_000, b"{" * 9])
def test_a_text_that_is_no_layout_is_damage(tmp_path: Path, text: bytes) -> None:
    with pytest.raises(errors.Corrupted, match="layout text"):
        read(tmp_path, RegionBytes(layout_text=text))


def test_a_layout_with_more_than_ours_can_be_read(tmp_path: Path) -> None:
    tables = json.loads(compact_layout())
    tables["structs"]["shm_zebra"] = {"size_bytes": 8, "fields": []}
    tables["constants"]["SHM_KIND_ZEBRA"] = {"value": 99}
    padding = next(field for field in tables["structs"]["shm_header"]["fields"] if field["sync"] == "ZERO")
    padding.update(name="news", sync="COUNTER")
    text = json.dumps(tables).encode() + b"\0\0\0"
    assert read(tmp_path, RegionBytes(layout_text=text)).state == "ok"
