"""The tables of `layout.json`, structs read through them, and the two hashes that the region uses."""

from __future__ import annotations

import importlib.resources
import json
import struct
from collections.abc import Iterator
from typing import NamedTuple

Value = int | bytes | tuple[int, ...]

_CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}


class Field(NamedTuple):
    """Where a field lies in its struct."""

    type: str
    elements: int
    offset: int


class Struct(NamedTuple):
    """A struct of the region."""

    size_bytes: int
    fields: dict[str, Field]
    reserved: frozenset[str]
    """Names of the fields that are always zero."""


class Layout(NamedTuple):
    """All tables."""

    constants: dict[str, int]
    structs: dict[str, Struct]


class NotTables(ValueError):
    """The text is not the JSON of layout tables."""


def parse_layout(text: bytes) -> Layout:
    """Read the JSON of layout tables; raises `NotTables`."""
    try:
        tables = json.loads(text)
        structs = {}
        for name, body in tables["structs"].items():
            fields = {f["name"]: Field(f["type"], f["count"], f["offset"]) for f in body["fields"]}
            reserved = frozenset(f["name"] for f in body["fields"] if f["sync"] == "ZERO")
            structs[name] = Struct(body["size_bytes"], fields, reserved)
        constants = {name: body["value"] for name, body in tables["constants"].items()}
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise NotTables(f"no layout tables: {error!r}") from error
    return Layout(constants, structs)


LAYOUT = parse_layout(importlib.resources.files("shmspace").joinpath("layout.json").read_bytes())


def constant(name: str) -> int:
    """The value of a constant of the tables."""
    return LAYOUT.constants[name]


def struct_bytes(name: str) -> int:
    """The size of a struct of the tables."""
    return LAYOUT.structs[name].size_bytes


def field_offset(struct_name: str, field: str) -> int:
    """Where a field begins in its struct."""
    return LAYOUT.structs[struct_name].fields[field].offset


def difference(theirs: Layout) -> str | None:
    """The first thing that a reader by `LAYOUT` would misread in a region with their tables.

    They may have more structs, and fields where ours have nothing.
    """
    for name, ours in LAYOUT.structs.items():
        other = theirs.structs.get(name)
        if other is None:
            return f"it has no {name}"
        if other.size_bytes != ours.size_bytes:
            return f"its {name} has {other.size_bytes} bytes, not {ours.size_bytes}"
        for field, place in ours.fields.items():
            if field not in ours.reserved and other.fields.get(field) != place:
                return f"its {name} has another {field}"
    return None


class Record:
    """The bytes of one struct, copied out of the region once; fields by name."""

    def __init__(self, name: str, offset: int, data: bytes) -> None:
        self.name = name
        self.offset = offset
        self._data = data
        self._struct = LAYOUT.structs[name]

    def words(self, field: str) -> tuple[int, ...]:
        """Give all elements of a field."""
        found = self._struct.fields[field]
        return struct.unpack_from(f"<{found.elements}{_CODES[found.type]}", self._data, found.offset)

    def word(self, field: str) -> int:
        """Give a field with one element."""
        return self.words(field)[0]

    def text(self, field: str) -> bytes:
        """Give an array of bytes."""
        return bytes(self.words(field))

    def fields(self) -> Iterator[tuple[str, int, Value]]:
        """Give name, offset in the region and value of every field; a reserved one only if it is not zero."""
        for name, field in self._struct.fields.items():
            words = self.words(name)
            if name in self._struct.reserved and not any(words):
                continue
            array = bytes(words) if field.type == "u8" else words
            yield name, self.offset + field.offset, words[0] if field.elements == 1 else array


def _make_crc32c_table() -> list[int]:
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _make_crc32c_table()


def crc32c(data: bytes | bytearray) -> int:
    """Give the CRC-32C (Castagnoli; RFC 3720, appendix B.4) of the bytes.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def fnv1a(data: bytes) -> int:
    """Give the FNV-1a 32-bit hash of the bytes (RFC 9923).

    >>> hex(fnv1a(b"foobar"))
    '0xbf9cf968'
    """
    value = 0x811C9DC5
    for byte in data:
        value = (value ^ byte) * 0x01000193 & 0xFFFFFFFF
    return value
