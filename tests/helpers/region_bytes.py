"""Region files built byte by byte from `layout.json`: what readers are tried on, right or wrong on purpose.

It shares no code with the package: its checksum is computed bit by bit, its places are its own.
"""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from tests.helpers.tree import ROOT

TABLES: dict[str, Any] = json.loads((ROOT / "shmspace" / "layout.json").read_text("utf-8"))
C: dict[str, int] = {name: body["value"] for name, body in TABLES["constants"].items()}
STRUCTS: dict[str, dict[str, dict[str, Any]]] = {
    name: {field["name"]: field for field in body["fields"]} for name, body in TABLES["structs"].items()
}
CODES = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q"}
LAYOUT_TEXT, MEMBERS, DIRECTORY, CLASSES, POOL, PAGE_WORDS, PAGES = range(1, 8)


def size_of(name: str) -> int:
    return int(TABLES["structs"][name]["size_bytes"])


def compact_layout() -> bytes:
    """The text that a region carries: the tables without meanings."""
    constants = {name: {"value": value} for name, value in C.items()}
    structs = {
        name: {
            "size_bytes": body["size_bytes"],
            "fields": [{key: value for key, value in f.items() if key != "meaning"} for f in body["fields"]],
        }
        for name, body in TABLES["structs"].items()
    }
    text = json.dumps({"constants": constants, "structs": structs}, sort_keys=True, separators=(",", ":"))
    return text.encode()


def crc32c_by_bits(data: bytes | bytearray) -> int:
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def fnv1a(data: bytes) -> int:
    value = 2166136261
    for byte in data:
        value = ((value ^ byte) * 16777619) % 2**32
    return value


