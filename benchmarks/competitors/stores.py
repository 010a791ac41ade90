"""Stores: all that take part in the patterns of stores, in the order in which they are shown."""

from __future__ import annotations

from benchmarks.competitors.store_kind import StoreKind
from benchmarks.competitors.stores_embedded import DiskcacheStore, LmdbStore, UltraDictStore
from benchmarks.competitors.stores_ours import ShmspaceEntries, ShmspaceStore
from benchmarks.competitors.stores_served import ManagerDict, MultiprocessingValue, RedisKeys

LIBRARIES: tuple[StoreKind, ...] = (
    ShmspaceStore(),
    LmdbStore(),
    UltraDictStore(),
    ManagerDict(),
    RedisKeys(),
    DiskcacheStore(),
)
"""Each once."""

STORE_KINDS: tuple[StoreKind, ...] = (LIBRARIES[0], ShmspaceEntries(), *LIBRARIES[1:])
"""With all ways to read and write."""

COUNTER_KINDS: tuple[StoreKind, ...] = (*LIBRARIES, MultiprocessingValue())
"""With what can only count."""
