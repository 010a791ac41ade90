"""The text files that the demo indexes."""

from __future__ import annotations

import os
import sysconfig
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shmspace.cli.refusal import Refusal

# Not the text that somebody means who names a directory: caches, repositories, packages of others.
_SKIPPED_FOLDERS = {"__pycache__", ".git", "site-packages", "dist-packages", "node_modules"}
_LARGEST_BYTES = 32 << 20  # a worker holds a whole file in memory


@dataclass(frozen=True)
class Corpus:
    """Text files below one directory."""

    root: Path
    sizes: dict[str, int]
    """Size in bytes of each file by its path below the root, the largest first: begun last, a large file would keep one
    worker busy when the others have nothing left."""
    skipped: int
    """Files that were left out: not text, empty, unreadable or too large."""

    @property
    def nbytes(self) -> int:
        """Size of all files together."""
        return sum(self.sizes.values())


def default_root() -> Path:
    """Give the directory of the Python standard library's own sources."""
    return Path(sysconfig.get_path("stdlib"))


def find_corpus(root: Path) -> Corpus:
    """Find the text files below `root`; raises `Refusal` if there is none.

    Every file is read once here, so that neither of the two counts later pays for fetching it from the disk.
    """
    sizes: dict[str, int] = {}
    skipped = 0
    for path in _files(root):
        name = os.path.relpath(path, root)
        nbytes = _text_bytes(path) if _is_sendable(name) else 0
        if nbytes:
            sizes[name] = nbytes
        else:
            skipped += 1
    if not sizes:
        raise Refusal(f"there is no text file below {root}")
    ordered = sorted(sizes.items(), key=lambda item: (-item[1], item[0]))
    return Corpus(root, dict(ordered), skipped)


def _files(root: Path) -> Iterator[str]:
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(set(folders) - _SKIPPED_FOLDERS)
        for name in sorted(names):
            path = os.path.join(folder, name)
            if os.path.isfile(path) and not os.path.islink(path):  # a pipe or a device would block
                yield path


def _is_sendable(name: str) -> bool:
    # A name goes through the channel as text, and not every file name is text.
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _text_bytes(path: str) -> int:
    """Give the size of a text file, 0 for whatever is none."""
    try:
        if os.path.getsize(path) > _LARGEST_BYTES:
            return 0
        with open(path, "rb") as file:
            data = file.read()
    except OSError:
        return 0
    try:
        data.decode()
    except UnicodeDecodeError:
        return 0
    return 0 if b"\0" in data else len(data)
