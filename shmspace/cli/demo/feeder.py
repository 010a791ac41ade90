"""Puts the names of the files into the queue, on a thread of its own so that results are taken meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import shmspace
from shmspace.errors import Full

_PATIENCE_SECONDS = 0.1


class Feeder:
    """Puts each name in turn."""

    def __init__(self, queue: shmspace.Queue, names: Iterable[str]) -> None:
        self._queue = queue
        self._names = names
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.sent = 0
        """How many names are in the queue or were taken from it."""
        self.error: Exception | None = None
        """What ended it early."""

    def start(self) -> None:
        """Begin to put."""
        self._thread.start()

    @property
    def finished(self) -> bool:
        """True when nothing more will be put."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def close(self) -> None:
        """Put nothing more."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            for name in self._names:
                if not self._put(name):
                    break
        except Exception as error:  # for the collector, which raises it
            self.error = error

    def _put(self, name: str) -> bool:
        while not self._stop.is_set():
            try:
                self._queue.put(name, timeout=_PATIENCE_SECONDS)
            except Full:
                continue
            self.sent += 1
            return True
        return False
