"""The keys of a store with their values, read without a lock: how, stands in csrc/LAYOUT.md."""

from __future__ import annotations

import time
from dataclasses import dataclass

from ..errors import NotFound
from .directory import Found, live_structures, of_structure
from .file import Directory
from .header import corrupted
from .region import Region, opened_region
from .tables import Record, constant, field_offset, struct_bytes
from .values import main_record, patiently, table_entries

_ODD_TRIES = 200
_NAP_S = 0.0001
_GOLDEN = 0x9E3779B97F4A7C15


@dataclass(frozen=True)
class Item:
    """A key and its value, as they were at one moment."""

    key: bytes
    value: bytes
    """Encoded, by the codec with the number `codec`."""
    codec: int
    version: int
    created: int
    """When, nanoseconds since the epoch."""
    updated: int
    """As `created`; 0: never."""
    expires_ns: int
    """On the clock of the space; 0: never. A key that has expired is there until somebody uses the store."""


class _Changed(Exception):
    """It changed under the look at it, or went."""


def read_items(name: str, store: str = "default", directory: Directory = None) -> list[Item]:
    """Give what a store has, in the order in which its keys were made, shard by shard.

    Each shard is as it was at one moment, the shards not all at the same one; where a process died or stands
    still in the middle of a change, its keys are as the next one who comes will find them, but for the one that
    comes or goes.
    """
    with opened_region(name, directory) as region:
        for found in live_structures(region):
            if (found.kind, found.name) == ("store", store):
                items = of_structure(region, found, _items)
                if items is not None:
                    return items
        raise NotFound(f"{region.path} has no store {store!r}")


def _items(region: Region, found: Found) -> list[Item]:
    main = main_record(region, found, "shm_store_main")
    first, size = main.offset + struct_bytes("shm_store_main"), struct_bytes("shm_store_shard")
    items: list[Item] = []
    for number in range(main.word("shards")):
        items += patiently(lambda shard=first + number * size: _shard(region, shard, found))  # type: ignore[misc]
    return items


def _shard(region: Region, shard: int, found: Found) -> list[Item]:
    """Walk the list of a shard until nothing changed meanwhile; if it always does, or nobody goes on, as it is."""
    table = shard + field_offset("shm_store_shard", "table")
    items: list[Item] = []
    for left in reversed(range(_ODD_TRIES)):
        changes = region.record("shm_shard", table, found.label).word("changes")
        if changes % 2 == 0 or left == 0:
            items = [item for at in table_entries(region, table, found) if (item := _item(region, shard, at, found))]
            if left == 0 or region.record("shm_shard", table, found.label).word("changes") == changes:
                break
        time.sleep(_NAP_S)
    return items


def _item(region: Region, shard: int, at: int, found: Found) -> Item | None:
    """Copy a key and its value; None if it is not the store's: it comes, or goes."""
    for _ in range(_ODD_TRIES):
        try:
            return _copy(region, shard, at, found)
        except _Changed:
            time.sleep(_NAP_S)
    return None


def _copy(region: Region, shard: int, at: int, found: Found) -> Item | None:
    what = f"a key of {found.label}"
    block = region.block("shm_item", at, what)
    if not block.is_linked or block.owner != found.entry.word("id"):
        raise _Changed
    key, word = region.record("shm_key", at, what), block.record.word("word")
    told = region.record("shm_store_shard", shard, what) if word % 2 else block.record
    name = region.read(at + struct_bytes("shm_item"), key.word("length"), what)
    value = _value(region, shard, at, key, told)
    again = region.block("shm_item", at, what)
    if again.record.word("word") != word or (again.generation, again.owner) != (block.generation, block.owner):
        raise _Changed
    if value is None:
        raise corrupted(region.path, f"the value of {what} is not there", at)
    fields = ("codec", "version", "created", "updated", "expires_ns")
    return Item(name, value, *(told.word(field) for field in fields))


def _value(region: Region, shard: int, at: int, key: Record, told: Record) -> bytes | None:
    """The bytes of a value, as the item or (while that is changed) the shard tells of it; None: there can be none."""
    length, block = told.word("length_bytes"), told.word("block")
    if block:
        header = region.block("shm_block", block, "a value")  # any struct: only who has it matters
        same = header.generation == told.word("block_gen") and block + length <= region.size_bytes
        return region.read(block, length, "a value") if same else None
    if length > constant("SHM_ITEM_INLINE"):
        return None
    if told.offset == shard:
        return region.read(shard + field_offset("shm_store_shard", "data"), length, "a value")
    mixed = (key.word("hash") * _GOLDEN % 2**64 >> 40) % 2**32 | 1 << 22
    levels = 1 + ((mixed & -mixed).bit_length() - 1) // 2
    words = -(-(struct_bytes("shm_item") + key.word("length")) // 8) * 8
    return region.read(at + words + 8 * levels, length, "a value")
