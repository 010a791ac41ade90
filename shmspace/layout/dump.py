"""Every field of a region that describes it, by name."""

from __future__ import annotations

from collections.abc import Iterator

from .directory import Found, live_structures, of_structure
from .file import Directory
from .region import Region, opened_region
from .tables import Record, Value

_MAIN_STRUCTS = {"channel": "shm_ring", "lock": "shm_mutex"}


def dump(name: str, directory: Directory = None) -> Iterator[tuple[str, int, str, Value]]:
    """Give (struct, offset, field, value) for the header, sections, members in use, directory entries and their rings.

    `offset` is that of the field in the region. A value is an int, bytes, or a tuple of ints for other arrays. Reserved
    fields are given only if they are not zero, as they must be. Raises as `read_space`.
    """
    with opened_region(name, directory) as region:
        records = [region.header_now(), *region.header.sections.values(), *region.members()]
        for found in live_structures(region):
            records += of_structure(region, found, _records) or []
    return ((record.name, offset, field, value) for record in records for field, offset, value in record.fields())


def _records(region: Region, found: Found) -> list[Record]:
    name = _MAIN_STRUCTS.get(found.kind)
    if name is None:
        return [found.entry]
    return [found.entry, region.block(name, found.entry.word("main"), found.label).record]
