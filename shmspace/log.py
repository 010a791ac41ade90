"""Logs: append-only records at consecutive offsets, found by offset, key and time.

Reading takes no lock and never slows a writer; see _native/hot_log.c.
"""

from __future__ import annotations

import functools
import math
import time as clock
from collections.abc import Callable, Iterable
from datetime import datetime
from typing import TYPE_CHECKING, Any

from . import _native, options
from ._native import ffi, lib
from .codec import Codec
from .defaults import given
from .errors import FutureOffset, InvalidOffset, NoIndex, NotDurable, NotFound, OutOfRange, SpaceFull
from .handle import NamedHandle
from .log_stream import LogStream
from .record import NEWEST, OLDEST, Batch, Deleted, LogStat, Message, Record, needless, record_type
from .shelf import codec_option
from .tuples import key_bytes

if TYPE_CHECKING:
    from .aio_log import LogAio
    from .space import Space

__all__ = ["Log", "Pages", "log_options", "open_log"]

_OFFSET_MOST = 1 << 63
_SEGMENT_MOST = 1 << 32
_EVERYTHING = 2**63 - 1
_GIVEN = {
    "start_offset": lib.SHM_GIVEN_START_OFFSET,
    "segment_size": lib.SHM_GIVEN_SEGMENT_SIZE,
    "max_record": lib.SHM_GIVEN_MAX_RECORD,
    "key_index": lib.SHM_GIVEN_KEY_INDEX,
    "time_index": lib.SHM_GIVEN_TIME_INDEX,
    "rollover": lib.SHM_GIVEN_ROLLOVER,
    "codec": lib.SHM_GIVEN_CODEC,
}


class Pages(_native.Pages, NamedHandle):  # type: ignore[misc]  # a native type
    """A log, or a sharded log: what both are to the C core."""

    _native_kind = "log"
    _number = 0
    """The structure kind."""
    _shard = 0

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._begin(space, name, wanted, given_bits, create)

    def _open_native(self) -> None:
        self._open_named(lambda space, *rest: int(lib.shm_log_open(space, self._number, *rest)))
        found = ffi.new("shm_log_options *")
        lib.shm_log_get_options(self._raw, found)
        self._found = found
        self._codec: Codec = self._allowed_codec(_native.text(found.codec))
        types: list[type[Record] | None] = [None] * 256
        self._bind(int(ffi.cast("uintptr_t", self._raw)), self._shard, self._codec, types)

    def _record_type(self, number: int) -> type[Record]:
        return record_type(self._codec, number)

    def _time_ns(self, value: Any) -> int:
        return options.time_ns(value)

    def _peers(self, *, writers: bool) -> list[Any]:
        return []

    def _refuse_length(self, length: int) -> None:
        raise _native.error(lib.SHM_TOO_LARGE, f"{length} bytes do not fit into a record of {self}")

    def _bounds(self) -> tuple[int, int]:
        self._look_there()
        first, following = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        lib.shm_log_bounds(self._raw, self._shard, first, following)
        return int(first[0]), int(following[0])

    def _refuse_read(self, status: int, offset: int) -> None:
        first, following = self._bounds()
        what = f"offset {offset} of {self}"
        if status == lib.SHM_EMPTY and offset in (OLDEST, NEWEST):
            raise InvalidOffset(f"{self} has no record; the next one will have offset {following}")
        if status == lib.SHM_EMPTY:
            raise FutureOffset(f"{what} is still to come; the next one is {following}")
        if status == lib.SHM_NOT_FOUND:
            raise NotFound(f"{what} was deleted")
        if status == lib.SHM_INVALID:
            raise InvalidOffset(f"{what}: an offset is not below 0, but for OLDEST ({OLDEST}) and NEWEST ({NEWEST})")
        if status == lib.SHM_LAGGED:
            raise OutOfRange(
                f"{what} is below the first record that exists, {first}; it was purged or deleted",
                earliest=first,
                next=following,
            )
        self._fail(status, "reading", 0)

    def _offset(self, offset: object, *special: int) -> int:
        if isinstance(offset, bool) or not isinstance(offset, int):
            raise TypeError(f"an offset must be an int, not {type(offset).__name__}")
        if offset < 0 and offset not in special:
            raise InvalidOffset(f"offset {offset} of {self}: an offset is not below 0")
        return min(offset, (1 << 64) - 1)

    def _key_wanted(self, key: str | bytes | None) -> bytes | None:
        if key is None:
            return None
        if not self._found.flags & lib.SHM_LOG_KEYS:
            raise NoIndex(f"{self} was made without key_index=True")
        return key_bytes(key)


