"""Locks of a region in the hands of a process that does nothing with them, as one that was stopped inside a call."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import shmspace
from tests.helpers.control_words import Walk
from tests.helpers.peer_puppet import Puppet


@contextmanager
def held_words(space: shmspace.Space, holder: Puppet, *labels: str) -> Iterator[None]:
    """Write the holder, who lives, into every free lock whose label begins and ends so, as in ``shm_ring lock``."""
    token = next(int(row.token) for row in space._attachment.member_rows() if row.pid == holder.pid)
    words = Walk(Path(space.path).read_bytes()).words()
    places = [
        word.offset
        for word in words
        for start, end in (label.split() for label in labels)
        if word.size_bytes == 4 and word.label.startswith(start) and word.label.endswith(end)
    ]
    assert places
    file = os.open(space.path, os.O_RDWR)
    try:
        before = [os.pread(file, 4, place) for place in places]
        for place in places:
            os.pwrite(file, struct.pack("<I", token), place)
        try:
            yield
        finally:
            for place, word in zip(places, before, strict=True):
                os.pwrite(file, word, place)
    finally:
        os.close(file)
