"""The numbers of queues and tuple spaces, read from their cells without a lock.

Values come and go under a walk: what is counted was there at some instant of it. A walk that meets something that
cannot be is made again; the damage of many walks is damage.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import TypeVar

from ..errors import Corrupted
from .directory import Found
from .header import corrupted
from .region import Region
from .tables import Record, constant, field_offset, struct_bytes

_TRIES = 100
_CELL_WORDS = struct_bytes("shm_cell") // 8
_LENGTH_WORD = field_offset("shm_cell", "length_bytes") // 8
_LEASED_WORD = field_offset("shm_cell", "deliveries") // 8  # its high half is `leased`
_FIRST_WORD = field_offset("shm_fifo_out", "first") // 8

_Result = TypeVar("_Result")


def queue_stat(region: Region, found: Found) -> dict[str, int]:
    """Give the numbers of `QueueStat`, by name."""

    def look() -> dict[str, int]:
        main = main_record(region, found, "shm_queue_main")
        lanes = [main.offset + struct_bytes("shm_queue_main") + n * struct_bytes("shm_lane") for n in range(2)]
        values, dead = (_Values(region, region.record("shm_lane", lane, found.label), found) for lane in lanes)
        return {
            "ready": values.ready,
            "leased": values.leased,
            "dead": dead.ready,
            "nbytes": values.nbytes,
            "waiting": values.waiting,
        }

    return patiently(look)


def tuples_stat(region: Region, found: Found) -> dict[str, int]:
    """Give the numbers of `TuplesStat`, by name."""

    def look() -> dict[str, int]:
        main = main_record(region, found, "shm_tuples_main")
        shards = main.offset + struct_bytes("shm_tuples_main")
        keys = entries = nbytes = waiting = 0
        for n in range(main.word("shards")):
            for entry in table_entries(region, shards + n * struct_bytes("shm_shard"), found):
                values = _Values(region, region.record("shm_tuple", entry, found.label), found)
                keys += values.ready > 0
                entries += values.ready
                nbytes += values.nbytes
                waiting += values.waiting
        return {"keys": keys, "entries": entries, "nbytes": nbytes, "waiting": waiting}

    return patiently(look)


def patiently(look: Callable[[], _Result]) -> _Result:
    """Look again where something changed meanwhile; what stays damaged is damage."""
    for left in reversed(range(_TRIES)):
        try:
            return look()
        except Corrupted:
            if left == 0:
                raise
    raise AssertionError


def main_record(region: Region, found: Found, name: str) -> Record:
    """Give the main block of a structure, checked to be its."""
    block = region.block(name, found.entry.word("main"), found.label)
    if block.generation != found.entry.word("main_gen") or block.record.word("id") != found.entry.word("id"):
        raise corrupted(region.path, f"{found.label} is not where its entry says", block.record.offset)
    return block.record


def table_entries(region: Region, shard: int, found: Found) -> Iterator[int]:
    """Walk the entries of a table's shard in order of creation; which they are must be checked afterwards."""
    at = region.record("shm_shard", shard, found.label).word("first")
    seen: set[int] = set()
    while at:
        if at in seen:
            raise corrupted(region.path, f"a cycle in the keys of {found.label}", at)
        seen.add(at)
        yield at
        at = region.record("shm_key", at, f"a key of {found.label}").word("next")


class _Values:
    """What is in a fifo, whose sides are fields of the struct given."""

    def __init__(self, region: Region, fifo: Record, found: Found) -> None:
        self.ready = self.leased = self.nbytes = 0
        self.waiting = _waiting(region, fifo.words("line")[0], found)
        at = fifo.words("out")[_FIRST_WORD]
        seen: set[int] = set()
        while at:
            if at in seen:
                raise corrupted(region.path, f"a cycle in the segments of {found.label}", at)
            seen.add(at)
            segment = region.record("shm_segment", at, f"a segment of {found.label}")
            cells = segment.word("cells")
            if cells == 0 or cells & (cells - 1):
                raise corrupted(region.path, f"a segment of {found.label} has {cells} cells", at)
            place = at + struct_bytes("shm_segment")
            self._count(region.read(place, cells * struct_bytes("shm_cell"), found.label), region.size_bytes)
            at = segment.word("next")

    def _count(self, cells: bytes, most_bytes: int) -> None:
        words = struct.unpack(f"<{len(cells) // 8}Q", cells)
        lengths, leases = words[_LENGTH_WORD::_CELL_WORDS], words[_LEASED_WORD::_CELL_WORDS]
        for index, word in enumerate(words[::_CELL_WORDS]):
            state = word >> 30 & 3
            if state == constant("SHM_VALUE_READY"):
                self.ready += 1
                self.nbytes += min(lengths[index], most_bytes)
            elif state == constant("SHM_VALUE_HELD"):
                self.leased += leases[index] >> 32 == 1


def _waiting(region: Region, at: int, found: Found) -> int:
    """How many wait in line for a value."""
    count = 0
    seen: set[int] = set()
    while at:
        if at in seen:
            raise corrupted(region.path, f"a cycle in the waiters of {found.label}", at)
        seen.add(at)
        waiter = region.record("shm_waiter", at, f"a waiter of {found.label}")
        wants = waiter.word("kind") != constant("SHM_WAITER_PUT")
        count += wants and waiter.word("state") == constant("SHM_WAIT_WAITING")
        at = waiter.word("next")
    return count
