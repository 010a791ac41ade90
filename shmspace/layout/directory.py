"""The directory of structures, walked without its lock.

A structure may be deleted, and its memory used for something else, while a walk is on its way to
it. Three things tell: the block of an entry must name the entry's own id, the hash must belong to
the chain and to the name, and `header.deletions`, which rises before memory is freed. Damage that
one walk meets may be such a deletion, which was under way when it began; damage that two walks in
a row meet with the same count of deletions is damage: the second began after that one was over.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from ..errors import Corrupted
from .header import DIRECTORY, corrupted
from .region import Region
from .tables import LAYOUT, Record, constant, fnv1a

_Result = TypeVar("_Result")
_TRIES = 100  # deletions that follow each other faster than a walk takes, a hundred times over

KINDS = {
    value: name.removeprefix("SHM_KIND_").lower()
    for name, value in LAYOUT.constants.items()
    if name.startswith("SHM_KIND_")
}


class Found(NamedTuple):
    """A structure as its directory entry has it."""

    kind: str
    name: str
    entry: Record

    @property
    def label(self) -> str:
        """The structure, for texts."""
        return f"the {self.kind} {self.name!r}"


def steadily(region: Region, walk: Callable[[], _Result]) -> _Result:
    """Give what `walk` gives when no structure was deleted under it; raise `Corrupted` only for damage.

    After `_TRIES` walks the last one counts.
    """
    damaged_at = -1
    for left in reversed(range(_TRIES)):
        before = region.header_now().word("deletions")
        try:
            result = walk()
        except Corrupted:
            after = region.header_now().word("deletions")
            if left == 0 or damaged_at == before == after:
                raise
            damaged_at = after
        else:
            if region.header_now().word("deletions") == before:
                break
    return result


def live_structures(region: Region) -> list[Found]:
    """Give all structures in use, named locks too, by kind (as numbered), then name (in byte order)."""
    live = constant("SHM_LIFE_LIVE")
    found = [_found(region, entry) for entry in _entries(region) if entry.word("life") == live]
    return sorted(found, key=lambda f: (f.entry.word("kind"), f.name.encode()))


def _entries(region: Region) -> Iterator[Record]:
    section = region.header.sections[DIRECTORY]
    table = region.record("shm_directory", section.word("offset"), "the directory")
    seen: set[int] = set()
    for bucket, offset in enumerate(table.words("bucket")):
        while offset:
            if offset in seen:
                raise corrupted(region.path, "a cycle in the directory", offset)
            seen.add(offset)
            entry = _entry_at(region, offset, bucket)
            yield entry
            offset = entry.word("next")


def _entry_at(region: Region, offset: int, bucket: int) -> Record:
    what = f"the directory entry at {offset}"
    block = region.block("shm_entry", offset, what)
    entry = block.record
    if block.is_linked and block.owner != entry.word("id"):
        raise corrupted(region.path, f"{what} is in the block of another structure", offset)
    if entry.word("hash") % constant("SHM_BUCKETS") != bucket:
        raise corrupted(region.path, f"{what} is in chain {bucket}, not its own", offset)
    return entry


def _found(region: Region, entry: Record) -> Found:
    what = f"the directory entry at {entry.offset}"
    length = entry.word("name_length")
    if not 1 <= length < constant("SHM_NAME_BYTES"):
        raise corrupted(region.path, f"{what} has a name of {length} bytes", entry.offset)
    name = entry.text("name")[:length]
    if fnv1a(name) != entry.word("hash"):
        raise corrupted(region.path, f"{what} has not the hash of its name {name!r}", entry.offset)
    kind = KINDS.get(entry.word("kind"))
    if kind is None:
        raise corrupted(region.path, f"{what} has the kind {entry.word('kind')}", entry.offset)
    try:
        return Found(kind, name.decode(), entry)
    except UnicodeDecodeError:
        raise corrupted(region.path, f"{what} has a name that is no UTF-8", entry.offset) from None
