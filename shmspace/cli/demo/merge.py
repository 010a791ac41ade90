"""How the workers of the demo add up what they count: in a store, each file once, whoever is killed when.

Each worker has keys of its own, ``tokens/NUMBER/WORD``, which it raises with `incr`. Before it begins with a file it
notes what it is going to add, and what these keys have until then (``merging/FILE``). The lease of a file is given to
another worker only when its holder is dead; so whoever gets a file finds out whether somebody died while he added it,
and adds in his place what is missing: nothing is added twice, or left out.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping
from typing import Any

import shmspace

STORE = "counts"
TOKENS = "tokens/*/*"


class Merger:
    """Adds the counts of files to the keys of one worker."""

    def __init__(self, space: shmspace.Space, number: int) -> None:
        self._store = open_counts(space)
        self._number = number
        self._mine: Counter[str] = Counter()  # what our keys have: nobody else writes them while we live

    def is_done(self, name: str) -> bool:
        """Tell whether this file is in the counts; what a dead worker had begun to add is finished first."""
        digest = _digest(name)
        if f"done/{digest}" in self._store:
            return True
        begun = self._store.get(f"merging/{digest}", None)
        if begun is None:
            return False
        self._finish(digest, begun.value)
        return True

    def merge(self, name: str, words: Mapping[str, int]) -> None:
        """Add the counts of a file that is not done."""
        digest, mine, incr = _digest(name), self._mine, self._store.incr
        sums = {word: [mine[word], count] for word, count in words.items()}
        self._store.set(f"merging/{digest}", {"worker": self._number, "sums": sums}, silent=True)
        prefix = f"tokens/{self._number}/"
        for word, count in words.items():
            mine[word] = incr(prefix + word, count)
        self._end(digest)

    def _finish(self, digest: str, begun: dict[str, Any]) -> None:
        for word, (before, count) in begun["sums"].items():
            key = f"tokens/{begun['worker']}/{word}"
            entry = self._store.get(key, None)
            if (entry.value if entry else 0) == before:
                self._store.incr(key, count)
        self._end(digest)

    def _end(self, digest: str) -> None:
        self._store.set(f"done/{digest}", True, silent=True)
        self._store.delete(f"merging/{digest}", silent=True)


def open_counts(space: shmspace.Space) -> shmspace.Store:
    """Give the store that the counts are in."""
    return space.store(STORE, codec="msgpack")


def totals(store: shmspace.Store) -> Counter[str]:
    """Add up what all workers have counted."""
    words: Counter[str] = Counter()
    for entry in store.list(TOKENS):
        words[entry.index] += entry.value
    return words


def _digest(name: str) -> str:
    """Name a file in a key: its own name may have what keys may not have."""
    return hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()
