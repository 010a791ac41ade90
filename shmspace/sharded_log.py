"""Sharded logs: a log for each shard of the keys, so that who appends under one does not wait for the others."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from . import options
from ._native import ffi, lib
from .defaults import given
from .errors import InvalidKey, NotFound
from .log import Log, Pages, log_options
from .log_stream import LogStream
from .record import OLDEST, Batch, LogStat, Record
from .tuples import key_bytes

if TYPE_CHECKING:
    from .aio_log import ShardedLogAio
    from .space import Space

__all__ = ["ShardedLog", "open_sharded_log"]

_SHARDS_MOST = 4096


class _Shard(Log):
    """One log of a sharded log: its own handle on the whole, so that it lives as it does."""

    _kind = "sharded_log"
    _number = 3

    def __init__(self, whole: ShardedLog, shard: int) -> None:
        self._shard = shard
        self._begin(whole.space, whole._name, whole._wanted, 0, False)

    def __reduce__(self) -> tuple[Any, ...]:
        raise TypeError("a shard is not pickled; pickle the sharded log")

    def __repr__(self) -> str:
        return f"<shard {self._shard} of shmspace.ShardedLog {self.name!r} of space {self._space.name!r}>"


class ShardedLog(Pages):
    """Logs under one name, one for each shard of the keys; `Space.sharded_log` gives it.

    Keys that share a shard see each other's records; each record carries its key.
    """

    _kind = "sharded_log"
    _number = 3

    def _open_native(self) -> None:
        super()._open_native()
        self._logs: dict[int, _Shard] = {}
        packed = bytes(ffi.buffer(self._found.sharder, self._found.sharder_bytes)) if self._found.sharder_bytes else b""
        keys = msgspec.msgpack.decode(packed, type=list[bytes]) if packed else []
        self._keys: dict[bytes, int] | None = {key: shard for shard, key in enumerate(keys)} if packed else None

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name)

    @property
    def shards(self) -> int:
        """How many there are."""
        self._look_alive()
        return int(self._found.shards)

    def shard_of(self, key: str | bytes) -> int:
        """Give the shard of a key: FNV-1a 32 modulo `shards`, or its place in ``sharder=``.

        Raises `NotFound` for a key that ``sharder=`` does not name, `InvalidKey` for None.
        """
        if key is None:
            raise InvalidKey(f"{self} needs a key: it says which shard")
        wanted = key_bytes(key)
        if self._keys is None:
            return int(lib.shm_hash(wanted, len(wanted))) % int(self._found.shards)
        if wanted not in self._keys:
            raise NotFound(f"{self} was made with sharder= keys, and {key!r} is none of them")
        return self._keys[wanted]

    def log_of(self, key: str | bytes) -> Log:
        """Give the log of a key's shard: all that a `Log` can do."""
        self._look_alive()
        shard = self.shard_of(key)
        log = self._logs.get(shard)
        if log is None or log.closed:
            log = self._logs[shard] = _Shard(self, shard)
            self._children.add(log)
        return log

    def append(
        self, key: str | bytes, value: object, *, time: int | datetime | None = None, timeout: float | None = None
    ) -> int:
        """Append to the log of the key's shard; as `Log.append`."""
        return int(self.log_of(key).append(value, key=key, time=time, timeout=timeout))

    def read(self, key: str | bytes, offset: int) -> Record:
        """As `Log.read`, in the key's shard."""
        return self.log_of(key).read(offset)  # type: ignore[no-any-return]

    def read_batch(self, key: str | bytes, offset: int, max_count: int) -> Batch:
        """As `Log.read_batch`, in the key's shard."""
        return self.log_of(key).read_batch(offset, max_count)

    def consume(
        self, key: str | bytes, offset: int, max_count: int = 32, *, timeout: float | None = 0
    ) -> tuple[int, list[Record]]:
        """As `Log.consume`, in the key's shard: records of all its keys."""
        return self.log_of(key).consume(offset, max_count, timeout=timeout)

    def range(self, key: str | bytes) -> tuple[int, int] | None:
        """As `Log.range`, in the key's shard."""
        return self.log_of(key).range()

    def stream(
        self, key: str | bytes, start: int = OLDEST, *, timeout: float | None = None, lost: str = "error"
    ) -> LogStream:
        """As `Log.stream`, in the key's shard: records of all its keys."""
        return self.log_of(key).stream(start, timeout=timeout, lost=lost)

    def stat(self) -> LogStat:
        """Give counts and bytes of all shards together; `first` and `next_offset` are those of the longest."""
        self._look_there()
        facts = ffi.new("shm_log_facts *")
        found = []
        for shard in range(self.shards):
            status = lib.shm_log_stat(self._raw, shard, facts)
            if status != lib.SHM_OK:
                raise self._exception(status, "stat", 0)
            found.append(
                (int(facts.next), int(facts.first), int(facts.segments), int(facts.records), int(facts.size_bytes))
            )
        following, first = max(found)[:2]
        segments, records, nbytes = (sum(row[column] for row in found) for column in (2, 3, 4))
        return LogStat(segments, records, nbytes, first, following, int(self._found.start_offset))

    @property
    def aio(self) -> ShardedLogAio:
        """The same calls as coroutines."""
        from .aio_log import ShardedLogAio

        return ShardedLogAio(self)


def open_sharded_log(
    space: Space, name: str | bytes, asked: dict[str, Any], shards: int, sharder: Sequence[str | bytes] | None
) -> ShardedLog:
    """Do the work of `Space.sharded_log`."""
    data = options.check_structure_name(name)
    count = options.check_count(shards, what="shards", least=2, most=_SHARDS_MOST)
    keys = [] if sharder is None else [key_bytes(key) for key in sharder]
    if len(set(keys)) < len(keys):
        raise ValueError("sharder= has a key twice")
    if len(keys) > count:
        raise ValueError(f"sharder= has {len(keys)} keys, which need a shard each, and shards={count}")
    packed = msgspec.msgpack.encode(keys) if sharder is not None else b""
    wanted, bits = log_options(space, asked, shards=count, sharder=packed)
    keeper = ffi.new("char[]", packed)
    wanted.sharder = keeper
    bits |= lib.SHM_GIVEN_SHARDS if given(shards) else 0
    bits |= lib.SHM_GIVEN_SHARDER if sharder is not None else 0
    made = ShardedLog(space, data, wanted, bits, True)
    wanted.sharder = ffi.NULL  # the space has it; opening again after a fork asks for nothing
    made._given = 0
    return made


def _unpickle(space: Space, name: bytes) -> ShardedLog:
    return ShardedLog(space, name, ffi.new("shm_log_options *"), 0, False)
