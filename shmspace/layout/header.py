"""The opening ladder: what the first bytes of a region must be before anything else of it is read.

Each rung has its own refusal: too short, no magic, not ready, unknown features, another header
size, a wrong checksum (header, section table), missing features, truncated, impossible numbers, a
section out of bounds. The same ladder, in the same order, is climbed by csrc/core/attach.c.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import Corrupted, IncompatibleLayout, NotASpace
from .tables import Record, constant, crc32c, field_offset, struct_bytes

# The values of section.kind.
LAYOUT_TEXT, MEMBERS, DIRECTORY, CLASSES, POOL, PAGE_WORDS, PAGES = (
    constant(f"SHM_SECTION_{name}")
    for name in ("LAYOUT", "MEMBERS", "DIRECTORY", "CLASSES", "POOL", "PAGE_WORDS", "PAGES")
)
_ITEM_BYTES = {
    MEMBERS: struct_bytes("shm_member"),
    DIRECTORY: struct_bytes("shm_directory"),
    CLASSES: struct_bytes("shm_class"),
    POOL: struct_bytes("shm_pool"),
    PAGE_WORDS: 8,
}


class Header(NamedTuple):
    """A header that has passed the ladder."""

    record: Record
    sections: dict[int, Record]
    """The section table, by kind."""


def corrupted(path: str, what: str, position: int) -> Corrupted:
    """The error for bytes at `position` that no correct writer leaves behind."""
    return Corrupted(f"{path} is damaged: {what} (byte {position})", path=path, position=position)


def check_header(head: bytes, file_size_bytes: int, path: str) -> Header:
    """Check the first bytes of a region file, rung by rung.

    `head` is a copy of its first `SHM_HEADER_BYTES` (fewer if the file is shorter), `path` is for
    the texts. Raises `NotASpace`, `IncompatibleLayout` or `Corrupted`.
    """
    header = _check_kind(head, file_size_bytes, path)
    table = _check_sums(header, head, path)
    _check_numbers(header, file_size_bytes, path)
    return Header(header, _check_sections(header, table, path))


def _check_kind(head: bytes, file_size_bytes: int, path: str) -> Record:
    """Rungs that tell a region that we can read from everything else."""
    if len(head) < constant("SHM_HEADER_BYTES"):
        raise NotASpace(f"{path} is not a space: {file_size_bytes} bytes are too short for one")
    header = Record("shm_header", 0, head)
    if header.word("magic") != constant("SHM_MAGIC"):
        raise NotASpace(f"{path} is not a space: it does not begin with SHMSPACE")
    if header.word("ready") == 0:
        raise NotASpace(f"{path} is no space yet: it is being created, or its creator has died")
    if header.word("ready") != constant("SHM_READY"):
        raise corrupted(path, "the ready word is wrong", field_offset("shm_header", "ready"))
    unknown = header.word("incompat") & ~constant("SHM_INCOMPAT")
    if unknown:
        raise IncompatibleLayout(
            f"{path} needs features that this version of shmspace does not know (flags "
            f"{unknown:#x}); use the version that made it, or destroy the space"
        )
    size = header.word("header_size")
    if size != constant("SHM_HEADER_BYTES"):
        raise IncompatibleLayout(
            f"{path} has a header of {size} bytes, and this version of shmspace reads one of "
            f"{constant('SHM_HEADER_BYTES')}; use the version that made it, or destroy the space"
        )
    return header


def _check_sums(header: Record, head: bytes, path: str) -> bytes:
    """Rungs of the checksums; the section table."""
    covered = bytearray(head[: field_offset("shm_header", "header_crc")])
    struct.pack_into("<I", covered, field_offset("shm_header", "ready"), 0)
    if crc32c(covered) != header.word("header_crc"):
        raise corrupted(path, "the checksum of the header is wrong", 0)
    start = header.word("section_offset")
    end = start + header.word("section_count") * struct_bytes("shm_section")
    if start < struct_bytes("shm_header") or end > len(head):
        raise corrupted(path, "the section table lies outside the header", start)
    if crc32c(head[start:end]) != header.word("sections_crc"):
        raise corrupted(path, "the checksum of the section table is wrong", start)
    return head[start:end]


def _check_numbers(header: Record, file_size_bytes: int, path: str) -> None:
    size, members = header.word("size_bytes"), header.word("member_count")
    missing = constant("SHM_INCOMPAT") & ~header.word("incompat")
    if missing:
        raise IncompatibleLayout(
            f"{path} lacks features that this version of shmspace relies on (flags {missing:#x}); "
            f"use the version that made it, or destroy the space"
        )
    if file_size_bytes < size:
        raise corrupted(path, f"truncated: the file has {file_size_bytes} bytes of {size}", file_size_bytes)
    if not constant("SHM_SIZE_LEAST") <= size <= constant("SHM_SIZE_MOST"):
        raise corrupted(path, f"a size of {size} bytes", field_offset("shm_header", "size_bytes"))
    if not 1 <= members <= constant("SHM_MEMBERS_MOST"):
        raise corrupted(path, f"{members} members", field_offset("shm_header", "member_count"))


def _check_sections(header: Record, table: bytes, path: str) -> dict[int, Record]:
    """The sections by kind, each within the region and with room for its items."""
    first, step = header.word("section_offset"), struct_bytes("shm_section")
    found: dict[int, Record] = {}
    for start in range(0, len(table), step):
        section = Record("shm_section", first + start, table[start : start + step])
        kind, offset, length = (section.word(field) for field in ("kind", "offset", "length"))
        if offset < len(table) + first or offset + length > header.word("size_bytes"):
            raise corrupted(path, f"section {kind} is out of bounds", section.offset)
        if section.word("item_size") * section.word("count") > length:
            raise corrupted(path, f"section {kind} is too short for its items", section.offset)
        if section.word("item_size") != _ITEM_BYTES.get(kind, section.word("item_size")):
            raise corrupted(path, f"section {kind} has items of another size", section.offset)
        if kind in found:
            raise corrupted(path, f"section {kind} is there twice", section.offset)
        found[kind] = section
    for kind in range(LAYOUT_TEXT, PAGES + 1):
        if kind not in found:
            raise corrupted(path, f"section {kind} is missing", first)
    for kind, (least, most) in _item_counts(header).items():
        if not least <= found[kind].word("count") <= most:
            raise corrupted(path, f"section {kind} has a wrong count", found[kind].offset)
    return found


def _item_counts(header: Record) -> dict[int, tuple[int, int]]:
    """How many items a section has, at least and at most."""
    members = header.word("member_count")
    return {
        MEMBERS: (members, members + 1),  # one may be spare, for whoever buries the dead of a full table
        DIRECTORY: (1, 1),
        CLASSES: (constant("SHM_CLASSES"), constant("SHM_CLASSES")),
        POOL: (1, 1),
    }
