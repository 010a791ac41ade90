"""A channel's numbers, read from its ring, its ports and its slots without a lock.

The tail is read before the cursors and the head, which follow it: so what looks like waiting never
is more than there was at one time.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ..errors import Corrupted
from .directory import Found
from .header import corrupted
from .region import Region
from .tables import Record, constant, field_offset, struct_bytes

_SLOTS_AT_ONCE = 512
_PORT_TRIES = 100  # ports come and go under a walk; the damage of a hundred walks is damage


class _Ports(NamedTuple):
    readers: int
    writers: int
    slowest: int | None
    """The smallest cursor of a reader; None without readers."""
    received: int
    """Messages that the readers took, where each sees all."""


def channel_stat(region: Region, found: Found) -> dict[str, int]:
    """Give the numbers of `ChannelStat`, by name."""
    tail = read_ring(region, found).word("tail")
    ports = _read_ports(region, found)
    ring = read_ring(region, found)  # again: head and floor as they are after tail was read
    if ring.word("delivery") == constant("SHM_DELIVERY_ONE"):
        first = ring.word("head")
        received = first - ring.word("dropped") - ring.word("discarded")
    else:
        slowest = tail if ports.slowest is None else ports.slowest
        first = max(ring.word("floor"), ring.word("discarded"), slowest)
        received = ring.word("received_all") + ports.received
    waiting = min(max(0, tail - first), ring.word("capacity"))
    return {
        "waiting": waiting,
        "capacity": ring.word("capacity"),
        "nbytes": _payload_bytes(region, ring, tail - waiting, tail, found),
        "sent": tail,
        "received": max(0, received),
        "dropped": ring.word("dropped"),
        "readers": ports.readers,
        "writers": ports.writers,
    }


def read_ring(region: Region, found: Found) -> Record:
    """Copy out the ring of a channel; `Corrupted` if it is not that channel's, or its slots cannot be."""
    block = region.block("shm_ring", found.entry.word("main"), found.label)
    ring, entry = block.record, found.entry
    if block.generation != entry.word("main_gen") or ring.word("id") != entry.word("id"):
        raise corrupted(region.path, f"{found.label} is not where its entry says", ring.offset)
    slots, capacity = ring.word("slot_count"), ring.word("capacity")
    if slots & (slots - 1) or not 1 <= capacity <= slots:
        raise corrupted(region.path, f"{found.label} has {slots} slots for {capacity} messages", ring.offset)
    start, length = ring.word("slots_offset"), slots * struct_bytes("shm_slot")
    if start < struct_bytes("shm_ring") or ring.offset + start + length > region.committed_bytes():
        raise corrupted(region.path, f"the slots of {found.label} lie outside the pages", ring.offset)
    if ring.word("delivery") not in (constant("SHM_DELIVERY_ONE"), constant("SHM_DELIVERY_ALL")):
        raise corrupted(region.path, f"{found.label} has an unknown delivery", ring.offset)
    return ring


def _read_ports(region: Region, found: Found) -> _Ports:
    for left in reversed(range(_PORT_TRIES)):
        try:
            ports = _walk_ports(region, found)
            break
        except Corrupted:
            if left == 0:
                raise
    return ports


def _walk_ports(region: Region, found: Found) -> _Ports:
    what = f"a port of {found.label}"
    counts = {constant("SHM_PORT_READER"): 0, constant("SHM_PORT_WRITER"): 0, constant("SHM_PORT_PINS"): 0}
    cursors: list[int] = []
    received = 0
    seen: set[int] = set()
    offset = read_ring(region, found).word("ports")
    while offset:
        if offset in seen:
            raise corrupted(region.path, f"a cycle in the ports of {found.label}", offset)
        seen.add(offset)
        block = region.block("shm_port", offset, what)
        port, marked = block.record, block.record.word("role")
        marks = constant("SHM_PORT_LEFT") | constant("SHM_PORT_GONE")
        role = marked & ~marks
        if role not in counts:
            raise corrupted(region.path, f"{what} has the role {marked}", offset)
        if block.is_linked and block.owner != found.entry.word("id"):
            raise corrupted(region.path, f"{what} is in the block of another structure", offset)
        counts[role] += 1
        if marked == constant("SHM_PORT_READER"):
            cursors.append(port.word("cursor"))
        if role == constant("SHM_PORT_READER"):
            received += port.word("received")
        offset = port.word("next")
    readers, writers, _ = counts.values()
    return _Ports(readers, writers, min(cursors, default=None), received)


def _payload_bytes(region: Region, ring: Record, first: int, end: int, found: Found) -> int:
    """Payload bytes of the messages [first, end) that are still there.

    A slot counts if it held that message before and after its length was read. Many slots in a row
    without theirs end the walk: the numbers of a damaged ring may be as large as they like.
    """
    size, slots = struct_bytes("shm_slot"), ring.word("slot_count")
    start, total = ring.offset + ring.word("slots_offset"), 0
    while first < end:
        index = first & (slots - 1)
        count = min(end - first, slots - index, _SLOTS_AT_ONCE)
        place = start + index * size
        seqs, lengths = _seqs_and_lengths(region.read(place, count * size, found.label))
        again, _ = _seqs_and_lengths(region.read(place, count * size, found.label))
        kept = [lengths[i] for i in range(count) if seqs[i] == again[i] == first + i + 1]
        if not kept and count == _SLOTS_AT_ONCE:
            break
        total += sum(min(length, ring.word("max_message_bytes")) for length in kept)
        first += count
    return total


def _seqs_and_lengths(slots: bytes) -> tuple[tuple[int, ...], tuple[int, ...]]:
    words = struct.unpack(f"<{len(slots) // 8}Q", slots)
    step = struct_bytes("shm_slot") // 8
    seq, length = (field_offset("shm_slot", field) // 8 for field in ("seq", "length_bytes"))
    return words[seq::step], words[length::step]
