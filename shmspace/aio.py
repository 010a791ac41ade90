"""asyncio: the blocking calls as coroutines, the iterators as async iterators. See bell.py for how they are woken.

A coroutine that waits has taken nothing; it takes in one step after it was woken. So cancelling it loses nothing.
"""

from __future__ import annotations

import asyncio
import collections
import functools
import math
import time
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any, cast

from . import options
from ._native import lib
from .errors import Empty, EndOfStream, Full, Timeout

if TYPE_CHECKING:
    from .attachment import Attachment
    from .channel import Channel, Reader, Writer
    from .handle import PortHandle
    from .view import OutgoingView

__all__ = ["ChannelAio", "ReaderAio", "WriterAio"]

_BRIEF = 1e-9  # a timeout (s): the lock of another process is not waited for, as it is with 0
_PATIENCE_S = 0.05  # for locks, which are held for a moment, of calls that do not wait
_NAP_MOST_S = 0.025
_STATUS = {Empty: lib.SHM_EMPTY, Full: lib.SHM_FULL}

_Queue = collections.deque["asyncio.Future[None]"]


class _Waiters:
    """The coroutines of one event loop that wait for something in one region, by what they wait for."""

    def __init__(self, attachment: Attachment, loop: asyncio.AbstractEventLoop) -> None:
        self._attachment = attachment
        self._loop = loop
        self._bell = attachment.ring_bells()
        self._queues: dict[tuple[PortHandle, bool], _Queue] = {}

    async def wait(self, port: PortHandle, room: bool, deadline: float) -> None:
        """Wait until there may be a message (or room) for `port`, or the deadline has passed."""
        key = (port, room)
        queue = self._queues.get(key)
        if queue is None:
            if not self._queues:
                self._bell.listen(self._loop, self._look)
            queue = self._queues[key] = collections.deque()
        future: asyncio.Future[None] = self._loop.create_future()
        queue.append(future)
        handle = None
        if deadline < math.inf:
            handle = self._loop.call_later(max(0.0, deadline - time.monotonic()), _wake_up, future)
        try:
            lib.shm_channel_arm(port._pointer, room)
            if not _ready(port, room):  # else it came before the bell was armed
                await future
        finally:
            if handle is not None:
                handle.cancel()
            self._forget(key, queue, future)

    def _forget(self, key: tuple[PortHandle, bool], queue: _Queue, future: asyncio.Future[None]) -> None:
        if future in queue:
            queue.remove(future)
        elif queue:
            # We were woken, and may have been cancelled, or take less than there is: let the next one look.
            self._loop.call_soon(self._wake, key)
        if not queue:
            self._queues.pop(key, None)
            if not self._queues:
                self._bell.ignore(self._look)

    def _look(self, probe: bool) -> None:
        for key in list(self._queues):
            port, room = key
            if probe and not port.closed:
                lib.shm_channel_probe(port._raw, not room)
            self._wake(key)

    def _wake(self, key: tuple[PortHandle, bool]) -> None:
        """Wake the first waiter if there is something for it; the bell is armed again for the others."""
        queue = self._queues.get(key)
        if not queue:
            return
        port, room = key
        if not port.closed:
            lib.shm_channel_arm(port._raw, room)
        if not port.closed and not _ready(port, room):
            return
        future = queue.popleft()
        if not future.done():
            future.set_result(None)
        else:
            self._loop.call_soon(self._wake, key)


def _wake_up(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _ready(port: PortHandle, room: bool) -> bool:
    if port.closed:
        return True
    pointer = port._raw
    status = lib.shm_channel_look_room(pointer) if room else lib.shm_channel_look(pointer)
    return bool(status != lib.SHM_EMPTY)


_waiters: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, dict[int, tuple[int, _Waiters]]] = (
    weakref.WeakKeyDictionary()
)


def _waiters_for(attachment: Attachment) -> _Waiters:
    loop = asyncio.get_running_loop()
    mine = _waiters.setdefault(loop, {})
    epoch, waiters = mine.get(id(attachment), (None, None))
    if waiters is None or epoch != attachment.epoch or waiters._attachment is not attachment:
        waiters = _Waiters(attachment, loop)
        mine[id(attachment)] = (attachment.epoch, waiters)
    return waiters


async def _until(
    port: PortHandle, what: str, timeout: float | None, default_ns: int, attempt: Callable[[], Any], room: bool = False
) -> Any:
    """Call `attempt`, which never waits, until it is not refused any more, or time is up.

    A lock that somebody holds is waited for in naps: nobody rings when it is free. With timeout 0 too, but briefly.
    """
    timeout_ns = default_ns if timeout is None else options.timeout_ns(timeout)
    limit = math.inf if timeout_ns < 0 else time.monotonic() + max(timeout_ns / 1e9, 0 if timeout_ns else _PATIENCE_S)
    nap = 0.0
    while True:
        try:
            return attempt()
        except Timeout as refusal:
            waits = not isinstance(refusal, Full) or not port._overflows_with_error()
            locked = not isinstance(refusal, Empty | Full) or _ready(port, room)
            if not waits or time.monotonic() >= limit or (timeout_ns == 0 and not locked):
                status = _STATUS.get(type(refusal), lib.SHM_TIMEOUT)
                raise port._exception(status, what, timeout_ns) from None
        if locked:
            await asyncio.sleep(nap)
            nap = min(2 * nap + 0.001, _NAP_MOST_S)
        else:
            nap = 0.0
            await _waiters_for(port._space._attachment).wait(port, room, limit)


