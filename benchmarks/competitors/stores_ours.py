"""Stores of shmspace: as a mapping (`store[key]`) and by the calls that tell all about an entry (`get`, `set`).

Codec "raw" (bytes in, bytes out), "auto" for counters; all else as it is by default.
"""

from __future__ import annotations

import importlib
import importlib.util
import itertools
import os
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.competitors.adapter import distribution_version
from benchmarks.competitors.store_kind import Access, Change, KeyStore, StoreKind, StoreSpec

_numbers = itertools.count()
_SMALLEST_BYTES = 64 << 20
_BYTES_PER_KEY = 512


class _ShmspaceStore(KeyStore):
    def __init__(self, spec: StoreSpec, entries: bool) -> None:
        self._name = f"bench-{os.getpid()}-k{next(_numbers)}"
        self._size = max(_SMALLEST_BYTES, spec.keys * (_BYTES_PER_KEY + spec.size))
        self._codec = "auto" if spec.counters else "raw"
        self._entries = entries
        self._space().close()

    def _space(self) -> Any:
        return importlib.import_module("shmspace").open(self._name, size=self._size)

    def open(self) -> Access:
        space = self._space()
        store = space.store(codec=self._codec)

        def fill(items: Sequence[tuple[Any, bytes]]) -> None:
            put = store.__setitem__
            for key, value in items:
                put(key, value)

        def get(key: str) -> bytes:
            value: bytes = find(key).value
            return value

        def values_under(prefix: str) -> list[bytes]:
            return [entry.value for entry in store.list(f"{prefix}/*")]

        find = store.get
        return Access(
            get=get if self._entries else store.__getitem__,
            set=store.set if self._entries else store.__setitem__,
            fill=fill,
            close=space.close,
            incr=store.incr,
            number=store.__getitem__,
            values_under=values_under,
            watch=lambda prefix: _watcher(store.watch(f"{prefix}/*")),
            used_bytes=lambda: int(space.stat().used),
        )

    def close(self) -> None:
        importlib.import_module("shmspace").destroy(self._name, missing_ok=True)


def _watcher(watch: Any) -> Callable[[], Change]:
    lagged = importlib.import_module("shmspace").Lagged
    following = watch.next

    def change() -> Change:
        try:
            event = following()
        except lagged as error:
            return "", b"", error.lost
        return event.key, event.entry.value, 0

    return change


class ShmspaceStore(StoreKind):
    """`store[key]` and `store[key] = value`."""

    name = "shmspace.Store"
    entries = False

    def version(self) -> str | None:
        return distribution_version("shmspace") if importlib.util.find_spec("shmspace") else None

    def create(self, spec: StoreSpec) -> KeyStore:
        return _ShmspaceStore(spec, self.entries)


class ShmspaceEntries(ShmspaceStore):
    """`get(key).value`, and `set(key, value)`, which gives the new version."""

    name = "shmspace.Store, entries"
    entries = True
