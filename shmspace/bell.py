"""Bells: how other processes wake an event loop of this one, without a thread per waiter.

Whoever changes something that a member's event loop waits for rings the member's bell, a word in the region. One thread
per process and region sleeps on that word and tells the loops, through the one descriptor that each asyncio loop has.
A ring too many is harmless. A lost one (its ringer was killed) is made good after at most 100 ms, when the thread tells
the loops to look again anyway; then they also look whether somebody has died.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
import time
from collections.abc import Callable
from typing import Any

from ._native import lib

__all__ = ["Bell"]

_NAP_NS = 100_000_000
_LINGER_S = 3.0  # with nobody to tell: who waits once mostly waits again


class Bell:
    """The bell of this process in one region; `listen` and `ignore` are for event loops."""

    def __init__(self, pointer: Any) -> None:
        self._pointer = pointer  # keeps the mapping
        self._lock = threading.Lock()
        self._listeners: dict[Callable[[bool], None], asyncio.AbstractEventLoop] = {}
        self._thread: threading.Thread | None = None
        self._stopped = False

    def listen(self, loop: asyncio.AbstractEventLoop, look: Callable[[bool], None]) -> None:
        """Call ``look(probe)`` in `loop` after every ring, with True when it should look for the dead too."""
        with self._lock:
            self._listeners[look] = loop
            if self._thread is None and not self._stopped:
                seen = lib.shm_bell_wait(self._pointer, 0, 0)  # what is rung from now on is heard
                self._thread = threading.Thread(target=self._run, args=(seen,), name="shmspace bell", daemon=True)
                self._thread.start()

    def ignore(self, look: Callable[[bool], None]) -> None:
        """Forget a listener. The thread ends when there has been none for a while."""
        with self._lock:
            self._listeners.pop(look, None)

    def stop(self) -> None:
        """End the thread, for good."""
        with self._lock:
            self._stopped = True
            self._listeners.clear()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            lib.shm_bell_ring_self(self._pointer)
            thread.join()

    def after_fork(self) -> None:
        """In the child: thread and listeners are the parent's, and so may whoever holds the lock be."""
        self._lock = threading.Lock()
        self._listeners, self._thread = {}, None

    def _run(self, seen: int) -> None:
        needed = time.monotonic()
        while True:
            now = lib.shm_bell_wait(self._pointer, seen, _NAP_NS)
            with self._lock:
                listeners = list(self._listeners.items())
                if listeners:
                    needed = time.monotonic()
                elif self._stopped or time.monotonic() > needed + _LINGER_S:
                    self._thread = None
                    return
            for look, loop in listeners:
                with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile
                    loop.call_soon_threadsafe(look, now == seen)
            seen = now
