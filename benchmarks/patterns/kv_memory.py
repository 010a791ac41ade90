"""kv_memory: the memory that 1,000,000 keys with 64-byte values take up.

For shmspace it is what `space.stat().used` says; for LMDB and diskcache their files, for Redis what it says itself, for
the others the memory of the process that holds them, less that of an empty one. Those that are slow to fill get fewer
keys when all is measured quickly; the figure is then what as many as a million would take.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.store_kind import StoreKind, StoreSpec
from benchmarks.competitors.stores import LIBRARIES
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.crew import Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.kv_list import pairs_of
from benchmarks.patterns.kv_mixed import fill_in_worker, made
from benchmarks.patterns.pattern import Case, Contestant, Pattern, join_notes
from benchmarks.scale import Scale

_MILLION = 1_000_000
_GRACE_SECONDS = 240.0


def _measure(kind: StoreKind, case: Case, scale: Scale) -> Run:
    keys = _MILLION if kind.name == ShmspaceStore.name else scale.store_keys
    with made(kind, StoreSpec(keys)) as store:
        (used_bytes,) = run_jobs([Job(fill_in_worker, (store, partial(pairs_of, keys)))], _GRACE_SECONDS)
        if used_bytes <= 0:
            raise Failed(f"{keys} keys seem to take {used_bytes} bytes")
        note = join_notes(store.note, "" if keys == _MILLION else f"measured with {keys} keys")
        return Run({"used": used_bytes * _MILLION / keys / (1 << 20)}, {"keys": keys, "used_bytes": used_bytes}, note)


class KeyMemory(Pattern):
    """What keys and values take."""

    name = "kv_memory"
    title = "Memory for keys and values"
    cases = (Case("1M", "1,000,000 keys with 64 B values", "used", "MiB", False, ours=ShmspaceStore.name),)

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), partial(_measure, kind)) for kind in LIBRARIES]

    def repeats(self, scale: Scale) -> int:
        return 1  # it does not depend on what else the machine does
