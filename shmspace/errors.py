"""Every exception that shmspace raises, one class per cause.

All of them derive from `ShmspaceError` and, where Python has a class for the same thing, from that one too, so
``except queue.Empty``, ``except KeyError`` or ``except TimeoutError`` work as with the standard library.

Each is made with one text that says what was asked, what was found and what to do, plus keyword-only attributes.
Each can be pickled and copied with all its attributes (its cause is left behind, as with every exception).

>>> import pickle
>>> error = pickle.loads(pickle.dumps(OutOfRange("offset 3 was purged; the first is 10", earliest=10, next=20)))
>>> error.earliest, error.next, str(error)
(10, 20, 'offset 3 was purged; the first is 10')
"""

from __future__ import annotations

import queue
import sys
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any, NamedTuple

if sys.version_info >= (3, 13):
    from queue import ShutDown as _ShutDown
else:

    class _ShutDown(Exception):
        """Stands in for `queue.ShutDown`, which Python has from 3.13 on."""


__all__ = [
    "AlreadyExists",
    "Closed",
    "CodecError",
    "Corrupted",
    "Empty",
    "EndOfStream",
    "Full",
    "FutureOffset",
    "GlobNotAllowed",
    "GlobRequired",
    "Holder",
    "IncompatibleLayout",
    "InvalidKey",
    "InvalidName",
    "InvalidOffset",
    "Lagged",
    "Locked",
    "NoIndex",
    "NotASpace",
    "NotDurable",
    "NotFound",
    "OptionsMismatch",
    "OutOfRange",
    "PermissionDenied",
    "PersistenceError",
    "ReadOnly",
    "ShmspaceError",
    "SpaceFull",
    "SupervisorDown",
    "Timeout",
    "TooLarge",
    "TooManyMembers",
    "VersionMismatch",
    "WorkerDied",
]


