"""Open-file-description locks on files: the kernel's own record of who is alive."""

from __future__ import annotations

import fcntl
import os
import struct
from pathlib import Path
from typing import IO

# struct flock: type, whence, start, length, pid. A length of 0 means up to the end, whatever the size of the file.
_FLOCK = struct.Struct("hhqqi4x")
_FAR_BYTE = 1 << 62  # as far from the start as the locks of members are, which some file systems may not like


def is_locked(path: Path) -> bool:
    """Tell whether anybody, in whatever PID namespace, has a lock on any byte of the file."""
    asked = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, asked)
    finally:
        os.close(descriptor)
    return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)


def lock(file: IO[bytes]) -> None:
    """Take a lock on one byte of the file until it is closed; raises `OSError` where that does not work."""
    fcntl.fcntl(file, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, _FAR_BYTE, 1, 0))
