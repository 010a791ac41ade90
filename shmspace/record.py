"""What logs are made of: records, messages to append, and what calls give back."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from .codec import Codec, get_codec

__all__ = ["NEWEST", "OLDEST", "Batch", "Deleted", "LogStat", "Message", "Record", "needless", "record_type"]

OLDEST = -2
"""An offset: the first record that exists."""
NEWEST = -1
"""An offset: the last record that exists; of a stream or `consume`: what comes from now on."""


_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)


class Record(tuple[Any, ...]):
    """A record of a log: ``(offset, time, key, data)``.

    `time` is nanoseconds since the epoch, UTC; `key` bytes or None; `data` bytes, or None: a tombstone.

    >>> record = Record(7, 1_700_000_000_000_000_000, b"host", b"up")
    >>> record.offset, record.value, record.created.isoformat()
    (7, b'up', '2023-11-14T22:13:20+00:00')
    """

    __slots__ = ()
    _codec: Codec | None = None
    _number = 0

    def __new__(cls, offset: int, time: int, key: bytes | None, data: bytes | None) -> Record:
        """Make one by hand; its value is its data."""
        return tuple.__new__(cls, (offset, time, key, data))

    @property
    def offset(self) -> int:
        """Its place in the log."""
        return self[0]  # type: ignore[no-any-return]

    @property
    def time(self) -> int:
        """Its time, nanoseconds since the epoch, UTC."""
        return self[1]  # type: ignore[no-any-return]

    @property
    def key(self) -> bytes | None:
        """Its key, if it has one."""
        return self[2]  # type: ignore[no-any-return]

    @property
    def data(self) -> bytes | None:
        """Its bytes; None: a tombstone."""
        return self[3]  # type: ignore[no-any-return]

    @property
    def value(self) -> Any:
        """What was appended, through the log's codec; None: a tombstone. Raises `CodecError`."""
        data = self[3]
        if data is None or self._codec is None:
            return data
        return self._codec.decode(self._number, data)

    @property
    def created(self) -> datetime:
        """Its time as an aware datetime, UTC, to the microsecond."""
        return _EPOCH + timedelta(microseconds=self[1] // 1000)

    def __repr__(self) -> str:
        offset, time, key, data = self
        return f"Record(offset={offset}, time={time}, key={key!r}, data={data!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return _restore, (self._codec.name if self._codec else None, self._number, *self)


_types: dict[tuple[str, int], type[Record]] = {}


def record_type(codec: Codec, number: int) -> type[Record]:
    """Give the type of the records of a log with that codec whose data has that number: it knows how to read it."""
    made = _types.get((codec.name, number))
    if made is None:
        names = {
            "__slots__": (),
            "_codec": codec,
            "_number": number,
            "__qualname__": "Record",
            "__doc__": Record.__doc__,
        }
        made = _types.setdefault((codec.name, number), type("Record", (Record,), names))
    return made


def _restore(codec: str | None, number: int, *parts: Any) -> Record:
    return (record_type(get_codec(codec), number) if codec else Record)(*parts)


class Message(NamedTuple):
    """What `Log.publish` appends: a value, with a key and a time if they are given."""

    value: Any
    key: str | bytes | None = None
    time: int | datetime | None = None


class Batch(list[Record]):
    """Records in order; `next_offset` is where to go on, `at_end` says that this was the end of the log."""

    __slots__ = ("at_end", "next_offset")

    def __init__(self, records: Iterable[Record], next_offset: int, at_end: bool) -> None:
        super().__init__(records)
        self.next_offset = next_offset
        self.at_end = at_end

    def __reduce__(self) -> tuple[Any, ...]:
        return Batch, (list(self), self.next_offset, self.at_end)


class Deleted(NamedTuple):
    """What a call removed."""

    offsets: list[int]
    """Sorted."""
    nbytes: int
    """Bytes, as `Log.size` counts them."""


class LogStat(NamedTuple):
    """A log in numbers."""

    segments: int
    records: int
    nbytes: int
    """Bytes of its records, as `Log.size` counts them."""
    first: int
    """The first offset that exists; `next_offset` if there is none."""
    next_offset: int
    durable_offset: int
    """Everything before it is on disk; of a log in memory `start_offset`."""


def needless(records: list[Record], updates: int | None, deletes: int | None) -> list[Record]:
    """Give the records that `Log.compact` deletes, with these two bounds."""
    gone: set[int] = set()
    if updates is not None:
        newer: set[bytes] = set()
        for record in reversed(records):
            if record.key is not None and record.time <= updates:
                if record.key in newer:
                    gone.add(record.offset)
                newer.add(record.key)
    if deletes is not None:
        older: set[bytes] = set()
        for record in records:
            if record.key is None or record.offset in gone:
                continue
            if record.data is None and record.time <= deletes and record.key not in older:
                gone.add(record.offset)
            else:
                older.add(record.key)
    return [record for record in records if record.offset in gone]