class Holder(NamedTuple):
    """A process that somebody waited for."""

    pid: int
    """Process id, as its own PID namespace counts."""
    command: str
    """Command line; may be empty."""
    alive: bool
    """False when the kernel says that it is gone."""
    since: int
    """Nanoseconds since the epoch, UTC: since when it holds what was waited for, 0 if that is not known."""

    def __str__(self) -> str:
        parts = [repr(self.command)] if self.command else []
        parts.append("alive" if self.alive else "dead")
        if self.since:
            when = datetime.fromtimestamp(self.since // 1_000_000_000, timezone.utc)
            parts.append(f"since {when:%Y-%m-%dT%H:%M:%SZ}")
        return f"pid {self.pid} ({', '.join(parts)})"


class ShmspaceError(Exception):
    """The base of all errors of shmspace.

    `message` is the whole text; `str()` gives it back unchanged.
    """

    def __init__(self, message: str = "") -> None:
        # Exactly one argument, always: OSError would take a second one for an errno, KeyError would quote a lone key.
        super().__init__(message)

    def __str__(self) -> str:
        # KeyError shows the repr of its argument, OSError its errno; the message is meant to be read as it is.
        return str(self.args[0]) if self.args else ""

    def __reduce__(self) -> tuple[Any, ...]:
        # BaseException would call the class with `args` alone, which loses keyword-only attributes and fails where
        # they are required; so the object is made bare and its attributes are set one by one.
        state = dict(vars(self))
        if isinstance(self, OSError):  # these live in the C struct, not in __dict__
            for name in ("errno", "strerror", "filename", "filename2"):
                if getattr(self, name, None) is not None:
                    state[name] = getattr(self, name)
        return _restore, (type(self), self.args), state


def _restore(cls: type[ShmspaceError], args: tuple[object, ...]) -> ShmspaceError:
    error = cls.__new__(cls, *args)
    error.args = args
    return error


class Timeout(ShmspaceError, TimeoutError):
    """The timeout ran out first; nothing was done.

    `holders` are the processes that were waited for; `str()` names them.

    >>> print(Timeout("lock 'build' was not free within 2 s", holders=[Holder(7, "make", True, 0)]))
    lock 'build' was not free within 2 s; waited for pid 7 ('make', alive)
    """

    holders: list[Holder]

    def __init__(self, message: str = "", *, holders: Iterable[Holder] = ()) -> None:
        super().__init__(message)
        self.holders = list(holders)

    def __str__(self) -> str:
        text = super().__str__()
        if not self.holders:
            return text
        waited = "waited for " + ", ".join(map(str, self.holders))
        return f"{text}; {waited}" if text else waited


class Empty(Timeout, queue.Empty):
    """There was nothing to take."""


class Full(Timeout, queue.Full):
    """There was no room."""


class Locked(Timeout):
    """Somebody else holds the lock."""


class SupervisorDown(Timeout):
    """No supervisor came back in time to put the change on disk; it is in memory and will be written when one does."""


class Closed(ShmspaceError, _ShutDown):
    """The handle was closed, or the structure was shut down or removed. Also a `queue.ShutDown` on Python 3.13+."""


class EndOfStream(ShmspaceError, EOFError):
    """The last writer is gone, or the channel was shut down, and everything has been read."""


class NotFound(ShmspaceError, KeyError):
    """There is no space, structure, key or record of that name."""


class AlreadyExists(ShmspaceError, FileExistsError):
    """Something of that name is there already."""


class VersionMismatch(ShmspaceError):
    """The entry is not at the version asked for; `version` is the one it has (0: it does not exist)."""

    version: int

    def __init__(self, message: str = "", *, version: int = 0) -> None:
        super().__init__(message)
        self.version = version


class InvalidOffset(ShmspaceError, IndexError):
    """An offset that no record can have, or not in this log."""


class FutureOffset(InvalidOffset):
    """The offset is at or after the next one to be written."""


class OutOfRange(InvalidOffset):
    """The record was purged or deleted; `earliest` is the first offset that exists, `next` the next to come."""

    earliest: int
    next: int

    def __init__(self, message: str = "", *, earliest: int = 0, next: int = 0) -> None:
        super().__init__(message)
        self.earliest = earliest
        self.next = next


class Lagged(OutOfRange):
    """A reader was overtaken; `lost` is how many messages or events it missed. The next call goes on after the gap."""

    lost: int

    def __init__(self, message: str = "", *, lost: int = 0, earliest: int = 0, next: int = 0) -> None:
        super().__init__(message, earliest=earliest, next=next)
        self.lost = lost


class InvalidName(ShmspaceError, ValueError):
    """Not a name that a space or a structure can have."""


class InvalidKey(ShmspaceError, ValueError):
    """Not a key that the structure can have."""


class GlobNotAllowed(ShmspaceError, ValueError):
    """A glob (with ``*``) was given where a single key is asked for."""


class GlobRequired(ShmspaceError, ValueError):
    """A plain key was given where a glob (with ``*``) is asked for."""


class TooLarge(ShmspaceError, ValueError):
    """A message, record or value over its structure's limit, or one that could never fit."""


class OptionsMismatch(ShmspaceError, ValueError):
    """The space or structure exists with another value of an option; the text names both."""


class CodecError(ShmspaceError, ValueError):
    """The codec cannot take the value, or cannot read the bytes; what it raised itself is the cause."""


class NoIndex(ShmspaceError, LookupError):
    """The log was created without the index that the call needs."""


class ReadOnly(ShmspaceError, PermissionError):
    """The space was opened read-only and the call would change something."""


class PermissionDenied(ShmspaceError, PermissionError):
    """The region belongs to somebody else, or is more open than its mode says."""


class SpaceFull(ShmspaceError, MemoryError):
    """The space has reached its size, or the machine has no shared memory left."""

    # CPython makes such a class with the allocator of its first base but finds MemoryError's by name, and then refuses
    # to call it (which only unpickling and copying do); so the name is bound to the one in use.
    __new__ = Exception.__new__  # type: ignore[assignment]


class PersistenceError(ShmspaceError, OSError):
    """Writing to disk failed; `errno` is the operating system's reason, or None."""

    def __init__(self, message: str = "", *, errno: int | None = None) -> None:
        super().__init__(message)
        self.errno = errno


class NotASpace(ShmspaceError):
    """What stands under that name is no space."""


class IncompatibleLayout(ShmspaceError):
    """The space was made by a version of shmspace whose layout this one cannot read."""


class Corrupted(ShmspaceError):
    """Bytes that no correct writer leaves behind; for files `path` and `position` (in bytes) say where."""

    path: str | None
    position: int | None

    def __init__(self, message: str = "", *, path: str | None = None, position: int | None = None) -> None:
        super().__init__(message)
        self.path = path
        self.position = position


class TooManyMembers(ShmspaceError):
    """As many processes are attached as the space was created for."""


class NotDurable(ShmspaceError):
    """A durable structure needs a space that was opened with ``persist=``."""


class WorkerDied(ShmspaceError):
    """The task killed its worker each time that it was tried."""
