"""The directory of structures, walked without its lock.

A structure may be deleted, and its memory used for something else, while a walk is on its way to
it. Three things tell: a linked block names the id that stands in the entry, the entry's hash is
that of its name and of its chain, and `header.deletions` rises before memory is freed. A deletion
may have been counted, and still be under way, when a walk begins; so damage is damage when two walks
of a chain in a row meet it and the count was the same from the begin of the first to the end of the
second: deletions come one at a time, and the second walk began when that one had freed its entry.

Of a structure found, `life` is set to deleted before anything of it is freed: damage in one whose
entry is alive afterwards is damage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple, TypeVar

from ..errors import Corrupted
from .header import DIRECTORY, corrupted
from .region import Block, Region
from .tables import LAYOUT, Record, constant, fnv1a

_Result = TypeVar("_Result")
_TRIES = 8  # to walk a chain, which takes some 10 us an entry

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
    generation: int
    """Of the block of the entry."""

    @property
    def label(self) -> str:
        """The structure, for texts."""
        return f"the {self.kind} {self.name!r}"


def steadily(region: Region, walk: Callable[[], _Result]) -> _Result:
    """Give what `walk` gives, of a walk in which nothing was deleted if there is one; raise `Corrupted` for damage.

    After `_TRIES` walks the last that met no damage counts.
    """
    results: list[_Result] = []
    errors: list[Corrupted] = []
    damaged_at = -1
    for _ in range(_TRIES):
        before = region.header_now().word("deletions")
        try:
            results.append(walk())
            is_damaged = False
        except Corrupted as error:
            errors.append(error)
            is_damaged = True
        is_steady = region.header_now().word("deletions") == before
        if is_steady and not is_damaged:
            break
        if is_steady and damaged_at == before:
            raise errors[-1]
        damaged_at = before
    if not results:
        raise errors[-1]
    return results[-1]


def live_structures(region: Region) -> list[Found]:
    """Give all structures in use, named locks too, by kind (as numbered), then name (in byte order)."""
    section = region.header.sections[DIRECTORY]
    table = region.record("shm_directory", section.word("offset"), "the directory")
    found: list[Found] = []
    for bucket, first in enumerate(table.words("bucket")):
        if first:
            found += _live_in_chain(region, bucket)
    return sorted(found, key=lambda f: (f.entry.word("kind"), f.name.encode()))


def of_structure(region: Region, found: Found, look: Callable[[Region, Found], _Result]) -> _Result | None:
    """Give what `look` gives for a structure; None if it was deleted meanwhile. Raises `Corrupted` for damage."""
    try:
        return look(region, found)
    except Corrupted:
        if _is_live_still(region, found):
            raise
        return None


def _live_in_chain(region: Region, bucket: int) -> list[Found]:
    def walk() -> list[Found]:
        live = constant("SHM_LIFE_LIVE")
        return [_found(region, block) for block in _entries(region, bucket) if block.record.word("life") == live]

    return steadily(region, walk)


def _entries(region: Region, bucket: int) -> Iterator[Block]:
    section = region.header.sections[DIRECTORY]
    offset = region.word("shm_directory", section.word("offset"), "bucket", bucket)
    seen: set[int] = set()
    while offset:
        if offset in seen:
            raise corrupted(region.path, "a cycle in the directory", offset)
        seen.add(offset)
        block = _entry_at(region, offset, bucket)
        yield block
        offset = block.record.word("next")


def _entry_at(region: Region, offset: int, bucket: int) -> Block:
    what = f"the directory entry at {offset}"
    block = region.block("shm_entry", offset, what)
    entry = block.record
    if block.is_linked and block.owner != entry.word("id"):
        raise corrupted(region.path, f"{what} is in the block of another structure", offset)
    if entry.word("hash") % constant("SHM_BUCKETS") != bucket:
        raise corrupted(region.path, f"{what} is in chain {bucket}, not its own", offset)
    return block


def _found(region: Region, block: Block) -> Found:
    entry = block.record
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
        return Found(kind, name.decode(), entry, block.generation)
    except UnicodeDecodeError:
        raise corrupted(region.path, f"{what} has a name that is no UTF-8", entry.offset) from None


def _is_live_still(region: Region, found: Found) -> bool:
    try:
        block = region.block("shm_entry", found.entry.offset, "the entry")
    except Corrupted:
        return False
    is_same = block.generation == found.generation and block.record.word("id") == found.entry.word("id")
    return is_same and block.record.word("life") == constant("SHM_LIFE_LIVE")
