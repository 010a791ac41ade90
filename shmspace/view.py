"""Views: messages written and read where they lie in shared memory, without a copy."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._native import ffi, lib

if TYPE_CHECKING:
    from .channel import Reader, Writer

__all__ = ["IncomingView", "OutgoingView"]


def _deadline(limit: int) -> int:
    """The next moment at which Python looks for signals, or the deadline."""
    return min(limit, int(lib.shm_monotonic_ns()) + _native.SLICE_NS)


def _release(view: memoryview | None) -> None:
    if view is None:
        return
    try:
        view.release()
    except BufferError:
        raise BufferError(
            "something still looks into the view (an array or a slice made from it): its memory is kept until that is "
            "gone; copy what you want to keep before leaving the block"
        ) from None


class OutgoingView:
    """What `Writer.reserve` gives: inside ``with`` a writable memoryview, sent at the end."""

    def __init__(self, writer: Writer, length: int, timeout_ns: int) -> None:
        self._writer = writer
        self._length = length
        self._timeout_ns = timeout_ns
        self._native: Any = None
        self._view: memoryview | None = None

    def __enter__(self) -> memoryview:
        pointer = self._writer._pointer
        native = ffi.new("shm_view *")
        limit = _native.deadline(max(self._timeout_ns, _native.SLICE_NS) if self._timeout_ns >= 0 else -1)
        self._native = native
        status = lib.shm_channel_reserve(pointer, self._length, limit, native)
        if status != lib.SHM_OK:
            raise self._writer._exception(status, "reserve", self._timeout_ns)
        if not lib.shm_channel_alive(pointer):
            self.drop()
            raise self._writer._exception(lib.SHM_CLOSED, "reserve", self._timeout_ns)
        # The buffer keeps the handle, and so the mapping, as long as anything looks into it.
        address = ffi.gc(native.data, _keep(self._writer._pointers[-1], self._writer._space._attachment))
        self._view = memoryview(ffi.buffer(address, self._length)) if self._length else memoryview(bytearray())
        return self._view

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is not None:
            self.drop()
            return
        try:
            self.finish()
            self._wait_and_commit()
        except BaseException:
            self.drop()
            raise

    def finish(self) -> None:
        """Take the view away from the user: what is in it now is the message."""
        _release(self._view)

    def commit(self) -> None:
        """Send it if there is room at once; raises `Full` and `Closed`."""
        status = self._commit(0)
        if status != lib.SHM_OK:
            raise self._writer._exception(status, "reserve", 0)

    def drop(self) -> None:
        """Give the memory back unsent."""
        native, self._native = self._native, None
        if native is not None and native.block:
            lib.shm_channel_abort(self._writer._pointers[-1], native)

    def _commit(self, deadline: int) -> int:
        status = int(lib.shm_channel_commit(self._writer._pointers[-1], self._native, deadline))
        if status == lib.SHM_OK:
            self._native = None
        return status

    def _wait_and_commit(self) -> None:
        limit = _native.deadline(self._timeout_ns)
        waits = self._writer._channel._overflow != "error"
        while True:
            status = self._commit(0 if self._timeout_ns == 0 else _deadline(limit))
            if status == lib.SHM_OK:
                return
            late = int(lib.shm_monotonic_ns()) >= limit
            if status in (lib.SHM_BUSY, lib.SHM_INTERRUPTED):
                continue
            if status not in (lib.SHM_FULL, lib.SHM_TIMEOUT) or late or not waits:
                raise self._writer._exception(status, "reserve", self._timeout_ns)


class IncomingView:
    """What `Reader.recv_view` gives: inside ``with`` a read-only memoryview of one message."""

    def __init__(self, reader: Reader, timeout_ns: int) -> None:
        self._reader = reader
        self._timeout_ns = timeout_ns
        self._view: memoryview | None = None
        self._pinned: Any = None

    def __enter__(self) -> memoryview:
        reader = self._reader
        if reader._rest is not None or reader._kept:
            self._view = memoryview(reader._next_bytes())
            return self._view
        limit = _native.deadline(self._timeout_ns)
        native = ffi.new("shm_view *")
        while True:
            pointer = reader._pointer
            deadline = 0 if self._timeout_ns == 0 else _deadline(limit)
            status = lib.shm_channel_recv_view(pointer, native, deadline)
            if status == lib.SHM_OK and native.block:
                self._view = self._pin(pointer, native)
                return self._view
            if status == lib.SHM_OK:  # short, or no pin left: a copy does
                left = -1 if self._timeout_ns < 0 else max(0, limit - int(lib.shm_monotonic_ns()))
                self._view = memoryview(reader._recv_stored(None if left < 0 else left / 1e9))
                return self._view
            if status in (lib.SHM_INTERRUPTED, lib.SHM_BUSY, lib.SHM_FORKED):
                continue
            if status in (lib.SHM_EMPTY, lib.SHM_TIMEOUT) and int(lib.shm_monotonic_ns()) < limit:
                continue
            raise reader._exception(status, "recv_view", self._timeout_ns)

    def _pin(self, pointer: Any, native: Any) -> memoryview:
        # Unpinned when the last thing that looks into it is gone; at the exit at the latest if nothing does.
        self._pinned = ffi.gc(native.data, _unpin(pointer, native, self._reader._space._attachment))
        return memoryview(ffi.buffer(self._pinned, native.length_bytes)).toreadonly()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        view, self._view = self._view, None
        pinned, self._pinned = self._pinned, None
        try:
            _release(view)
        except BufferError:
            if kind is None:
                raise
            return
        if pinned is not None:
            ffi.release(pinned)


def _keep(*objects: Any) -> Any:
    def nothing(_: Any, kept: tuple[Any, ...] = objects) -> None:
        """Hold on to the objects until the pointer is gone."""

    return nothing


def _unpin(pointer: Any, native: Any, attachment: Any) -> Any:
    def unpin(_: Any, kept: Any = attachment) -> None:
        lib.shm_channel_unpin(pointer, native)

    return unpin
