"""asyncio for logs: nothing of them blocks but waiting for records to come."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable, Iterable
from datetime import datetime
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

from ._native import lib
from .aio_line import line_for
from .errors import Empty, Timeout
from .options import timeout_ns
from .record import OLDEST, Batch, Deleted, LogStat, Record
from .shelf import deadline_of

if TYPE_CHECKING:
    from .log import Log
    from .log_stream import LogStream
    from .sharded_log import ShardedLog

__all__ = ["LogAio", "LogStreamAio", "ShardedLogAio"]

_NAP_S = 0.005
_T = TypeVar("_T")


class _Await:
    """A wait for the record at a position, or the end of a stream."""

    def __init__(self, log: Log, position: int, stream: LogStream | None) -> None:
        self.shelf = log
        self._position = position
        self._stream = stream

    def is_over(self) -> bool:
        """Arm the bell, then look."""
        log, stream = self.shelf, self._stream
        lib.shm_log_arm(log._pointer, log._shard)
        return log._bounds()[1] > self._position or (stream is not None and stream.closed)

    def probe(self) -> None:
        """Nobody's death matters."""


async def _until_there(log: Log, position: int, deadline: float, stream: LogStream | None = None) -> bool:
    """Wait for the record at a position, or the end of `stream`; False: the deadline has come."""
    call = _Await(log, position, stream)
    while not call.is_over():
        if time.monotonic() >= deadline:
            return False
        await line_for(log._space._attachment).stand(call, deadline)
    return True


async def _patiently(call: Callable[[float], _T], timeout: float | None) -> _T:
    """Have ``call(timeout)`` done, which only waits for a lock that is held for a moment."""
    deadline = deadline_of(timeout)
    while True:
        try:
            return call(0)
        except Timeout:
            if time.monotonic() >= deadline:
                raise
            await asyncio.sleep(_NAP_S)


class LogAio:
    """Coroutines of a `Log`."""

    def __init__(self, log: Log) -> None:
        self._log = log

    async def append(
        self,
        value: object,
        *,
        key: str | bytes | None = None,
        time: int | datetime | None = None,
        timeout: float | None = None,
    ) -> int:
        """As `Log.append`, without blocking the loop."""
        return await _patiently(lambda limit: int(self._log.append(value, key=key, time=time, timeout=limit)), timeout)

    async def publish(self, messages: Iterable[Any], timeout: float | None = None) -> int:
        """As `Log.publish`, without blocking the loop."""
        return await _patiently(functools.partial(self._log.publish, list(messages)), timeout)

    async def read(self, offset: int) -> Record:
        """As `Log.read`."""
        return self._log.read(offset)  # type: ignore[no-any-return]

    async def read_batch(self, offset: int, max_count: int) -> Batch:
        """As `Log.read_batch`."""
        return self._log.read_batch(offset, max_count)

    async def range(self) -> tuple[int, int] | None:
        """As `Log.range`."""
        return self._log.range()

    async def read_by_key(self, key: str | bytes) -> Record:
        """As `Log.read_by_key`."""
        return self._log.read_by_key(key)

    async def offset_by_key(self, key: str | bytes) -> int:
        """As `Log.offset_by_key`."""
        return self._log.offset_by_key(key)

    async def read_by_time(self, time: int | datetime) -> Record:
        """As `Log.read_by_time`."""
        return self._log.read_by_time(time)

    async def offset_by_time(self, time: int | datetime) -> tuple[int, int]:
        """As `Log.offset_by_time`."""
        return self._log.offset_by_time(time)

    async def consume(
        self, offset: int, max_count: int = 32, *, key: str | bytes | None = None, timeout: float | None = 0
    ) -> tuple[int, list[Record]]:
        """As `Log.consume`, without blocking the loop."""
        deadline = deadline_of(timeout)
        while True:
            position, records = self._log.consume(offset, max_count, key=key)
            if records or not await _until_there(self._log, position, deadline):
                return position, records
            offset = position

    async def delete(self, offsets: Iterable[int]) -> Deleted:
        """As `Log.delete`."""
        return self._log.delete(offsets)

    async def trim(self, **rule: Any) -> Deleted:
        """As `Log.trim`."""
        return self._log.trim(**rule)

    async def compact(self, **before: Any) -> Deleted:
        """As `Log.compact`."""
        return self._log.compact(**before)

    async def stat(self) -> LogStat:
        """As `Log.stat`."""
        return self._log.stat()

    def stream(
        self,
        start: int = OLDEST,
        *,
        key: str | bytes | None = None,
        timeout: float | None = None,
        lost: str = "error",
    ) -> LogStreamAio:
        """As `Log.stream`: an asynchronous iterator."""
        return LogStreamAio(self._log.stream(start, key=key, timeout=timeout, lost=lost), timeout)


class LogStreamAio:
    """A `LogStream` for coroutines."""

    def __init__(self, stream: LogStream, timeout: float | None = None) -> None:
        self._stream = stream
        self._timeout = timeout

    @property
    def lost(self) -> int:
        """As `LogStream.lost`."""
        return int(self._stream.lost)

    @property
    def closed(self) -> bool:
        """As `LogStream.closed`."""
        return self._stream.closed

    def close(self) -> None:
        """As `LogStream.close`."""
        self._stream.close()

    async def next(self, timeout: float | None = None) -> Record:
        """As `LogStream.next`, without blocking the loop; `StopAsyncIteration` when it was closed."""
        deadline = deadline_of(self._timeout if timeout is None else timeout)
        while True:
            try:
                return self._stream.next(timeout=0)  # type: ignore[no-any-return]
            except StopIteration:
                raise StopAsyncIteration from None
            except Empty:
                if time.monotonic() >= deadline:
                    waited_ns = timeout_ns(self._timeout if timeout is None else timeout)
                    raise self._stream._log._exception(lib.SHM_EMPTY, "stream", waited_ns) from None
            await _until_there(self._stream._log, self._stream.next_offset, deadline, self._stream)

    def __aiter__(self) -> LogStreamAio:
        return self

    async def __anext__(self) -> Record:
        return await self.next()

    async def __aenter__(self) -> LogStreamAio:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ShardedLogAio:
    """Coroutines of a `ShardedLog`."""

    def __init__(self, log: ShardedLog) -> None:
        self._log = log

    async def append(
        self, key: str | bytes, value: object, *, time: int | datetime | None = None, timeout: float | None = None
    ) -> int:
        """As `ShardedLog.append`, without blocking the loop."""
        return await self._log.log_of(key).aio.append(value, key=key, time=time, timeout=timeout)

    async def read(self, key: str | bytes, offset: int) -> Record:
        """As `ShardedLog.read`."""
        return self._log.read(key, offset)

    async def read_batch(self, key: str | bytes, offset: int, max_count: int) -> Batch:
        """As `ShardedLog.read_batch`."""
        return self._log.read_batch(key, offset, max_count)

    async def consume(
        self, key: str | bytes, offset: int, max_count: int = 32, *, timeout: float | None = 0
    ) -> tuple[int, list[Record]]:
        """As `ShardedLog.consume`, without blocking the loop."""
        return await self._log.log_of(key).aio.consume(offset, max_count, timeout=timeout)

    async def range(self, key: str | bytes) -> tuple[int, int] | None:
        """As `ShardedLog.range`."""
        return self._log.range(key)

    def stream(
        self, key: str | bytes, start: int = OLDEST, *, timeout: float | None = None, lost: str = "error"
    ) -> LogStreamAio:
        """As `ShardedLog.stream`: an asynchronous iterator."""
        return self._log.log_of(key).aio.stream(start, timeout=timeout, lost=lost)
