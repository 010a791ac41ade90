"""Views: messages written and read where they lie in shared memory, without a copy.

A view is lent for the length of a ``with`` block. The memory behind it goes back when nothing in the process can look
into it any more: no slice, no array, no second memoryview made from it. Until then this process stays in the region.
"""

from __future__ import annotations

import contextlib
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native
from ._native import ffi, lib

if TYPE_CHECKING:
    from .channel import Reader, Writer

__all__ = ["IncomingView", "OutgoingView"]

_PATIENCE_NS = 50_000_000  # of a call that does not wait, for locks that are held for a moment


class _View:
    """A memoryview lent to the user, and the memory behind it."""

    _lent: memoryview | None = None
    _buffer: Callable[[], Any] = staticmethod(lambda: None)
    _made: _native.Owned | None = None

    def _lend(self, memory: Any, length: int, *, readonly: bool) -> memoryview:
        buffer = ffi.buffer(memory, length)
        self._buffer = weakref.ref(buffer)  # whatever is made of the view refers to that, directly or not
        view = memoryview(buffer)
        self._lent = view.toreadonly() if readonly else view
        return self._lent

    def _take_back(self) -> bool:
        """Take the view away from the user; True when nothing made of it looks into the memory any more."""
        view, self._lent = self._lent, None
        if view is not None:
            with contextlib.suppress(BufferError):
                view.release()
            del view
        return self._buffer() is None

    def end(self, kind: type[BaseException] | None) -> None:
        """Take the view away; raises `BufferError` if that cannot be done, unless another exception is under way."""
        if not self._take_back() and kind is None:
            raise BufferError(
                "something still looks into the view (an array, a slice or another memoryview made from it): its "
                "memory is kept until that is gone, and nothing is sent; copy what you want to keep inside the block"
            )

    def drop(self) -> None:
        """Give the memory back, once nothing looks into it."""
        made, self._made = self._made, None
        if self._take_back() and made is not None:
            made.give_back()


class OutgoingView(_View):
    """What `Writer.reserve` gives: inside ``with`` a writable memoryview, sent at the end."""

    def __init__(self, writer: Writer, length: int, timeout_ns: int) -> None:
        self._writer = writer
        self._length = length
        self._timeout_ns = timeout_ns
        self._said: list[int] = []

    def __enter__(self) -> memoryview:
        writer, length, self._said = self._writer, self._length, []
        pointer = self._pointer = writer._pointer
        attachment = writer._space._attachment
        self._made = made = attachment.lend(_abort, pointer, self._said, writer._made[-1])
        try:
            status = _native.patiently(
                lambda limit: lib.shm_channel_reserve(pointer, length, limit, made.room),
                self._timeout_ns if self._timeout_ns < 0 else max(self._timeout_ns, _native.SLICE_NS),
            )
            if status == lib.SHM_OK and not lib.shm_channel_alive(pointer):
                status = lib.SHM_CLOSED
            if status != lib.SHM_OK:
                raise writer._exception(status, "reserve", self._timeout_ns)
            memory = made.hold(made.room.data) if length else ffi.from_buffer(b"")
            return self._lend(memory, length, readonly=False)
        except BaseException:
            self.drop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end(kind)
            if kind is None:
                self._wait_and_commit()
        finally:
            self.drop()

    def commit(self) -> None:
        """Send it if there is room at once; raises `Full` and `Closed`, and `Timeout` when that cannot be told yet."""
        status = self._commit(_now())
        if status != lib.SHM_OK:
            raise self._writer._exception(status, "reserve", 0)

    def _commit(self, deadline: int) -> int:
        assert self._made is not None
        # What the call says is in the list at the same instant: it tells whose the memory is.
        self._said[:] = map(lib.shm_channel_commit, (self._pointer,), (self._made.room,), (deadline,))
        return self._said[0]

    def _wait_and_commit(self) -> None:
        none = lib.SHM_BUSY if self._writer._overflows_with_error() else lib.SHM_FULL
        status = _try_or_wait(self._commit, self._timeout_ns, none)
        if status != lib.SHM_OK:
            raise self._writer._exception(status, "reserve", self._timeout_ns)


class IncomingView(_View):
    """What `Reader.recv_view` gives: inside ``with`` a read-only memoryview of one message."""

    def __init__(self, reader: Reader, timeout_ns: int) -> None:
        self._reader = reader
        self._timeout_ns = timeout_ns

    def __enter__(self) -> memoryview:
        return self.enter()

    def enter(self, *, brief: bool = False) -> memoryview:
        """Take a message; `brief`: without waiting, not even for a lock."""
        reader, got = self._reader, list[tuple[int | None, bytes]]()
        pointer, limit = reader._pointer, _native.deadline(self._timeout_ns)
        try:
            if reader._rest is None and not reader._kept:
                view = self._pin(pointer, brief)
                if view is not None:
                    return view
            left = max(int(brief), limit - _now())
            reader._take_stored(got, None if self._timeout_ns < 0 else left / 1e9)
            return self._lend(ffi.from_buffer(got[0][1]), len(got[0][1]), readonly=True)
        except BaseException:
            if self._made is not None and self._made.room.block:
                native = self._made.room
                reader._put_back([(native.codec, bytes(ffi.buffer(native.data, native.length_bytes)))])
            reader._put_back(got)
            self.drop()
            raise

    def _pin(self, pointer: Any, brief: bool) -> memoryview | None:
        """Lend the next message where it lies; None if it is short, or no pin is left: then a copy does."""
        reader = self._reader
        self._made = made = reader._space._attachment.lend(_unpin, pointer, reader._made[-1])

        def attempt(deadline: int) -> int:
            return int(lib.shm_channel_recv_view(pointer, made.room, deadline))

        status = attempt(_now()) if brief else _try_or_wait(attempt, self._timeout_ns, lib.SHM_EMPTY)
        if status != lib.SHM_OK:
            raise reader._exception(status, "recv_view", self._timeout_ns)
        if made.room.block:
            return self._lend(made.hold(made.room.data), made.room.length_bytes, readonly=True)
        self.drop()
        return None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.end(kind)
        finally:
            self.drop()


def _now() -> int:
    return int(lib.shm_monotonic_ns())


def _try_or_wait(call: Callable[[int], int], timeout_ns: int, none: int) -> int:
    """Have ``call(deadline)`` wait; with timeout 0 only for locks, which are held for a moment."""
    if timeout_ns:
        return _native.patiently(call, timeout_ns, none)
    return _native.patiently(lambda _: call(_now()), _PATIENCE_NS)


def _abort(native: Any, pointer: Any, said: list[int], _: Any) -> None:
    if native.block and lib.SHM_OK not in said:
        lib.shm_channel_abort(pointer, native)


def _unpin(native: Any, pointer: Any, _: Any) -> None:
    if native.block:
        lib.shm_channel_unpin(pointer, native)
