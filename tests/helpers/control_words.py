"""Where the control words of a region are: a walk over its structs by `layout.json` alone.

What is not a message or a free byte is a control word: header, sections, members, directory, entries, classes,
pool, page words, block headers, links of free lists, rings, slots, ports, locks, queues, tuple spaces, their segments,
cells and waiters, logs with their shards and records, stores with their items, events, locks and watches.
"""

from __future__ import annotations

import itertools
import struct
from collections.abc import Iterator
from typing import NamedTuple

from tests.helpers.region_bytes import CLASSES as CLASS_TABLE
from tests.helpers.region_bytes import CODES, DIRECTORY, MEMBERS, PAGE_WORDS, PAGES, STRUCTS, TABLES, C, fnv1a, size_of
from tests.helpers.region_bytes import POOL as POOL_TABLE

WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
MAIN = {
    C["SHM_KIND_CHANNEL"]: "shm_ring",
    C["SHM_KIND_LOCK"]: "shm_mutex",
    C["SHM_KIND_QUEUE"]: "shm_queue_main",
    C["SHM_KIND_TUPLES"]: "shm_tuples_main",
    C["SHM_KIND_LOG"]: "shm_log_main",
    C["SHM_KIND_SHARDED_LOG"]: "shm_log_main",
    C["SHM_KIND_STORE"]: "shm_store_main",
}
PARTS = {
    "shm_lane": {"in": "shm_fifo_in", "out": "shm_fifo_out", "line": "shm_fifo_line"},
    "shm_tuple": {"entry": "shm_key", "in": "shm_fifo_in", "out": "shm_fifo_out", "line": "shm_fifo_line"},
    "shm_store_shard": {"table": "shm_shard"},
    "shm_item": {"entry": "shm_key"},
}
"""Fields that are structs."""
FREE_CELLS, USED_CELLS, ENTRIES = 1, 3, 3
"""Of those that are alike, how many of each are not plain."""
FEED_EACH = 4
"""Events of a shard that stand for all."""
RECORDS_EACH = 3
"""Records of a shard that stand for all, and buckets of its key index."""


class Word(NamedTuple):
    """A control word."""

    offset: int
    size_bytes: int
    label: str
    """Struct and field, with the number of the struct and of the element where there are several."""
    is_plain: bool
    """One that stands for many like it, or for nothing: bytes that are always zero, free rows, tails of arrays."""

    def line(self) -> str:
        """For the program that changes it."""
        return f"{self.offset} {self.size_bytes} {self.label}\n"


