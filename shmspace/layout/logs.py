"""The numbers of logs and sharded logs, read from the heads of their shards."""

from __future__ import annotations

from .directory import Found
from .header import corrupted
from .region import Region
from .tables import struct_bytes
from .values import main_record

_SHARDS_MOST = 4096


def log_stat(region: Region, found: Found) -> dict[str, int]:
    """Give the numbers of `LogStat`, by name; those of all shards together, offsets of the longest."""
    main = main_record(region, found, "shm_log_main")
    start, segment = main.word("start_offset"), main.word("segment_size")
    if not 1 <= main.word("shards") <= _SHARDS_MOST or segment == 0:
        what = f"{found.label} has {main.word('shards')} shards of {segment} records"
        raise corrupted(region.path, what, main.offset)
    place, size = main.offset + struct_bytes("shm_log_main"), struct_bytes("shm_log_shard")
    first = tail = segments = records = nbytes = 0
    for number in range(main.word("shards")):
        shard = region.record("shm_log_shard", place + number * size, found.label)
        end = shard.word("tail")
        begin = min(shard.word("first"), end)
        segments += (end - 1) // segment - begin // segment + 1 if end > begin else 1
        records += sum(shard.words("records"))
        nbytes += sum(shard.words("bytes"))
        if end >= tail:
            first, tail = begin, end
    return {
        "segments": segments,
        "records": records,
        "nbytes": nbytes,
        "first": start + first,
        "next_offset": start + tail,
        "durable_offset": start,
    }
