"""A region that has passed the ladder: bounded reads, structs, blocks, members.

`Region.read` is the one place where bytes of the file come in; everything that names a place in
the region goes through it, and it refuses what is out of bounds.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import struct
from collections.abc import Iterator
from typing import NamedTuple

from ..errors import IncompatibleLayout
from .file import Directory, open_region, region_path
from .header import LAYOUT_TEXT, MEMBERS, PAGES, Header, check_header, corrupted
from .tables import NotTables, Record, constant, difference, field_offset, parse_layout, struct_bytes

_FLOCK = struct.Struct("hhqqi4x")  # struct flock of 64-bit Linux: type, whence, start, length, pid
_LAYOUT_TEXT_MOST_BYTES = 1 << 18
_BLOCK_ALIGNMENT_BYTES = 16


class Block(NamedTuple):
    """The payload of a block in use, and whose it was before and after it was copied."""

    record: Record
    is_linked: bool
    """A structure's; else a member's, or a dead member's that nobody has repaired yet."""
    generation: int
    owner: int
    """Structure id or token."""


class Region:
    """An open region file; `header` is a copy of what was checked."""

    def __init__(self, descriptor: int, path: str) -> None:
        self._descriptor = descriptor
        self.path = path
        head = self._pread(0, constant("SHM_HEADER_BYTES"))
        self.header: Header = check_header(head, os.fstat(descriptor).st_size, path)
        self.size_bytes = self.header.record.word("size_bytes")
        self.pages_offset = self.header.sections[PAGES].word("offset")
        self._check_layout_text()

    def _pread(self, offset: int, length: int) -> bytes:
        parts = []
        while length > 0:
            part = os.pread(self._descriptor, length, offset)
            if not part:
                break
            parts.append(part)
            offset, length = offset + len(part), length - len(part)
        return b"".join(parts)

    def read(self, offset: int, length: int, what: str) -> bytes:
        """Copy bytes out; `Corrupted`, naming `what`, if they are not all within the region."""
        if offset + length > self.size_bytes:
            raise corrupted(self.path, f"{what} lies outside the region", offset)
        data = self._pread(offset, length)
        if len(data) < length:
            raise corrupted(self.path, f"truncated at {what}", offset + len(data))
        return data

    def record(self, name: str, offset: int, what: str) -> Record:
        """Copy a struct out."""
        return Record(name, offset, self.read(offset, struct_bytes(name), what))

    def word(self, name: str, offset: int, field: str, index: int) -> int:
        """Load one element of an array of 64-bit words, of the struct at `offset`."""
        data = self.read(offset + field_offset(name, field) + 8 * index, 8, field)
        return int.from_bytes(data, "little")

    def header_now(self) -> Record:
        """Copy the header again: its counters move on."""
        return self.record("shm_header", 0, "the header")

    def committed_bytes(self) -> int:
        """Give the end of the pages that have memory."""
        committed = self.header_now().word("committed_bytes")
        if not self.pages_offset <= committed <= self.size_bytes:
            place = field_offset("shm_header", "committed_bytes")
            raise corrupted(self.path, f"{committed} bytes committed of {self.size_bytes}", place)
        return committed

    def block(self, name: str, offset: int, what: str) -> Block:
        """Copy out the struct that is the payload of a block at `offset`.

        Raises `Corrupted` if no block in use can be there, or it changed hands meanwhile.
        """
        header_bytes = constant("SHM_BLOCK_HEADER_BYTES")
        first = self.pages_offset + constant("SHM_SPAN_PAD_BYTES") + header_bytes
        if offset < first or offset + struct_bytes(name) > self.committed_bytes():
            raise corrupted(self.path, f"{what} lies outside the pages", offset)
        if offset % _BLOCK_ALIGNMENT_BYTES:
            raise corrupted(self.path, f"{what} is not aligned", offset)
        word = self.record("shm_block", offset - header_bytes, what).word("word")
        record = self.record(name, offset, what)
        state, generation = word >> constant("SHM_BLOCK_STATE_BIT"), _generation(word)
        if state not in (constant("SHM_BLOCK_HELD"), constant("SHM_BLOCK_LINKED")):
            raise corrupted(self.path, f"{what} is in a free block", offset)
        again = self.record("shm_block", offset - header_bytes, what).word("word")
        if _generation(again) != generation:
            raise corrupted(self.path, f"{what} changed hands", offset)
        return Block(record, state == constant("SHM_BLOCK_LINKED"), generation, word & 0xFFFFFFFF)

    def members(self) -> list[Record]:
        """Copy out the rows of all member slots that are in use, alive or not."""
        section, size = self.header.sections[MEMBERS], struct_bytes("shm_member")
        start = section.word("offset")
        data = self.read(start, section.word("count") * size, "the member table")
        rows = [Record("shm_member", start + place, data[place : place + size]) for place in range(0, len(data), size)]
        return [row for row in rows if _member_state(row) != constant("SHM_MEMBER_FREE")]

    def is_alive(self, member: Record) -> bool:
        """Tell whether the process of a member row lives: the kernel keeps its byte locked."""
        if _member_state(member) != constant("SHM_MEMBER_ACTIVE"):
            return False
        start = self.header.sections[MEMBERS].word("offset")
        slot = (member.offset - start) // struct_bytes("shm_member")
        # A read lock is asked about, since the descriptor is read-only: a write lock is in its way.
        asked = _FLOCK.pack(fcntl.F_RDLCK, os.SEEK_SET, constant("SHM_MEMBER_LOCK") + slot, 1, 0)
        answer = fcntl.fcntl(self._descriptor, fcntl.F_OFD_GETLK, asked)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)

    def _check_layout_text(self) -> None:
        """The region says itself how its structs are laid out; that must be how we read them."""
        section = self.header.sections[LAYOUT_TEXT]
        offset, length = section.word("offset"), section.word("length")
        if length > _LAYOUT_TEXT_MOST_BYTES:
            raise corrupted(self.path, f"a layout text of {length} bytes", section.offset)
        text = self.read(offset, length, "the layout text").rstrip(b"\0")
        try:
            problem = difference(parse_layout(text))
        except NotTables as error:
            raise corrupted(self.path, "the layout text cannot be read", offset) from error
        if problem:
            raise IncompatibleLayout(
                f"{self.path} has another layout: {problem}; use the version of shmspace that made "
                f"it, or destroy the space"
            )


def _member_state(member: Record) -> int:
    return member.word("word") >> constant("SHM_MEMBER_STATE_BIT")


@contextlib.contextmanager
def opened_region(name: str, directory: Directory) -> Iterator[Region]:
    """Open a space's region for reading, checked by the whole ladder; closes it at the end."""
    path = region_path(name, directory)
    descriptor = open_region(name, path)
    try:
        yield Region(descriptor, path)
    finally:
        os.close(descriptor)


def _generation(word: int) -> int:
    return word >> constant("SHM_BLOCK_GENERATION_BIT") & constant("SHM_BLOCK_GENERATIONS")