class Walk:
    """The words of a healthy region."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self._sections = {self._get("shm_section", row, "kind"): row for row in self._section_rows()}

    def words(self) -> list[Word]:
        """Give all control words, each once."""
        found: dict[int, Word] = {}
        for word in itertools.chain(self._fixed(), self._pages(), self._structures()):
            known = found.get(word.offset)
            if known is None or known.is_plain or known.size_bytes < word.size_bytes:
                found[word.offset] = word
        return [found[offset] for offset in sorted(found)]

    def _section_rows(self) -> Iterator[int]:
        first = self._get("shm_header", 0, "section_offset")
        for number in range(self._get("shm_header", 0, "section_count")):
            yield first + number * size_of("shm_section")

    def _get(self, name: str, offset: int, field: str) -> int:
        found = STRUCTS[name][field]
        value: int = struct.unpack_from("<" + CODES[found["type"]], self.data, offset + found["offset"])[0]
        return value

    def _u64(self, offset: int) -> int:
        value: int = struct.unpack_from("<Q", self.data, offset)[0]
        return value

    def _struct(self, name: str, offset: int, label: str = "", *, is_plain: bool = False) -> Iterator[Word]:
        for field in TABLES["structs"][name]["fields"]:
            if part := PARTS.get(name, {}).get(field["name"]):
                yield from self._struct(part, offset + field["offset"], label, is_plain=is_plain)
                continue
            width, count = WIDTHS[field["type"]], field["count"]
            for element in range(count):
                place = offset + field["offset"] + element * width
                is_zero = not any(self.data[place : place + width])
                is_tail = count >= 8 and element not in (0, count - 1) and (is_zero or width == 1)
                index = f"[{element}]" if count > 1 else ""
                is_spare = is_plain or is_tail or field["sync"] == "ZERO"
                yield Word(place, width, f"{name}{label}.{field['name']}{index}", is_spare)

    def _section(self, kind: int, field: str) -> int:
        return self._get("shm_section", self._sections[kind], field)

    def _fixed(self) -> Iterator[Word]:
        yield from self._struct("shm_header", 0)
        for number, row in enumerate(self._section_rows()):
            yield from self._struct("shm_section", row, f"#{number}", is_plain=number not in (0, 5))
        for name, kind in (("shm_member", MEMBERS), ("shm_class", CLASS_TABLE)):
            for number in range(self._section(kind, "count")):
                row = self._section(kind, "offset") + number * size_of(name)
                is_used = bool(self._get(name, row, "word" if kind == MEMBERS else "free_head"))
                yield from self._struct(name, row, f"#{number}", is_plain=not is_used and number > 0)
        yield from self._struct("shm_directory", self._section(DIRECTORY, "offset"))
        yield from self._struct("shm_pool", self._section(POOL_TABLE, "offset"))

    def _pages(self) -> Iterator[Word]:
        words, pages = self._section(PAGE_WORDS, "offset"), self._section(PAGES, "offset")
        heads: set[int] = set()
        top = self._get("shm_pool", self._section(POOL_TABLE, "offset"), "top_pages")
        page = 0
        while page < top:
            heads.add(page)
            word = self._u64(words + page * 8)
            if word >> 56 == C["SHM_PAGE_SPAN"]:
                first = pages + page * C["SHM_PAGE_BYTES"] + C["SHM_SPAN_PAD_BYTES"]
                yield from self._blocks(first, word >> 32 & 0xFF)
            page += word & 0xFFFFFFFF
        for number in range(self._section(PAGE_WORDS, "count")):
            is_plain = number not in heads and number not in (top, top + 1)
            yield Word(words + number * 8, 8, f"page_word#{number}", is_plain)

    def _blocks(self, first: int, size_class: int) -> Iterator[Word]:
        row = self._section(CLASS_TABLE, "offset") + size_class * size_of("shm_class")
        is_huge = size_class == C["SHM_CLASS_HUGE"]
        stride = 0 if is_huge else self._get("shm_class", row, "stride_bytes")
        free_seen = 0
        for number in range(1 if is_huge else self._get("shm_class", row, "span_blocks")):
            block = first + number * stride
            is_free = self._get("shm_block", block, "word") >> 60 == C["SHM_BLOCK_FREE"]
            free_seen += is_free
            label = f"#{block:x}({'free' if is_free else 'used'})"
            yield from self._struct("shm_block", block, label, is_plain=free_seen > 1)
            if is_free:
                yield Word(block + C["SHM_BLOCK_HEADER_BYTES"], 8, f"free_link#{block:x}", free_seen > 1)

    def _structures(self) -> Iterator[Word]:
        buckets = self._section(DIRECTORY, "offset") + STRUCTS["shm_directory"]["bucket"]["offset"]
        for bucket in range(C["SHM_BUCKETS"]):
            entry = self._u64(buckets + bucket * 8)
            while entry:
                name = self._name(entry)
                assert fnv1a(name) % C["SHM_BUCKETS"] == bucket
                label = f"({name.decode()})"
                yield from self._struct("shm_entry", entry, label)
                yield from self._main(entry, label)
                entry = self._get("shm_entry", entry, "next")

    def _name(self, entry: int) -> bytes:
        start = entry + STRUCTS["shm_entry"]["name"]["offset"]
        return self.data[start : start + self._get("shm_entry", entry, "name_length")]

    def _main(self, entry: int, label: str) -> Iterator[Word]:
        name, main = MAIN[self._get("shm_entry", entry, "kind")], self._get("shm_entry", entry, "main")
        yield from self._struct(name, main, label)
        if name == "shm_queue_main":
            for number in range(2):
                lane = main + size_of("shm_queue_main") + number * size_of("shm_lane")
                yield from self._struct("shm_lane", lane, f"{label}#{number}")
                yield from self._fifo("shm_lane", lane, f"{label}#{number}")
        elif name == "shm_tuples_main":
            yield from self._shards(main, label)
        elif name == "shm_log_main":
            yield from self._log_shards(main, label)
        elif name == "shm_store_main":
            yield from self._store_shards(main, label)
        elif name == "shm_ring":
            yield from self._ring(main, label)

    def _chains(self, buckets: int, label: str) -> Iterator[Word]:
        yield from self._struct("shm_buckets", buckets, label)
        for chain in range(self._get("shm_buckets", buckets, "mask") + 1):
            yield Word(buckets + size_of("shm_buckets") + chain * 8, 8, f"chain{label}#{chain}", chain > 1)

    def _shards(self, main: int, label: str) -> Iterator[Word]:
        seen = 0
        for number in range(self._get("shm_tuples_main", main, "shards")):
            shard = main + size_of("shm_tuples_main") + number * size_of("shm_shard")
            entry, buckets = (self._get("shm_shard", shard, field) for field in ("first", "buckets"))
            yield from self._struct("shm_shard", shard, f"{label}#{number}", is_plain=not entry and number > 0)
            if buckets:
                yield from self._chains(buckets, label)
            while entry:
                is_plain = seen >= ENTRIES and not self._u64(entry + STRUCTS["shm_tuple"]["line"]["offset"])
                yield from self._struct("shm_tuple", entry, f"{label}#{seen}", is_plain=is_plain)
                yield from self._fifo("shm_tuple", entry, f"{label}#{seen}", is_plain=is_plain)
                entry = self._get("shm_key", entry, "next")
                seen += 1

    def _fifo(self, owner: str, place: int, label: str, *, is_plain: bool = False) -> Iterator[Word]:
        """Segments with their cells, and who stands in line."""
        segment = self._get("shm_fifo_out", place + STRUCTS[owner]["out"]["offset"], "first")
        free_seen = used_seen = 0
        while segment:
            yield from self._struct("shm_segment", segment, f"{label}#{segment:x}", is_plain=is_plain)
            for number in range(self._get("shm_segment", segment, "cells")):
                cell = segment + size_of("shm_segment") + number * size_of("shm_cell")
                is_free = self._u64(cell) >> 30 & 3 == C["SHM_VALUE_FREE"]
                free_seen += is_free
                used_seen += not is_free
                is_common = is_plain or (free_seen > FREE_CELLS if is_free else used_seen > USED_CELLS)
                yield from self._struct("shm_cell", cell, f"{label}#{segment:x}#{number}", is_plain=is_common)
            segment = self._get("shm_segment", segment, "next")
        waiter = self._get("shm_fifo_line", place + STRUCTS[owner]["line"]["offset"], "first")
        while waiter:
            yield from self._struct("shm_waiter", waiter, f"{label}#{waiter:x}")
            waiter = self._get("shm_waiter", waiter, "next")

    def _ring(self, main: int, label: str) -> Iterator[Word]:
        slots = main + self._get("shm_ring", main, "slots_offset")
        for number in range(self._get("shm_ring", main, "slot_count")):
            yield from self._struct("shm_slot", slots + number * size_of("shm_slot"), f"{label}#{number}")
        port = self._get("shm_ring", main, "ports")
        for number in itertools.count():
            if not port:
                return
            yield from self._struct("shm_port", port, f"{label}#{number}")
            port = self._get("shm_port", port, "next")

    def _log_shards(self, main: int, label: str) -> Iterator[Word]:
        segment = self._get("shm_log_main", main, "segment_size")
        for number in range(self._get("shm_log_main", main, "shards")):
            shard = main + size_of("shm_log_main") + number * size_of("shm_log_shard")
            yield from self._struct("shm_log_shard", shard, f"{label}#{number}")
            slots, tail = self._get("shm_log_shard", shard, "slots"), self._get("shm_log_shard", shard, "tail")
            if not slots:
                continue
            for row in range(2 * segment):
                is_plain = (tail - 1 - row) % (2 * segment) >= RECORDS_EACH
                record = slots + row * size_of("shm_record")
                yield from self._struct("shm_record", record, f"{label}#{number}#{row}", is_plain=is_plain)
            buckets = slots + 2 * segment * size_of("shm_record")
            for row in range(2 * segment):
                yield Word(buckets + row * 8, 8, f"bucket{label}#{number}#{row}", row >= RECORDS_EACH)

    def _store_shards(self, main: int, label: str) -> Iterator[Word]:
        for number in range(self._get("shm_store_main", main, "shards")):
            shard = main + size_of("shm_store_main") + number * size_of("shm_store_shard")
            here = f"{label}#{number}"
            yield from self._struct("shm_store_shard", shard, here)
            table = shard + STRUCTS["shm_store_shard"]["table"]["offset"]
            if buckets := self._get("shm_shard", table, "buckets"):
                yield from self._chains(buckets, here)
            item, seen = self._get("shm_shard", table, "first"), [0, 0]
            while item:
                has_block = bool(self._get("shm_item", item, "block"))
                seen[has_block] += 1
                is_plain = seen[has_block] > ENTRIES
                yield from self._struct("shm_item", item, f"{here}#{item:x}", is_plain=is_plain)
                order = -(-(item + size_of("shm_item") + self._get("shm_key", item, "length")) // 8) * 8
                yield Word(order, 8, f"order{here}#{item:x}", is_plain)
                item = self._get("shm_key", item, "next")
            yield from self._events(shard, here)
            claim = self._get("shm_store_shard", shard, "claims")
            while claim:
                yield from self._struct("shm_claim", claim, f"{here}#{claim:x}")
                claim = self._get("shm_claim", claim, "next")

    def _events(self, shard: int, label: str) -> Iterator[Word]:
        feed, tail = self._get("shm_store_shard", shard, "feed"), self._get("shm_store_shard", shard, "tail")
        for row in range(self._get("shm_store_shard", shard, "feed_count") if feed else 0):
            slot = feed + row * size_of("shm_feed")
            is_plain = (tail - 1 - row) % self._get("shm_store_shard", shard, "feed_count") >= FEED_EACH
            yield from self._struct("shm_feed", slot, f"{label}#{row}", is_plain=is_plain)
            item = self._get("shm_feed", slot, "block")
            if item and self._get("shm_feed", slot, "op") == C["SHM_FEED_DEL"]:
                yield from self._struct("shm_item", item, f"{label}#{row}.removed", is_plain=is_plain)
