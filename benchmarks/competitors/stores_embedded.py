"""Stores that need no server: LMDB, UltraDict and diskcache, all in /dev/shm, none of them made durable.

Each is used as its documentation recommends for speed. LMDB commits a transaction for every change. UltraDict shares
its lock between processes where several write, as its documentation demands, and keeps to one process's where not.
"""

from __future__ import annotations

import functools
import gc
import importlib
import itertools
import os
import shutil
import tempfile
from collections.abc import Sequence
from typing import Any

from benchmarks.competitors.adapter import distribution_version
from benchmarks.competitors.store_kind import Access, KeyStore, StoreKind, StoreSpec

_numbers = itertools.count()
_NO_WATCHING = "it has no watching, one can only ask again and again"
_NUMBER_BYTES = 8


class _LmdbStore(KeyStore):
    def __init__(self, spec: StoreSpec) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-lmdb-", dir="/dev/shm")
        self._map_bytes = (256 << 20) + spec.keys * (spec.size + 512)

    def open(self) -> Access:
        lmdb: Any = importlib.import_module("lmdb")
        environment = lmdb.open(
            self._directory, map_size=self._map_bytes, sync=False, metasync=False, writemap=True, map_async=True,
            readahead=False,
        )  # fmt: skip
        begin = environment.begin

        def get(key: bytes) -> bytes:
            with begin() as look:
                value: bytes = look.get(key)
                return value

        def put(key: bytes, value: bytes) -> None:
            with begin(write=True) as change:
                change.put(key, value)

        def fill(items: Sequence[tuple[Any, bytes]]) -> None:
            with begin(write=True) as change, change.cursor() as cursor:
                cursor.putmulti(items)

        def incr(key: bytes) -> int:
            with begin(write=True) as change:
                number = int.from_bytes(change.get(key, b""), "little") + 1
                change.put(key, number.to_bytes(_NUMBER_BYTES, "little"))
                return number

        def values_under(prefix: str) -> list[bytes]:
            first = prefix.encode() + b"/"
            with begin() as look, look.cursor() as cursor:
                if not cursor.set_range(first):
                    return []
                return [value for _, value in itertools.takewhile(lambda pair: pair[0].startswith(first), cursor)]

        def used_bytes() -> int:
            return int((environment.info()["last_pgno"] + 1) * environment.stat()["psize"])

        return Access(
            get, put, fill, environment.close, str.encode, incr,
            lambda key: int.from_bytes(get(key), "little"), values_under, used_bytes=used_bytes,
        )  # fmt: skip

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class LmdbStore(StoreKind):
    """https://lmdb.readthedocs.io: a transaction for each call, `writemap`, no sync."""

    name = "LMDB"
    limits = {"watch": _NO_WATCHING}

    def version(self) -> str | None:
        return distribution_version("lmdb")

    def create(self, spec: StoreSpec) -> KeyStore:
        return _LmdbStore(spec)


class _UltraStore(KeyStore):
    note = "every process keeps a copy"

    def __init__(self, spec: StoreSpec) -> None:
        self._name = f"bench{os.getpid()}u{next(_numbers)}"
        self._shared_lock = spec.processes > 1
        everything_bytes = spec.keys * (spec.size + 128)
        module: Any = importlib.import_module("UltraDict")
        # Changes go into a stream; when that is full, a dump of everything is written.
        self._made: Any = module.UltraDict(
            name=self._name, create=True, shared_lock=self._shared_lock, auto_unlink=True,
            buffer_size=(64 << 20) + 2 * everything_bytes, full_dump_size=(8 << 20) + 2 * everything_bytes,
        )  # fmt: skip

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_made": None}  # only the parent removes it

    def open(self) -> Access:
        before_bytes = _unshared_bytes()
        module: Any = importlib.import_module("UltraDict")
        values = module.UltraDict(name=self._name, create=False, shared_lock=self._shared_lock, auto_unlink=False)

        def incr(key: str) -> int:
            with values.lock:
                number = int(values.get(key, 0)) + 1
                values[key] = number
                return number

        def values_under(prefix: str) -> list[bytes]:
            len(values)  # takes in what others have changed; `data` is the copy of this process
            first = prefix + "/"
            return [value for key, value in values.data.items() if key.startswith(first)]

        return Access(
            values.__getitem__, values.__setitem__, values.update, values.close, str, incr,
            values.__getitem__, values_under, used_bytes=lambda: _unshared_bytes() - before_bytes,
        )  # fmt: skip

    def close(self) -> None:
        self._made.close(unlink=True)


def _unshared_bytes() -> int:
    """Memory that only this process has, with shared memory that nobody else has mapped."""
    psutil: Any = importlib.import_module("psutil")
    gc.collect()
    return int(psutil.Process().memory_full_info().uss)


class UltraDictStore(StoreKind):
    """https://github.com/ronny-rentner/UltraDict: a dict in each process, changes pass through shared memory."""

    name = "UltraDict"
    limits = {"watch": _NO_WATCHING}

    def version(self) -> str | None:
        # The lock between processes is made of atomics.
        return distribution_version("UltraDict") if distribution_version("atomics") else None

    def create(self, spec: StoreSpec) -> KeyStore:
        return _UltraStore(spec)


class _DiskcacheStore(KeyStore):
    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-diskcache-", dir="/dev/shm")
        self._open().close()

    def _open(self) -> Any:
        module: Any = importlib.import_module("diskcache")
        return module.Cache(
            self._directory, eviction_policy="none", cull_limit=0, statistics=0, sqlite_synchronous=0,
            sqlite_mmap_size=1 << 30, size_limit=1 << 34,
        )  # fmt: skip

    def open(self) -> Access:
        cache = self._open()

        def fill(items: Sequence[tuple[Any, bytes]]) -> None:
            with cache.transact(retry=True):
                for key, value in items:
                    cache.set(key, value)

        return Access(
            cache.__getitem__,
            functools.partial(cache.set, retry=True),
            fill,
            cache.close,
            incr=functools.partial(cache.incr, retry=True),
            number=cache.__getitem__,
            used_bytes=cache.volume,
        )

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class DiskcacheStore(StoreKind):
    """https://grantjenks.com/docs/diskcache: SQLite, memory-mapped, `synchronous=off`, nothing evicted."""

    name = "diskcache"
    limits = {"watch": _NO_WATCHING, "list": "it lists no keys by prefix"}

    def version(self) -> str | None:
        return distribution_version("diskcache")

    def create(self, spec: StoreSpec) -> KeyStore:
        return _DiskcacheStore()