class _SenderAio:
    def __init__(self, port: Any, timeout_ns: int) -> None:
        self._port = port
        self._timeout_ns = timeout_ns

    async def send(self, value: object, timeout: float | None = None) -> None:
        """As the handle's own `send`, without blocking the loop."""
        await self._put("send", lambda: self._port.send(value, _BRIEF), timeout)

    async def send_many(self, values: Any, timeout: float | None = None) -> int:
        """As the handle's own `send_many`, without blocking the loop."""
        left, sent = list(values), 0
        timeout_ns = self._timeout_ns if timeout is None else options.timeout_ns(timeout)
        deadline = None if timeout_ns < 0 else time.monotonic() + timeout_ns / 1e9
        encoded = [self._port._codec.encode(value) for value in left]
        for _, data in encoded:
            if len(data) > self._port._max_message:
                self._port._refuse_length(len(data))
        while left:
            remaining = None if deadline is None else max(0.0, deadline - time.monotonic())
            try:
                done = await self._put("send_many", functools.partial(self._port.send_many, left, _BRIEF), remaining)
            except Full:
                if sent:
                    break
                raise
            sent += done
            left = left[done:]
        return sent

    async def _put(self, what: str, attempt: Callable[[], Any], timeout: float | None) -> Any:
        return await _until(self._port, what, timeout, self._timeout_ns, attempt, room=True)


class _ReceiverAio:
    def __init__(self, port: Any, timeout_ns: int) -> None:
        self._port = port
        self._timeout_ns = timeout_ns

    async def recv(self, timeout: float | None = None) -> Any:
        """As the handle's own `recv`, without blocking the loop."""
        port = self._receiver()
        return await _until(port, "recv", timeout, self._timeout_ns, lambda: port._recv(_BRIEF))

    async def recv_many(self, max_count: int, timeout: float | None = None) -> list[Any]:
        """As the handle's own `recv_many`, without blocking the loop."""
        port = self._receiver()
        attempt = functools.partial(port._recv_many, max_count, _BRIEF)
        return list(await _until(port, "recv_many", timeout, self._timeout_ns, attempt))

    def _receiver(self) -> Any:
        return self._port


class WriterAio(_SenderAio):
    """Coroutines of a `Writer`."""

    def __init__(self, writer: Writer) -> None:
        super().__init__(writer, writer._timeout_ns)

    def reserve(self, nbytes: int, timeout: float | None = None) -> OutgoingViewAio:
        """As `Writer.reserve`, an async context manager: its exit does not block the loop."""
        timeout_ns = self._timeout_ns if timeout is None else options.timeout_ns(timeout)
        return OutgoingViewAio(self._port, self._port.reserve(nbytes, 0), timeout_ns)

    async def write(self, data: Any, timeout: float | None = None) -> int:
        """As `Writer.write`, without blocking the loop."""
        return int(await self._put("write", lambda: self._port.write(data, _BRIEF), timeout))


class OutgoingViewAio:
    """What `WriterAio.reserve` gives."""

    def __init__(self, writer: Writer, view: OutgoingView, timeout_ns: int) -> None:
        self._writer = writer
        self._outgoing = view
        self._timeout_ns = timeout_ns

    async def __aenter__(self) -> memoryview:
        return self._outgoing.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        outgoing = self._outgoing
        try:
            outgoing.end(kind)
            if kind is None:
                await _until(self._writer, "reserve", None, self._timeout_ns, outgoing.commit, room=True)
        finally:
            outgoing.drop()


class IncomingViewAio:
    """What `ReaderAio.recv_view` gives."""

    def __init__(self, reader: Reader, timeout_ns: int) -> None:
        self._reader = reader
        self._incoming = reader.recv_view(0)
        self._timeout_ns = timeout_ns

    async def __aenter__(self) -> memoryview:
        attempt = functools.partial(self._incoming.enter, brief=True)
        return cast(memoryview, await _until(self._reader, "recv_view", None, self._timeout_ns, attempt))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._incoming.__exit__(kind, error, trace)


class ReaderAio(_ReceiverAio):
    """Coroutines of a `Reader`; ``async for`` gives values until the end of the stream."""

    def __init__(self, reader: Reader) -> None:
        super().__init__(reader, reader._timeout_ns)

    def recv_view(self, timeout: float | None = None) -> IncomingViewAio:
        """As `Reader.recv_view`, an async context manager."""
        return IncomingViewAio(self._port, self._timeout_ns if timeout is None else options.timeout_ns(timeout))

    async def read(self, n: int | None = -1) -> bytes:
        """As `Reader.read`, without blocking the loop."""
        if n != 0 and self._port._rest is None:
            try:
                while not (data := await self._next_stored()):
                    pass
            except EndOfStream:
                return b""
            self._port._rest = data
        return bytes(self._port.read(n))

    async def readinto(self, buffer: Any) -> int:
        """As `Reader.readinto`, without blocking the loop."""
        from .channel import writable

        target = writable(buffer)
        data = await self.read(len(target))
        target[: len(data)] = data
        return len(data)

    async def _next_stored(self) -> bytes:
        attempt = functools.partial(self._port._recv_stored, _BRIEF)
        return bytes((await _until(self._port, "read", None, self._timeout_ns, attempt))[1])

    def __aiter__(self) -> ReaderAio:
        return self

    async def __anext__(self) -> Any:
        try:
            return await self.recv()
        except EndOfStream:
            raise StopAsyncIteration from None


class ChannelAio(_SenderAio, _ReceiverAio):
    """Coroutines of a `Channel`."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel, -1)

    def _receiver(self) -> Any:
        return self._port._receiver() if self._port._delivery == "all" else self._port