class Log(Pages):
    """A log; `Space.log` gives it."""

    _kind = "log"
    _number = 2

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name)

    append = _native.Pages._append
    """``append(value, *, key=None, time=None, timeout=None) -> int``: add a record; gives its offset.

    `value` goes through the codec; None is a tombstone. `key` is str or bytes, `time` nanoseconds since the epoch or
    an aware datetime (now, strictly increasing, if it is not given). Never waits but for others who append, `timeout`
    seconds at most. Raises `TooLarge`, `CodecError`, `SpaceFull`, `Timeout`, `Closed`.
    """

    def publish(self, messages: Iterable[Any], timeout: float | None = None) -> int:
        """Append all messages or none, at consecutive offsets, visible at once; give the offset after them.

        Each is a `Message`, or a plain value. Raises as `append` does; nothing was appended then.
        """
        return int(self._publish(list(messages), timeout, Message))

    @property
    def max_record(self) -> int:
        """Most bytes of a record, key and data."""
        return int(self._found.max_record_bytes)

    @property
    def codec(self) -> str:
        """The name of its codec."""
        return self._codec.name

    @property
    def next_offset(self) -> int:
        """The offset that the next record will have."""
        return self._bounds()[1]

    def range(self) -> tuple[int, int] | None:
        """Give the offsets of the first and the last record that exist; None if there is none."""
        try:
            return self._read(OLDEST)[0], self._read(NEWEST)[0]
        except InvalidOffset:
            return None

    read = _native.Pages._read
    """``read(offset) -> Record``: the record at that offset; `OLDEST` and `NEWEST` are the first and the last there is.

    Raises `FutureOffset`, `OutOfRange` (below the first that exists: purged or deleted), `NotFound` (deleted),
    `InvalidOffset` (negative; or there is no record).
    """

    def read_batch(self, offset: int, max_count: int) -> Batch:
        """Give up to `max_count` records from that offset on; fewer at the end. Deleted ones are left out.

        Beyond the end there are none, and it is to be gone on with at `offset`. Raises `OutOfRange` if the record at
        `offset` was purged, or all up to it are deleted.
        """
        start = self._offset(offset)
        _count(max_count, least=0, what="max_count")
        if max_count == 0:
            return Batch((), start, start == self.next_offset)
        records, position, status = self._collect(start, min(max_count, _EVERYTHING), None, False)
        if status == lib.SHM_LAGGED and not records:
            self._refuse_read(status, start)
        return Batch(records, position, position == self._bounds()[1])

    def consume(
        self, offset: int, max_count: int = 32, *, key: str | bytes | None = None, timeout: float | None = 0
    ) -> tuple[int, list[Record]]:
        """Give where to go on, and up to `max_count` records from the first that exists at or after `offset`.

        `OLDEST` is from the first, `NEWEST` gives nothing, and the end to go on at. With a timeout it waits until there
        is a record (of that key; `NEWEST`: the next one); expiry gives no records. Raises `FutureOffset`, `NoIndex`.
        """
        start, wanted = self._offset(offset, OLDEST, NEWEST), self._key_wanted(key)
        _count(max_count, least=1, what="max_count")
        timeout_ns = options.timeout_ns(timeout)
        first, following = self._bounds()
        if start > following:
            raise FutureOffset(f"offset {start} of {self} is beyond the end; the next one is {following}")
        if offset == NEWEST:
            if timeout_ns == 0:
                return following, []
            start = following
        elif offset == OLDEST:
            start = first
        limit = math.inf if timeout_ns < 0 else clock.monotonic() + timeout_ns / 1e9
        while True:
            position, records = self._consume_once(start, max_count, wanted)
            if records or timeout_ns == 0 or not self._await(position, limit):
                return position, records
            start = position

    def _consume_once(self, start: int, max_count: int, key: bytes | None) -> tuple[int, list[Record]]:
        records, position, _ = self._collect(start, min(max_count, _EVERYTHING), key, True)
        return position, records

    def _await(self, position: int, limit: float) -> bool:
        """Wait until there is a record at the position; False: time is up."""
        left_ns = -1 if limit == math.inf else max(0, int((limit - clock.monotonic()) * 1e9))
        pointer = self._pointer
        status = _native.patiently(
            lambda deadline: lib.shm_log_wait(pointer, self._shard, position, deadline), left_ns, lib.SHM_EMPTY
        )
        if status not in (lib.SHM_OK, lib.SHM_EMPTY):
            self._fail(status, "waiting for records", left_ns)
        return bool(status == lib.SHM_OK)

    def stream(
        self,
        start: int = OLDEST,
        *,
        key: str | bytes | None = None,
        timeout: float | None = None,
        lost: str = "error",
    ) -> LogStream:
        """Give an iterator over records from `start` on, which waits for those to come, each `timeout` seconds.

        `NEWEST` is what is appended from now on. What was deleted is left out, also in front of the first that exists.
        A start below what was purged (that raises here), or being overtaken by the purge, raises `OutOfRange`, for
        good; with ``lost="skip"`` it goes on at the earliest and counts `lost`: all offsets that were purged, deleted
        or not. Threads that share it share its records.

        >>> import shmspace
        >>> with shmspace.open("doc-stream", size="1M") as space:
        ...     log = space.log("events", codec="auto")
        ...     log.publish([{"n": 1}, {"n": 2}])
        ...     with log.stream(timeout=0) as stream:
        ...         next(stream).value, next(stream).value
        ...     space.destroy()
        2
        ({'n': 1}, {'n': 2})
        """
        return LogStream(self, self._offset(start, OLDEST, NEWEST), self._key_wanted(key), timeout, lost)

    def read_by_key(self, key: str | bytes) -> Record:
        """Give the newest record with that key; `NotFound`, `NoIndex`."""
        found = self._find(self._key_wanted(key_bytes(key)))
        if found is None:
            raise NotFound(f"{self} has no record with key {key!r}")
        return found  # type: ignore[no-any-return]

    def offset_by_key(self, key: str | bytes) -> int:
        """Give the offset of the newest record with that key; `NotFound`, `NoIndex`."""
        return self.read_by_key(key).offset

    def read_by_time(self, time: int | datetime) -> Record:
        """Give the first record at or after that time, `NotFound` after the last; `NoIndex`.

        A record counts as being at the largest time up to it, so that times never go back.
        """
        if not self._found.flags & lib.SHM_LOG_TIMES:
            raise NoIndex(f"{self} was made without time_index=True")
        found = self._find(options.time_ns(time))
        if found is None:
            raise NotFound(f"{self} has no record at or after {time}")
        return found  # type: ignore[no-any-return]

    def offset_by_time(self, time: int | datetime) -> tuple[int, int]:
        """Give offset and time of the first record at or after that time, as `read_by_time`."""
        found = self.read_by_time(time)
        return found.offset, found.time

    # removing

    def delete(self, offsets: Iterable[int]) -> Deleted:
        """Delete the records at these offsets, as far as they exist; offsets are not used again."""
        found = self._delete([self._offset(offset) for offset in offsets], _native.NEVER)
        assert found is not None
        return found

    def trim(
        self,
        *,
        count: int | None = None,
        nbytes: int | None = None,
        before_offset: int | None = None,
        before_time: int | datetime | None = None,
    ) -> Deleted:
        """Delete the oldest records, by exactly one rule.

        Until at most `count` remain; until they take at most `nbytes` (see `size`); all before that offset; all with a
        time that is not after `before_time`.
        """
        rules = {"count": count, "nbytes": nbytes, "before_offset": before_offset, "before_time": before_time}
        chosen = [name for name, value in rules.items() if value is not None]
        if len(chosen) != 1:
            raise TypeError(f"trim takes exactly one of {', '.join(rules)}, not {len(chosen)} of them")
        choose: Callable[[list[Record]], list[Record]]
        if count is not None:
            keep = _count(count, least=0, what="count")
            choose = lambda records: records[: max(0, len(records) - keep)]  # noqa: E731
        elif nbytes is not None:
            room = options.check_count(nbytes, what="nbytes", least=0, most=_EVERYTHING)
            choose = functools.partial(self._oldest_beyond, room)
        elif before_offset is not None:
            limit = self._offset(before_offset)
            choose = lambda records: [record for record in records if record.offset < limit]  # noqa: E731
        else:
            newest = options.time_ns(before_time)
            choose = lambda records: [record for record in records if record.time <= newest]  # noqa: E731
        return self._delete_chosen(choose)

    def _oldest_beyond(self, room: int, records: list[Record]) -> list[Record]:
        total = sum(self._bytes_of(record) for record in records)
        gone = 0
        while gone < len(records) and total > room:
            total -= self._bytes_of(records[gone])
            gone += 1
        return records[:gone]

    def compact(
        self, *, updates_before: int | datetime | None = None, deletes_before: int | datetime | None = None
    ) -> Deleted:
        """Delete what later records make needless, among those with a time that is not after the one given.

        `updates_before`: records that a later one of these with the same key supersedes. `deletes_before`: tombstones
        without anything older of their key left.
        """
        updates = None if updates_before is None else options.time_ns(updates_before)
        deletes = None if deletes_before is None else options.time_ns(deletes_before)
        return self._delete_chosen(lambda records: needless(records, updates, deletes))

    def _delete_chosen(self, choose: Callable[[list[Record]], list[Record]]) -> Deleted:
        """Delete what `choose` picks from all records; chosen anew if somebody else deleted something meanwhile."""
        while True:
            deletions = int(lib.shm_log_deletions(self._pointer, self._shard))
            records, _, _ = self._collect(self._bounds()[0], _EVERYTHING, None, True)
            found = self._delete([record.offset for record in choose(records)], deletions)
            if found is not None:
                return found

    def _delete(self, offsets: list[int], expected: int) -> Deleted | None:
        """Delete these, unless something else was deleted since there were `expected` deletions: then None."""
        self._space._pointer(changing=True)
        wanted = sorted(set(offsets))
        pointer, room = self._pointer, ffi.new("uint64_t[]", wanted or [0])
        done, nbytes = ffi.new("uint64_t *"), ffi.new("uint64_t *")
        status = _native.patiently(
            lambda limit: lib.shm_log_delete(pointer, self._shard, room, len(wanted), expected, limit, done, nbytes), -1
        )
        if status == lib.SHM_MISMATCH:
            return None
        if status != lib.SHM_OK:
            raise self._exception(status, "delete", -1)
        return Deleted([int(room[i]) for i in range(done[0])], int(nbytes[0]))

    # numbers

    def size(self, data: Any, key: str | bytes | None = None) -> int:
        """Give the bytes that a record with these data (and key) takes."""
        return int(lib.shm_log_record_bytes(0 if key is None else len(key_bytes(key)), _length(data)))

    def _bytes_of(self, record: Record) -> int:
        return int(lib.shm_log_record_bytes(len(record.key or b""), len(record.data or b"")))

    def stat(self) -> LogStat:
        """Give counts and bytes."""
        self._look_there()
        facts = ffi.new("shm_log_facts *")
        status = lib.shm_log_stat(self._raw, self._shard, facts)
        if status != lib.SHM_OK:
            raise self._exception(status, "stat", 0)
        return LogStat(
            segments=int(facts.segments),
            records=int(facts.records),
            nbytes=int(facts.size_bytes),
            first=int(facts.first),
            next_offset=int(facts.next),
            durable_offset=int(self._found.start_offset),
        )

    def sync(self, timeout: float | None = None) -> int:
        """Wait until all is on disk; for durable logs. Raises `NotDurable`."""
        raise NotDurable(f"{self} is in memory; make it with durable=True in a space with persist=")

    def backup(self, directory: str) -> None:
        """Copy the files of a durable log. Raises `NotDurable`."""
        raise NotDurable(f"{self} is in memory; make it with durable=True in a space with persist=")

    def check(self) -> list[Any]:
        """Check the files of a durable log. Raises `NotDurable`; `Space.check` looks at all that is in memory."""
        raise NotDurable(f"{self} is in memory; make it with durable=True in a space with persist=")

    @property
    def aio(self) -> LogAio:
        """The same calls as coroutines."""
        from .aio_log import LogAio

        return LogAio(self)


