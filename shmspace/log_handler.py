"""A handler for `logging` that appends to a log: lines of many processes in one place, in order."""

from __future__ import annotations

import logging
from typing import Any

from .errors import ShmspaceError
from .log import Log

__all__ = ["LogHandler"]

_SHORT = 64
_CUT = b" [cut]"


class LogHandler(logging.Handler):
    """Appends each record of `logging` to a `Log`: its formatted text, its logger's name as the key, its time.

    Lines of all processes are in one log in the order in which they were appended; those of a process that is killed
    are there, up to the last. Appending takes a microsecond and never waits longer than `timeout` seconds for others.
    A line that cannot be appended then (the log was closed or deleted, the space is full, a stopped process holds the
    lock) is dropped and counted in `dropped`; one longer than the log's ``max_record`` is cut.

    The log's codec is ``"raw"`` or any other that takes `str` or `bytes`; it takes UTF-8 if it is ``"raw"``.

    >>> import logging, shmspace
    >>> with shmspace.open("doc-handler", size="1M") as space:
    ...     log = space.log("lines")
    ...     logger = logging.getLogger("doc")
    ...     handler = shmspace.LogHandler(log)
    ...     logger.addHandler(handler)
    ...     logger.warning("disk %d %% full", 93)
    ...     logger.removeHandler(handler)
    ...     record = log.read(shmspace.NEWEST)
    ...     record.key, record.data
    ...     space.destroy()
    (b'doc', b'disk 93 % full')
    """

    def __init__(self, log: Log, level: int | str = logging.NOTSET, *, timeout: float = 0.1) -> None:
        super().__init__(level)
        self.log = log
        self.timeout = timeout
        self.dropped = 0
        """Lines of this process that could not be appended."""

    def emit(self, record: logging.LogRecord) -> None:
        """Append one record; never raises for what is wrong with the log."""
        try:
            line = self.format(record).encode(errors="replace")
        except Exception:
            self.handleError(record)  # the format and its arguments do not match: as every handler does
            return
        key = record.name.encode(errors="replace")
        try:
            self._append(line, key, int(record.created * 1e9))
        except ShmspaceError:
            self.dropped += 1

    def _append(self, line: bytes, key: bytes, time_ns: int) -> None:
        room = self.log.max_record - len(key)
        if room < _SHORT:  # a name that long is no help
            key, room = b"", self.log.max_record
        if len(line) > room:  # no half character is left
            line = line[: max(0, room - len(_CUT))].decode(errors="ignore").encode() + _CUT[:room]
        value: Any = line if self.log.codec == "raw" else line.decode(errors="replace")
        self.log.append(value, key=key, time=time_ns, timeout=self.timeout)
