"""Watches: places in the events of a store, from which they are read one after the other, as they come.

The calls are native; see _native/hot_watch.c.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native, options
from ._native import ffi, lib
from .cabinet import EITHER
from .entry import Event
from .errors import Closed, Lagged
from .handle import PATIENCE_NS

if TYPE_CHECKING:
    from .aio_store import WatchAio
    from .store import Store

__all__ = ["Watch"]

_SEQ_MOST = 2**64 - 1
_JOIN_S = 5.0  # a callback may wait for what its closer has

_logger = logging.getLogger("shmspace")


def _free(room: Any, *_: Any) -> None:
    if room[0]:
        lib.shm_watch_free(room[0])


class Watch(_native.Watch):  # type: ignore[misc]  # a native type
    """An iterator over the events of a store that waits for those to come; `Store.watch` gives it.

    `lost` counts the events that it missed, `last_seq` is the highest of those given. Threads that share it share its
    events.
    """

    def __init__(
        self,
        store: Store,
        glob: str | None,
        start: str | int,
        timeout: float | None,
        callback: Callable[[Event], object] | None,
    ) -> None:
        if callback is not None and not callable(callback):
            raise TypeError(f"callback must be callable or None, not {type(callback).__name__}")
        if isinstance(start, str):
            options.check_choice(start, what="start", choices=("now",))
        else:
            options.check_count(start, what="start", least=0, most=_SEQ_MOST)
        self._store = store
        self._glob = None if glob is None else store._key(glob, EITHER)
        self._start = start
        self._callback = callback
        self._thread: threading.Thread | None = None
        self._timeout_ns = options.timeout_ns(timeout) if callback is None else -1
        self._made: list[_native.Owned] = []  # kept while this object lives: a thread may be inside
        self._open(start)
        store._children.add(self)
        if store.closed:  # by another thread, which may not have seen this one
            self.close()
        if callback is not None:
            self._thread = threading.Thread(target=self._run, name="shmspace watch", daemon=True)
            self._thread.start()

    def _open(self, start: str | int) -> None:
        store = self._store
        store._look_there()
        pointer, glob = store._raw, self._glob
        from_seq, seq = (0, 0) if isinstance(start, str) else (1, start)
        made = _native.Owned("shm_watch **", _free, store._made[-1])
        status = _native.patiently(
            lambda limit: lib.shm_watch_open(
                pointer, ffi.NULL if glob is None else glob, len(glob or b""), from_seq, seq, limit, made.room
            ),
            PATIENCE_NS,
        )
        if status != lib.SHM_OK:
            raise store._exception(status, "watch", PATIENCE_NS)
        self._made.append(made)
        self._bind(int(ffi.cast("uintptr_t", made.room[0])), store, Event, self._timeout_ns)

    def _fail(self, status: int) -> None:
        """Raise what a status means; return when the call should be tried again."""
        if status == lib.SHM_FORKED:  # the place was the parent's: on behind what was given last
            self._open(self.last_seq or self._start)
            return
        self._store._fail(status, "watch", -1)

    def _refuse_gap(self, lost: int) -> None:
        raise Lagged(f"watch on {self._store}: overtaken, at least {lost} events were missed", lost=lost)

    def _run(self) -> None:
        callback = self._callback
        assert callback is not None
        while True:
            try:
                for event in self:
                    callback(event)
                return
            except Closed:
                if self.closed or not self._store._is_there():
                    return
                _logger.exception("the callback of a watch on %s raised", self._store)
            except Lagged as gap:
                _logger.warning("%s", gap)
            except Exception:
                _logger.exception("the callback of a watch on %s raised", self._store)

    def close(self) -> None:
        """End it: who waits in it on another thread gets `StopIteration`. A callback is not called any more."""
        if not self._store.closed:  # else for good: whoever waits gets `Closed`
            self._end()
            lib.shm_store_wake(self._store._raw)
        thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(_JOIN_S)
        if self._retire():
            for made in self._made:
                made.give_back()

    @property
    def closed(self) -> bool:
        """Whether it, or its store, was closed in this process."""
        return bool(self._ended or self._store.closed)

    def __enter__(self) -> Watch:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        what = "all keys" if self._glob is None else repr(self._glob.decode())
        state = " (closed)" if self.closed else ""
        return f"<shmspace.Watch on {what} of {self._store}{state}>"

    @property
    def aio(self) -> WatchAio:
        """The same as an asynchronous iterator."""
        from .aio_store import WatchAio

        return WatchAio(self)
