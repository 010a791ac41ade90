"""The counts of the demo as they rise: watches of the store in which the workers add them up."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import shmspace
from shmspace.cli.demo.merge import TOKENS, totals
from shmspace.errors import Empty, Lagged

_WORDS = 8


class LiveCounts:
    """Follows a few words, those that come most often in the first files; holds nobody up.

    `workers` gives the numbers of all who count.
    """

    def __init__(self, store: shmspace.Store, workers: Callable[[], Iterable[int]]) -> None:
        self._store = store
        self._workers = workers
        self._watches: dict[str, shmspace.Watch] = {}
        self._counts: dict[str, int] = {}  # by key

    def follow(self) -> None:
        """Take what has happened since the last time."""
        if not self._watches and self._store.list(TOKENS, limit=1):
            for word, _ in totals(self._store).most_common(_WORDS):
                self._watches[word] = self._store.watch(TOKENS[:-1] + word)
                self._read(word)
        for word, watch in self._watches.items():
            try:
                while True:
                    event = watch.next(timeout=0)
                    self._counts[event.key] = event.entry.value
            except Empty:
                pass
            except Lagged:
                self._read(word)

    def most(self) -> list[tuple[str, int]]:
        """Give these words and their counts, the largest first."""
        counts = dict.fromkeys(self._watches, 0)
        for key, count in self._counts.items():
            counts[key.rsplit("/", 1)[1]] += count
        return sorted(counts.items(), key=lambda item: (-item[1], item[0]))

    def close(self) -> None:
        """Watch no more."""
        for watch in self._watches.values():
            watch.close()

    def _read(self, word: str) -> None:
        for worker in self._workers():
            entry = self._store.get(f"tokens/{worker}/{word}", None)
            if entry is not None:
                self._counts[entry.key] = entry.value
