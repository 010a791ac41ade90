"""The numbers of stores, read from the heads of their shards without a lock."""

from __future__ import annotations

from .directory import Found
from .header import corrupted
from .region import Region
from .tables import constant, field_offset, struct_bytes
from .values import main_record

_SHARDS_MOST = 65536
_CLAIMS_MOST = 1 << 20


def store_stat(region: Region, found: Found) -> dict[str, int]:
    """Give the numbers of `StoreStat`, by name; of `shards` how many there are.

    Keys that have expired count until somebody uses the store.
    """
    main = main_record(region, found, "shm_store_main")
    shards = main.word("shards")
    if not 1 <= shards <= _SHARDS_MOST:
        raise corrupted(region.path, f"{found.label} has {shards} shards", main.offset)
    place, size = main.offset + struct_bytes("shm_store_main"), struct_bytes("shm_store_shard")
    keys = nbytes = events = watchers = 0
    for number in range(shards):
        at = place + number * size
        shard = region.record("shm_store_shard", at, found.label)
        table = region.record("shm_shard", at + field_offset("shm_store_shard", "table"), found.label)
        keys += table.word("keys")
        nbytes += shard.word("size_bytes")
        events += shard.word("tail")
        if number == 0:
            watchers = _watches(region, shard.word("claims"), found)
    return {"keys": keys, "nbytes": nbytes, "shards": shards, "events": events, "watchers": watchers}


def _watches(region: Region, at: int, found: Found) -> int:
    """How many watches there are among the locks and watches from there on; what changes meanwhile may be missed."""
    count, seen = 0, set[int]()
    while at and len(seen) < _CLAIMS_MOST:
        if at in seen:
            raise corrupted(region.path, f"a cycle in the locks and watches of {found.label}", at)
        seen.add(at)
        claim = region.record("shm_claim", at, f"a lock or watch of {found.label}")
        count += claim.word("kind") == constant("SHM_CLAIM_WATCH") and claim.word("owner") != 0
        at = claim.word("next")
    return count
