"""Sends the names of the files to the workers, on a thread of its own so that results are taken meanwhile."""

from __future__ import annotations

import threading
from collections.abc import Iterable

import shmspace
from shmspace.errors import Full

_PATIENCE_SECONDS = 0.1


class Feeder:
    """Sends each name in turn and closes the writer behind the last: then the workers see the end of the stream."""

    def __init__(self, writer: shmspace.Writer, names: Iterable[str]) -> None:
        self._writer = writer
        self._names = names
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="feeder", daemon=True)
        self.sent: list[str] = []
        """The names that are in the channel or were taken from it."""
        self.error: Exception | None = None
        """What ended it early."""

    def start(self) -> None:
        """Begin to send."""
        self._thread.start()

    @property
    def finished(self) -> bool:
        """True when nothing more will be sent."""
        return self._thread.ident is not None and not self._thread.is_alive()

    def close(self) -> None:
        """Stop sending; the stream ends with what has been sent."""
        self._stop.set()
        if self._thread.ident is not None:
            self._thread.join()
        else:
            self._writer.close()

    def _run(self) -> None:
        try:
            for name in self._names:
                if not self._send(name):
                    break
        except Exception as error:  # for the collector, which raises it
            self.error = error
        finally:
            self._writer.close()

    def _send(self, name: str) -> bool:
        while not self._stop.is_set():
            try:
                self._writer.send(name, timeout=_PATIENCE_SECONDS)
            except Full:
                continue
            self.sent.append(name)
            return True
        return False
