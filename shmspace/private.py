"""Spaces without a name: private to the processes that were handed them, gone with the last of these.

The memory has no entry in any directory; the kernel keeps it as long as a process has it open or mapped. So nothing has
to find out who is last, and a process that is killed leaves nothing to clear away.

A space travels as a descriptor: by fork, to a child that is being spawned together with its standard streams, and to
any other process of the same user through /proc, as long as the sender has it open.
"""

from __future__ import annotations

import os
import weakref
from multiprocessing import context, reduction
from typing import Any

from .attachment import Attachment, attach_nameless, make_nameless
from .errors import NotFound
from .space import Space

__all__ = ["PrivateSpace", "make_private"]

_LEAST_BYTES, _MOST_BYTES = 64 << 20, 1 << 40
_MEMBERS = 256


class PrivateSpace(Space):
    """A space that only those know who were handed it. It is left when the last object in it goes."""

    def __init__(self, fd: int) -> None:
        try:
            attachment = attach_nameless(fd)
        except BaseException:
            os.close(fd)
            raise
        super().__init__(attachment, "private", "/proc/self/fd", mode=0o600, allow_pickle=True)
        self._fd = fd
        self._gone = weakref.finalize(self, _let_go, attachment, fd)
        self._gone.atexit = False

    def __reduce__(self) -> tuple[Any, ...]:
        self._pointer()
        if context.get_spawning_popen() is not None:
            return _arrived, (reduction.DupFd(self._fd),)
        found = os.fstat(self._fd)
        return _called_for, (os.getpid(), self._fd, found.st_dev, found.st_ino)

    def close(self) -> None:
        """Close every handle made from it, and leave it; its memory goes with the last process that has it."""
        if not self._closed:
            super().close()
            if self._gone.detach():
                os.close(self._fd)

    def destroy(self) -> None:
        """Remove all that is in it, for everybody."""
        for kind in ("channel", "queue", "tuples", "log", "sharded_log"):
            for name in self.names(kind):
                self.delete(kind, name)


def _let_go(attachment: Attachment, fd: int) -> None:
    attachment.release()
    os.close(fd)


def _arrived(ticket: Any) -> PrivateSpace:
    return PrivateSpace(ticket.detach())


def _called_for(pid: int, fd: int, device: int, inode: int) -> PrivateSpace:
    try:
        mine = os.open(f"/proc/{pid}/fd/{fd}", os.O_RDWR | os.O_CLOEXEC)
    except OSError as error:
        raise NotFound(f"process {pid}, which sent it, has ended or closed it ({error})") from error
    found = os.fstat(mine)
    if (found.st_dev, found.st_ino) != (device, inode):
        os.close(mine)
        raise NotFound(f"process {pid}, which sent it, has closed it")
    return PrivateSpace(mine)


def default_size() -> int:
    """Give the most bytes that a private space may grow to: half of the machine's memory, as with /dev/shm."""
    half = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return min(max(half, _LEAST_BYTES), _MOST_BYTES) >> 20 << 20


def make_private(members: int = _MEMBERS) -> PrivateSpace:
    """Make a space without a name, for up to so many processes. Raises `SpaceFull`.

    >>> with make_private() as space:
    ...     jobs = space.queue("jobs")
    ...     jobs.put("a.txt")
    ...     jobs.get()
    'a.txt'
    """
    return PrivateSpace(make_nameless(default_size(), members))
