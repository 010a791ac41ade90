"""Read a space from outside: the bytes of its region through the tables of `layout.json`.

1. Nothing is changed: the file is opened read-only; no member slot and no lock is taken. So a
   space whose processes are stopped or dead can be looked at, and so can a copy of a region.
2. Every byte is input. Whatever stands in the file gives a result or one of `NotASpace`,
   `IncompatibleLayout`, `Corrupted`; no walk is longer than the region has room for.
3. It reads with pread, not through a mapping: a mapping of a file that is cut short, or of a page
   that the machine has no memory for, ends its reader with SIGBUS; pread returns short instead.
4. Sizes, offsets and constants come from `layout.json` alone, never from the code.

Numbers of a space at work were true at some instant of the call, not all at the same one.
"""

from __future__ import annotations

from .dump import dump
from .file import DEFAULT_DIRECTORY, REGION_PREFIX, TEMPORARY_PREFIX, region_path
from .header import Header, check_header
from .items import Item, read_items
from .space import SpaceInfo, StructureInfo, read_space, read_spaces
from .tables import Record, crc32c

__all__ = [
    "DEFAULT_DIRECTORY",
    "REGION_PREFIX",
    "TEMPORARY_PREFIX",
    "Header",
    "Item",
    "Record",
    "SpaceInfo",
    "StructureInfo",
    "check_header",
    "crc32c",
    "dump",
    "read_items",
    "read_space",
    "read_spaces",
    "region_path",
]
