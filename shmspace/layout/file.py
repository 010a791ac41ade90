"""Region files: where they are, and opening one so that nothing about it is trusted."""

from __future__ import annotations

import errno
import os
import stat

from ..errors import NotASpace, NotFound, PermissionDenied
from ..options import check_space_name

REGION_PREFIX = "shmspace."
TEMPORARY_PREFIX = ".shmspace."
DEFAULT_DIRECTORY = "/dev/shm"

Directory = str | os.PathLike[str] | None

_KINDS = {
    stat.S_IFLNK: "a symbolic link",
    stat.S_IFDIR: "a directory",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFIFO: "a pipe",
    stat.S_IFSOCK: "a socket",
}


def region_path(name: str, directory: Directory = None) -> str:
    """Give the path of the region file of a space; `InvalidName` if no space can have that name.

    >>> region_path("jobs")
    '/dev/shm/shmspace.jobs'
    """
    return os.path.join(directory_path(directory), REGION_PREFIX + check_space_name(name))


def directory_path(directory: Directory) -> str:
    """Give the directory as text; None is that of POSIX shared memory."""
    return DEFAULT_DIRECTORY if directory is None else os.fspath(directory)


def open_region(name: str, path: str) -> int:
    """Open the region file read-only; the descriptor.

    Raises `NotFound`, `NotASpace` for anything but a regular file, `PermissionDenied`.
    """
    try:
        _check_regular(os.lstat(path).st_mode, path)  # first: opening a device can have effects
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no space {name!r}: {path} does not exist; shmspace ls lists what there is") from None
    except PermissionError as error:
        raise PermissionDenied(
            f"the space {name!r} cannot be read: {path}: {error.strerror}; ask its owner, or root"
        ) from error
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.ENXIO, errno.ENODEV):
            raise
        raise NotASpace(f"{path} is not a space: {error.strerror}") from error
    try:
        _check_regular(os.fstat(descriptor).st_mode, path)
    except NotASpace:
        os.close(descriptor)
        raise
    return descriptor


def _check_regular(mode: int, path: str) -> None:
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "no regular file")
        raise NotASpace(f"{path} is not a space: it is {kind}")