def round_up(value: int, unit: int) -> int:
    return -(-value // unit) * unit


class RegionBytes:
    """A healthy, empty region; methods put things into it, `put` anything anywhere."""

    def __init__(self, size: int = 1 << 20, members: int = 4, layout_text: bytes | None = None) -> None:
        self.data = bytearray(size)
        self.section: dict[int, int] = {}
        self._sections: list[dict[str, Any]] = []
        self._next_id = 1
        self._end = C["SHM_HEADER_BYTES"]
        text = compact_layout() if layout_text is None else layout_text
        self._plan(LAYOUT_TEXT, 128, 1, len(text))
        self._plan(MEMBERS, 128, size_of("shm_member"), members)
        self._plan(DIRECTORY, 128, size_of("shm_directory"), 1)
        self._plan(CLASSES, 128, size_of("shm_class"), C["SHM_CLASSES"])
        self._plan(POOL, 128, size_of("shm_pool"), 1)
        page = C["SHM_PAGE_BYTES"]
        pages = (size - round_up(self._end, page) - page) // (page + 8)
        self._plan(PAGE_WORDS, page, 8, pages)
        self._plan(PAGES, page, page, pages)
        self.data[self.section[LAYOUT_TEXT] : self.section[LAYOUT_TEXT] + len(text)] = text
        self.committed = size
        self._end = self.section[PAGES] + C["SHM_SPAN_PAD_BYTES"]
        self._write_header(size, members)
        self.seal()

    def _plan(self, kind: int, alignment: int, item_size: int, count: int) -> None:
        offset = round_up(self._end, alignment)
        self._end = offset + item_size * count
        self.section[kind] = offset
        section = {"kind": kind, "version": 1, "offset": offset, "length": item_size * count}
        self._sections.append({**section, "item_size": item_size, "count": count})

    def _write_header(self, size: int, members: int) -> None:
        table = size_of("shm_header")
        self.put("shm_header", 0, magic=C["SHM_MAGIC"], ready=C["SHM_READY"], header_size=C["SHM_HEADER_BYTES"])
        self.put("shm_header", 0, compat=C["SHM_COMPAT"], incompat=C["SHM_INCOMPAT"], size_bytes=size)
        self.put("shm_header", 0, created_ns=12345, member_count=members, section_count=len(self._sections))
        self.put("shm_header", 0, section_offset=table, committed_bytes=size, life=C["SHM_LIFE_LIVE"])
        self.put("shm_header", 0, boot_id=boot_id(), recoveries=3)
        for index, section in enumerate(self._sections):
            self.put("shm_section", table + index * size_of("shm_section"), **section)

    def section_row(self, kind: int) -> int:
        """Where the row of a section is in the section table."""
        return size_of("shm_header") + (kind - 1) * size_of("shm_section")

    def put(self, name: str, offset: int, /, **fields: int | bytes) -> None:
        """Write fields of a struct; bytes are padded with zeros, an int goes into the first element."""
        for field, value in fields.items():
            found = STRUCTS[name][field]
            place = offset + found["offset"]
            if isinstance(value, bytes):
                self.data[place : place + found["size_bytes"]] = value.ljust(found["size_bytes"], b"\0")
            else:
                struct.pack_into("<" + CODES[found["type"]], self.data, place, value)

    def get(self, name: str, offset: int, field: str) -> int:
        found = STRUCTS[name][field]
        value: int = struct.unpack_from("<" + CODES[found["type"]], self.data, offset + found["offset"])[0]
        return value

    def seal(self) -> None:
        """Make both checksums right again."""
        start = self.get("shm_header", 0, "section_offset")
        end = start + self.get("shm_header", 0, "section_count") * size_of("shm_section")
        self.put("shm_header", 0, sections_crc=crc32c_by_bits(self.data[start:end]))
        covered = bytearray(self.data[: STRUCTS["shm_header"]["header_crc"]["offset"]])
        ready = STRUCTS["shm_header"]["ready"]["offset"]
        covered[ready : ready + 4] = bytes(4)
        self.put("shm_header", 0, header_crc=crc32c_by_bits(covered))

    def write(self, directory: Path, name: str) -> Path:
        path = directory / f"shmspace.{name}"
        path.write_bytes(self.data)
        return path

    # ---- what lies in the pages

    def add_block(self, size: int, structure_id: int) -> int:
        """A block that a structure links; where its payload is."""
        header = self._end
        self._end = round_up(header + C["SHM_BLOCK_HEADER_BYTES"] + size, 16)
        assert self._end <= len(self.data)
        word = C["SHM_BLOCK_LINKED"] << 60 | 1 << 32 | structure_id
        self.put("shm_block", header, word=word)
        return header + C["SHM_BLOCK_HEADER_BYTES"]

    def add_entry(self, kind: int, name: bytes, size: int) -> int:
        """A structure with a main block of that size; where its entry is. The entry becomes first of its chain."""
        structure_id, self._next_id = self._next_id, self._next_id + 1
        main = self.add_block(size, structure_id)
        entry = self.add_block(size_of("shm_entry"), structure_id)
        bucket = self.bucket(name)
        first = struct.unpack_from("<Q", self.data, bucket)[0]
        self.put("shm_entry", entry, next=first, main=main, main_gen=1, life=C["SHM_LIFE_LIVE"], kind=kind)
        self.put("shm_entry", entry, id=structure_id, hash=fnv1a(name), name_length=len(name), name=name)
        struct.pack_into("<Q", self.data, bucket, entry)
        return entry

    def bucket(self, name: bytes) -> int:
        """Where the word of a name's chain is."""
        first = self.section[DIRECTORY] + int(STRUCTS["shm_directory"]["bucket"]["offset"])
        return first + fnv1a(name) % C["SHM_BUCKETS"] * 8

    def add_channel(self, name: bytes, slots: int = 4, **fields: int | bytes) -> tuple[int, int]:
        """An empty channel; where its entry and its ring are."""
        entry = self.add_entry(C["SHM_KIND_CHANNEL"], name, size_of("shm_ring") + slots * size_of("shm_slot"))
        ring = self.get("shm_entry", entry, "main")
        self.put("shm_ring", ring, life=C["SHM_LIFE_LIVE"], id=self.get("shm_entry", entry, "id"))
        self.put("shm_ring", ring, capacity=slots, slot_count=slots, slots_offset=size_of("shm_ring"))
        self.put("shm_ring", ring, **{"max_message_bytes": 1 << 20, **fields})
        return entry, ring

    def slot(self, ring: int, number: int) -> int:
        """Where the slot of a message number is."""
        index = number % self.get("shm_ring", ring, "slot_count")
        return ring + self.get("shm_ring", ring, "slots_offset") + index * size_of("shm_slot")

    def send(self, ring: int, data: bytes) -> None:
        """One more message, inline if it fits, else with its length only."""
        number = self.get("shm_ring", ring, "tail")
        inline = data[: C["SHM_INLINE_BYTES"]]
        self.put("shm_slot", self.slot(ring, number), seq=number + 1, length_bytes=len(data), data=inline)
        self.put("shm_ring", ring, tail=number + 1)

    def add_port(self, ring: int, role: int, cursor: int = 0) -> int:
        """An open reader or writer; where it is. It becomes first of the chain."""
        port = self.add_block(size_of("shm_port"), self.get("shm_ring", ring, "id"))
        first = self.get("shm_ring", ring, "ports")
        self.put("shm_port", port, next=first, role=role, owner=1 << 12, cursor=cursor)
        self.put("shm_ring", ring, ports=port)
        return port

    def add_queue(self, name: bytes, values: tuple[bytes, ...] = (), cells: int = 4, **fields: int | bytes) -> int:
        """A queue with these values, inline; where its main block is."""
        segment = size_of("shm_segment") + cells * size_of("shm_cell")
        first = size_of("shm_queue_main") + 2 * size_of("shm_lane")
        entry = self.add_entry(C["SHM_KIND_QUEUE"], name, first + 2 * segment)
        main = self.get("shm_entry", entry, "main")
        given = {"life": C["SHM_LIFE_LIVE"], "id": self.get("shm_entry", entry, "id"), **fields}
        self.put("shm_queue_main", main, **given)
        for lane, content in enumerate((values, ())):
            place = main + size_of("shm_queue_main") + lane * size_of("shm_lane")
            self._add_fifo("shm_lane", place, main + first + lane * segment, cells, content)
        return main

    def add_tuples(
        self, name: bytes, key: bytes = b"key", values: tuple[bytes, ...] = (), **fields: int | bytes
    ) -> int:
        """A tuple space of two shards with one key; where its main block is. Its entry is the next block."""
        entry = self.add_entry(C["SHM_KIND_TUPLES"], name, size_of("shm_tuples_main") + 2 * size_of("shm_shard"))
        main, structure = self.get("shm_entry", entry, "main"), self.get("shm_entry", entry, "id")
        given = {"life": C["SHM_LIFE_LIVE"], "id": structure, "shards": 2, **fields}
        self.put("shm_tuples_main", main, **given)
        cells = 4
        fixed = size_of("shm_tuple") + size_of("shm_segment") + cells * size_of("shm_cell")
        tuple_ = self.add_block(fixed + len(key), structure)
        self.put("shm_key", tuple_, hash=fnv1a(key), length=len(key))
        self.data[tuple_ + fixed : tuple_ + fixed + len(key)] = key
        self._add_fifo("shm_tuple", tuple_, tuple_ + size_of("shm_tuple"), cells, values)
        self.put("shm_shard", main + size_of("shm_tuples_main"), first=tuple_, last=tuple_, keys=1)
        return main

    def add_log(
        self,
        name: bytes,
        records: tuple[bytes, ...] = (),
        segment: int = 4,
        kind: int = C["SHM_KIND_LOG"],
        **fields: int | bytes,
    ) -> int:
        """A log with these records, inline; where its main block is. Its shard and its slots follow."""
        head = size_of("shm_log_main") + size_of("shm_log_shard")
        entry = self.add_entry(kind, name, head + 2 * segment * size_of("shm_record"))
        main, structure = self.get("shm_entry", entry, "main"), self.get("shm_entry", entry, "id")
        given = {"life": C["SHM_LIFE_LIVE"], "id": structure, "shards": 1, "segment_size": segment, **fields}
        self.put("shm_log_main", main, **given)
        nbytes = sum(C["SHM_RECORD_INLINE"] + len(data) for data in records)
        shard = main + size_of("shm_log_main")
        self.put("shm_log_shard", shard, slots=main + head, tail=len(records))
        for field, value in (("records", len(records)), ("bytes", nbytes)):
            struct.pack_into("<2Q", self.data, shard + int(STRUCTS["shm_log_shard"][field]["offset"]), value, 0)
        for index, data in enumerate(records):
            slot = main + head + index * size_of("shm_record")
            self.put("shm_record", slot, word=2 * (index + 1), data_bytes=len(data), flags=2, data=data)
        return main

    def add_store(self, name: bytes, values: tuple[bytes, ...] = (), watches: int = 0, **fields: int | bytes) -> int:
        """A store of one shard with these values, under keys of one letter; where its main block is.

        Its shard follows, whose list of keys begins with the last one. An event of it, and a claim for each watch, too.
        """
        head = size_of("shm_store_main") + size_of("shm_store_shard")
        entry = self.add_entry(C["SHM_KIND_STORE"], name, head)
        main, structure = self.get("shm_entry", entry, "main"), self.get("shm_entry", entry, "id")
        given = {"life": C["SHM_LIFE_LIVE"], "id": structure, "shards": 1, "feed": 1, **fields}
        self.put("shm_store_main", main, **given)
        shard, first, claims = main + size_of("shm_store_main"), 0, 0
        for index, data in enumerate(values):
            item = self.add_block(size_of("shm_item") + 16 + len(data), structure)
            self.put("shm_key", item, next=first, length=1)
            self.put("shm_item", item, version=index + 1, length_bytes=len(data))
            first = item
        for _ in range(watches):
            claim = self.add_block(size_of("shm_claim"), structure)
            self.put("shm_claim", claim, next=claims, owner=1, kind=C["SHM_CLAIM_WATCH"])
            claims = claim
        feed = self.add_block(size_of("shm_feed"), structure)
        nbytes = sum(map(len, values))
        self.put("shm_store_shard", shard, claims=claims, feed=feed, tail=len(values), size_bytes=nbytes)
        table = shard + int(STRUCTS["shm_store_shard"]["table"]["offset"])
        self.put("shm_shard", table, first=first, keys=len(values))
        return main

    def _add_fifo(self, owner: str, place: int, segment: int, cells: int, values: tuple[bytes, ...]) -> None:
        self.put("shm_segment", segment, cells=cells)
        for index in range(cells):
            cell = segment + size_of("shm_segment") + index * size_of("shm_cell")
            state = C["SHM_VALUE_READY"] if index < len(values) else C["SHM_VALUE_FREE"]
            self.put("shm_cell", cell, word=index << 32 | state << 30)
            if index < len(values):
                self.put("shm_cell", cell, length_bytes=len(values[index]), data=values[index])
        sides = {"in": (len(values), segment, 0), "out": (0, 0, segment, segment)}
        for side, words in sides.items():
            struct.pack_into(f"<{len(words)}Q", self.data, place + int(STRUCTS[owner][side]["offset"]), *words)

    def add_member(self, slot: int, state: int, pid: int = 4711) -> int:
        row = self.section[MEMBERS] + slot * size_of("shm_member")
        self.put("shm_member", row, word=state << 30 | 1 << 12 | slot, pid=pid, command=b"worker")
        return row


def boot_id() -> bytes:
    return bytes.fromhex(Path("/proc/sys/kernel/random/boot_id").read_text().strip().replace("-", ""))


def overwrite(path: Path, place: int, data: bytes) -> None:
    """Change bytes of a region file, as another process may at any time."""
    with path.open("r+b") as file:
        file.seek(place)
        file.write(data)
