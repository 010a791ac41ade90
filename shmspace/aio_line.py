"""Coroutines that wait for something in shared memory: they look at it when the bell of their process was rung."""

from __future__ import annotations

import asyncio
import math
import time
import weakref
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from .attachment import Attachment

__all__ = ["Line", "Waiting", "line_for"]


class Waiting(Protocol):
    """One call that waits."""

    shelf: Any
    """The handle that it belongs to."""

    def is_over(self) -> bool:
        """Say whether there is nothing to wait for any more; else the bell will be rung."""

    def probe(self) -> None:
        """Look whether somebody has died who matters."""


class Line:
    """The coroutines of one event loop that stand in line somewhere in one region."""

    def __init__(self, attachment: Attachment, loop: asyncio.AbstractEventLoop) -> None:
        self.attachment = attachment
        self._loop = loop
        self._bell = attachment.ring_bells()
        self._waiting: dict[Waiting, asyncio.Future[None]] = {}

    async def stand(self, call: Waiting, deadline: float) -> None:
        """Wait until the call was told something, or the deadline has passed."""
        future: asyncio.Future[None] = self._loop.create_future()
        if not self._waiting:
            self._bell.listen(self._loop, self._look)
        self._waiting[call] = future
        timer = None
        if deadline < math.inf:
            timer = self._loop.call_later(max(0.0, deadline - time.monotonic()), _wake_up, future)
        try:
            if not call.is_over():  # else it was told before the bell was heard
                await future
        finally:
            if timer is not None:
                timer.cancel()
            del self._waiting[call]
            if not self._waiting:
                self._bell.ignore(self._look)

    def _look(self, probe: bool) -> None:
        # Those in line at a structure that was deleted, or a handle that was closed, are not told one by one.
        over = {shelf for shelf in {call.shelf for call in self._waiting} if shelf.closed or not shelf._is_there()}
        for call, future in list(self._waiting.items()):
            if probe and call.shelf not in over:
                call.probe()
            if call.shelf in over or call.is_over():
                _wake_up(future)


def _wake_up(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


_lines: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, tuple[int, Line]]] = weakref.WeakKeyDictionary()


def line_for(attachment: Attachment) -> Line:
    """Give the line of the running event loop in that region."""
    loop = asyncio.get_running_loop()
    mine = _lines.setdefault(loop, {})
    epoch, line = mine.get(id(attachment), (None, None))
    if line is None or epoch != attachment.epoch or line.attachment is not attachment:
        line = Line(attachment, loop)
        mine[id(attachment)] = (attachment.epoch, line)
    return line
