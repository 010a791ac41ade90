"""Streams: places in a log from which records are read one after the other, as they come; see _native/hot_stream.c."""

from __future__ import annotations

from typing import TYPE_CHECKING

from . import _native, options
from ._native import lib
from .record import NEWEST, OLDEST

if TYPE_CHECKING:
    from .aio_log import LogStreamAio
    from .log import Log

__all__ = ["LogStream"]


class LogStream(_native.LogStream):  # type: ignore[misc]  # a native type
    """An iterator over a log's records that waits for those to come; `Log.stream` gives it."""

    def __init__(self, log: Log, start: int, key: bytes | None, timeout: float | None, lost: str) -> None:
        options.check_choice(lost, what="lost", choices=("error", "skip"))
        first, following = log._bounds()
        self._log = log
        position = first if start == OLDEST else following if start == NEWEST else start
        self._bind(log, position, options.timeout_ns(timeout), key, lost == "skip")
        if 0 <= start < int(lib.shm_log_floor(log._raw, log._shard)) and lost == "error":
            log._refuse_read(lib.SHM_LAGGED, start)
        log._children.add(self)

    def close(self) -> None:
        """End it: who waits in it on another thread gets `StopIteration`."""
        if self._log.closed:
            return  # for good: whoever waits gets `Closed`
        self._end()
        lib.shm_log_wake(self._log._raw, self._log._shard)

    @property
    def closed(self) -> bool:
        """Whether it, or its log, was closed in this process."""
        return bool(self._ended or self._log.closed)

    def __enter__(self) -> LogStream:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = " (closed)" if self.closed else ""
        return f"<shmspace.LogStream of {self._log} at offset {self.next_offset}{state}>"

    @property
    def aio(self) -> LogStreamAio:
        """The same as an asynchronous iterator."""
        from .aio_log import LogStreamAio

        return LogStreamAio(self)
