"""Logs: append-only records that other processes read by offset, of shmspace and of what people use for it.

Nothing is made durable: LMDB and SQLite are told not to sync, Redis to keep nothing. Each is used as its documentation
recommends for speed; records are 64 bytes, offsets rise by one.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import itertools
import os
import platform
import shutil
import sqlite3
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.competitors.adapter import LinkSpec, distribution_version
from benchmarks.competitors.redis_list import RedisLink, RedisList
from benchmarks.crew import CONTEXT

_numbers = itertools.count()
_MAP_BYTES = 1 << 30


@dataclass(frozen=True)
class LogWriter:
    """How this process appends."""

    append: Callable[[bytes], object]
    append_many: Callable[[list[bytes]], object]
    close: Callable[[], object]


@dataclass(frozen=True)
class LogReader:
    """How this process reads; `stream` gives all records from the first on, and waits for those to come."""

    read: Callable[[int], bytes]
    read_many: Callable[[int, int], Sequence[bytes]]
    stream: Callable[[], Iterator[bytes]]
    close: Callable[[], object]


class LogStore(ABC):
    """A log that was made; pickled to the workers."""

    note = ""

    @abstractmethod
    def writer(self) -> LogWriter:
        """Open it for appending."""

    @abstractmethod
    def reader(self) -> LogReader:
        """Open it for reading."""

    @abstractmethod
    def close(self) -> None:
        """Remove it; in the parent."""


class LogKind(ABC):
    """A library; `create` makes a log with room for so many records."""

    name: str

    @abstractmethod
    def version(self) -> str | None:
        """What is installed, for people; None when it is not."""

    @abstractmethod
    def create(self, records: int) -> LogStore:
        """Make an empty log."""


class _ShmspaceStore(LogStore):
    def __init__(self, records: int) -> None:
        self._name = f"bench-{os.getpid()}-l{next(_numbers)}"
        self._segment = records
        self._open()[0].close()

    def _open(self) -> tuple[Any, Any]:
        size = (64 << 20) + 2 * 128 * self._segment
        space = importlib.import_module("shmspace").open(self._name, size=size)
        return space, space.log("log", segment_size=self._segment)

    def writer(self) -> LogWriter:
        space, log = self._open()
        return LogWriter(log.append, log.publish, space.close)

    def reader(self) -> LogReader:
        space, log = self._open()

        def read(offset: int) -> bytes:
            data: bytes = log.read(offset)[3]
            return data

        def read_many(offset: int, count: int) -> list[bytes]:
            return [record[3] for record in log.read_batch(offset, count)]

        def stream() -> Iterator[bytes]:
            for record in log.stream():
                yield record[3]

        return LogReader(read, read_many, stream, space.close)

    def close(self) -> None:
        importlib.import_module("shmspace").destroy(self._name, missing_ok=True)


class ShmspaceLog(LogKind):
    """`append`, `publish`, `read`, `read_batch`, `stream`."""

    name = "shmspace.Log"

    def version(self) -> str | None:
        return distribution_version("shmspace") if importlib.util.find_spec("shmspace") else None

    def create(self, records: int) -> LogStore:
        return _ShmspaceStore(records)


def _polled(read_many: Callable[[int, int], Sequence[bytes]]) -> Iterator[bytes]:
    position = 0
    while True:
        found = read_many(position, 100)
        position += len(found)
        yield from found


class _LmdbStore(LogStore):
    note = "streams poll"

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-lmdb-", dir="/dev/shm")
        self._open(False).close()

    def _open(self, readonly: bool) -> Any:
        lmdb: Any = importlib.import_module("lmdb")
        return lmdb.open(
            self._directory, map_size=_MAP_BYTES, sync=False, metasync=False, writemap=True, map_async=True,
            readonly=readonly, lock=True, readahead=False,
        )  # fmt: skip

    def writer(self) -> LogWriter:
        environment = self._open(False)
        following = itertools.count()

        def append(data: bytes) -> None:
            with environment.begin(write=True) as change:
                change.put(next(following).to_bytes(8, "big"), data, append=True)

        def append_many(batch: list[bytes]) -> None:
            with environment.begin(write=True) as change:
                for data in batch:
                    change.put(next(following).to_bytes(8, "big"), data, append=True)

        return LogWriter(append, append_many, environment.close)

    def reader(self) -> LogReader:
        environment = self._open(True)

        def read(offset: int) -> bytes:
            with environment.begin() as look:
                data: bytes = look.get(offset.to_bytes(8, "big"))
                return data

        def read_many(offset: int, count: int) -> list[bytes]:
            with environment.begin() as look, look.cursor() as cursor:
                if not cursor.set_range(offset.to_bytes(8, "big")):
                    return []
                return list(itertools.islice(cursor.iternext(keys=False), count))

        return LogReader(read, read_many, functools.partial(_polled, read_many), environment.close)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class Lmdb(LogKind):
    """Integer keys with `append=True`, a transaction for each append, no sync."""

    name = "LMDB"

    def version(self) -> str | None:
        return distribution_version("lmdb")

    def create(self, records: int) -> LogStore:
        return _LmdbStore()


class _SqliteStore(LogStore):
    note = "streams poll"

    def __init__(self) -> None:
        self._directory = tempfile.mkdtemp(prefix="bench-sqlite-", dir="/dev/shm")
        connection = self._open()
        connection.execute("create table log (offset integer primary key, data blob)")
        connection.close()

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(Path(self._directory) / "log", isolation_level=None)
        connection.execute("pragma journal_mode = wal")
        connection.execute("pragma synchronous = off")
        connection.execute(f"pragma mmap_size = {_MAP_BYTES}")
        return connection

    def writer(self) -> LogWriter:
        connection = self._open()
        execute, following = connection.execute, itertools.count()

        def append(data: bytes) -> None:
            execute("insert into log values (?, ?)", (next(following), data))

        def append_many(batch: list[bytes]) -> None:
            execute("begin")
            connection.executemany("insert into log values (?, ?)", ((next(following), data) for data in batch))
            execute("commit")

        return LogWriter(append, append_many, connection.close)

    def reader(self) -> LogReader:
        connection = self._open()
        execute = connection.execute

        def read(offset: int) -> bytes:
            data: bytes = execute("select data from log where offset = ?", (offset,)).fetchone()[0]
            return data

        def read_many(offset: int, count: int) -> list[bytes]:
            query = "select data from log where offset >= ? order by offset limit ?"
            return [row[0] for row in execute(query, (offset, count))]

        return LogReader(read, read_many, functools.partial(_polled, read_many), connection.close)

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)


class Sqlite(LogKind):
    """A table in WAL mode, memory-mapped, `synchronous=off`."""

    name = "SQLite"

    def version(self) -> str | None:
        return f"SQLite {sqlite3.sqlite_version}"

    def create(self, records: int) -> LogStore:
        return _SqliteStore()


class _RedisStore(LogStore):
    """Entry ids are 0-(offset + 1), so that an entry is found by its offset."""

    def __init__(self) -> None:
        self._link = RedisLink(LinkSpec(64, 1))

    def writer(self) -> LogWriter:
        client = self._link.client()
        following = itertools.count(1)

        def append(data: bytes) -> None:
            client.xadd("log", {"d": data}, id=f"0-{next(following)}")

        def append_many(batch: list[bytes]) -> None:
            pipe = client.pipeline(transaction=False)
            for data in batch:
                pipe.xadd("log", {"d": data}, id=f"0-{next(following)}")
            pipe.execute()

        return LogWriter(append, append_many, client.close)

    def reader(self) -> LogReader:
        client = self._link.client()

        def read(offset: int) -> bytes:
            place = f"0-{offset + 1}"
            data: bytes = client.xrange("log", place, place)[0][1][b"d"]
            return data

        def read_many(offset: int, count: int) -> list[bytes]:
            return [fields[b"d"] for _, fields in client.xrange("log", f"0-{offset + 1}", "+", count)]

        def stream() -> Iterator[bytes]:
            last: Any = "0-0"
            while True:
                for _, entries in client.xread({"log": last}, count=100, block=0):
                    last = entries[-1][0]
                    yield from (fields[b"d"] for _, fields in entries)

        return LogReader(read, read_many, stream, client.close)

    def close(self) -> None:
        self._link.close()


class RedisStream(LogKind):
    """https://redis.io/docs/latest/develop/data-types/streams"""

    name = "Redis stream"

    def version(self) -> str | None:
        return RedisList().version()

    def create(self, records: int) -> LogStore:
        return _RedisStore()


class _ManagerStore(LogStore):
    note = "streams poll"

    def __init__(self) -> None:
        self._manager: Any = CONTEXT.Manager()
        self._list = self._manager.list()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_manager": None}  # only the parent ends it

    def writer(self) -> LogWriter:
        return LogWriter(self._list.append, self._list.extend, lambda: None)

    def reader(self) -> LogReader:
        items = self._list

        def read_many(offset: int, count: int) -> list[bytes]:
            found: list[bytes] = items[offset : offset + count]
            return found

        return LogReader(items.__getitem__, read_many, functools.partial(_polled, read_many), lambda: None)

    def close(self) -> None:
        self._manager.shutdown()


class ManagerList(LogKind):
    """A list in a process of its own."""

    name = "multiprocessing.Manager().list"

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, records: int) -> LogStore:
        return _ManagerStore()


LOG_KINDS: tuple[LogKind, ...] = (ShmspaceLog(), Lmdb(), Sqlite(), RedisStream(), ManagerList())