def _count(value: int, *, least: int, what: str) -> int:
    return options.check_count(value, what=what, least=least, most=_EVERYTHING)


def _length(data: Any) -> int:
    return 0 if data is None else len(data) if isinstance(data, bytes | bytearray) else memoryview(data).nbytes


def log_options(space: Space, asked: dict[str, Any], *, shards: int = 1, sharder: bytes = b"") -> tuple[Any, int]:
    """Give the options of a log for the C interface, checked, and the bits of those that were given."""
    if asked.pop("durable"):
        raise NotDurable("durable=True needs a space with persist=, which this version does not have")
    wanted = ffi.new("shm_log_options *")
    wanted.start_offset = options.check_count(asked["start_offset"], what="start_offset", least=0, most=_OFFSET_MOST)
    wanted.segment_size = options.check_count(asked["segment_size"], what="segment_size", least=1, most=_SEGMENT_MOST)
    wanted.max_record_bytes = options.parse_size(asked["max_record"], what="max_record")
    wanted.rollover_bytes = options.parse_size(asked["rollover"], what="rollover")
    for option, flag in (("key_index", lib.SHM_LOG_KEYS), ("time_index", lib.SHM_LOG_TIMES)):
        if not isinstance(asked[option], bool) and given(asked[option]):
            raise TypeError(f"{option} must be a bool, not {type(asked[option]).__name__}")
        wanted.flags |= flag if asked[option] else 0
    wanted.codec = codec_option(asked["codec"])
    wanted.shards = shards
    wanted.sharder_bytes = len(sharder)
    if given(asked["segment_size"]) and given(asked["max_record"]):
        _check_room(space, 2 * wanted.segment_size * shards, wanted.max_record_bytes)
    return wanted, sum(bit for option, bit in _GIVEN.items() if given(asked[option]))


def _check_room(space: Space, records: int, longest: int) -> None:
    """Who says how many records there are, and how long, is told at once if they do not fit."""
    if records * longest > space.size:
        raise SpaceFull(
            f"{records} records of up to {longest} bytes do not fit into {space}, which has {space.size} bytes: "
            "make it larger, or segment_size= or max_record= smaller"
        )


def open_log(space: Space, name: str | bytes, asked: dict[str, Any]) -> Log:
    """Do the work of `Space.log`."""
    data = options.check_structure_name(name)
    wanted, bits = log_options(space, asked)
    return Log(space, data, wanted, bits, True)


def _unpickle(space: Space, name: bytes) -> Log:
    return Log(space, name, ffi.new("shm_log_options *"), 0, False)
