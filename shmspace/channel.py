"""Channels: named streams of messages between processes.

The calls that users make in a loop (send, recv and their many-at-a-time forms) are native methods that `Channel`,
`Reader` and `Writer` inherit; see _native/hot.c.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native, options
from ._native import ffi, lib
from .codec import BytesLike, Codec, get_codec
from .defaults import given
from .errors import Closed, CodecError, EndOfStream, OptionsMismatch
from .handle import PATIENCE_NS, Handle, PortHandle, attaching
from .view import IncomingView, OutgoingView

if TYPE_CHECKING:
    from .aio import ChannelAio, ReaderAio, WriterAio
    from .space import Space

__all__ = ["Channel", "ChannelStat", "Reader", "Writer"]

_DELIVERIES = ("one", "all")
_OVERFLOWS = ("wait", "error", "oldest")
_CAPACITY_MOST = 1 << 32
_OPTION_BITS = {"capacity": 1, "delivery": 2, "replay": 4, "overflow": 8, "max_message": 16, "codec": 32}


class ChannelStat(NamedTuple):
    """A channel in numbers."""

    waiting: int
    """Messages that wait (``"all"``: for the slowest reader)."""
    capacity: int
    nbytes: int
    """Bytes of the messages that wait."""
    sent: int
    """Messages sent since it was made."""
    received: int
    """Messages taken (``"all"``: by all readers together)."""
    dropped: int
    """Messages dropped unread because the channel was full."""
    readers: int
    """Open `Reader` handles, of all processes."""
    writers: int
    """Open `Writer` handles, of all processes."""


class _Sender(PortHandle):
    """What `Channel` and `Writer` share: sending."""

    _codec: Codec
    _overflow: str

    send = _native.Port._send
    """``send(value, timeout=None)``: send a value through the codec; waits while the channel is full.

    Raises `Full`, `Closed` (shut down or deleted), `TooLarge`, `CodecError`, `SpaceFull`.
    """
    send_many = _native.Port._send_many
    """``send_many(values, timeout=None) -> int``: send values in order as room appears.

    All are checked and encoded first: `CodecError` and `TooLarge` mean that nothing was sent. Expiry gives the number
    sent; `Full` only if that is 0.
    """

    def _overflows_with_error(self) -> bool:
        return self._overflow == "error"

    def _send_bytes(self, number: int, data: BytesLike, timeout_ns: int) -> None:
        self._send_stored(number, data if type(data) is bytes else bytes(data), timeout_ns)


class _Receiver(PortHandle):
    """What `Channel` and `Reader` share: receiving."""

    recv = _native.Port._recv
    """``recv(timeout=None)``: take the next message and give its value; waits while there is none.

    Raises `Empty`, `EndOfStream`, `Lagged` (once, with ``.lost``, when this reader was overtaken), `Closed`.
    """
    recv_many = _native.Port._recv_many
    """``recv_many(max_count, timeout=None) -> list``: take up to so many values; waits for the first only."""


class Writer(_Sender):
    """An open writer of a channel: while there is one, its stream has not ended."""

    _kind = "writer"

    def __init__(self, channel: Channel, timeout_ns: int) -> None:
        self._set_up(channel.space, channel._name)
        self._channel = channel
        self._codec = channel._codec
        self._overflow = channel._overflow
        self._timeout_ns = timeout_ns
        self._max_message = channel._max_message
        self._open_first(channel, channel._children)

    def _open_native(self) -> None:
        parent = self._channel._pointer
        status = self._make(lambda limit, room: lib.shm_channel_open_writer(parent, limit, room))
        if status != lib.SHM_OK:
            raise self._channel._exception(status, "opening a writer", 0)
        self._channel._bind_port(self, self._timeout_ns)

    def write(self, data: BytesLike, timeout: float | None = None) -> int:
        """Send bytes as one message, past the codec (as a file would); gives how many were taken: all."""
        view = memoryview(data)
        self._send_bytes(0, view.tobytes() if type(data) is not bytes else data, self._timeout(timeout))
        return view.nbytes

    def _timeout(self, timeout: float | None) -> int:
        return self._timeout_ns if timeout is None else options.timeout_ns(timeout)

    def reserve(self, nbytes: int, timeout: float | None = None) -> OutgoingView:
        """Give a context manager with a writable view of `nbytes` in shared memory, sent without a copy on exit.

        What is in it at first is anything. An exception in the block drops it. It holds up nobody: its place in the
        order is that of its exit, which waits for room up to `timeout`.

        >>> import shmspace
        >>> with shmspace.open("doc-reserve", size="1M") as space:
        ...     frames = space.channel("frames", codec="raw")
        ...     with frames.writer().reserve(3) as view:
        ...         view[:] = b"abc"
        ...     frames.recv()
        ...     space.destroy()
        b'abc'
        """
        length = options.check_count(nbytes, what="nbytes", least=0, most=1 << 62)
        if length > self._max_message:
            self._refuse_length(length)
        return OutgoingView(self, length, self._timeout(timeout))

    @property
    def aio(self) -> WriterAio:
        """The same calls as coroutines."""
        from .aio import WriterAio

        return WriterAio(self)


class Reader(_Receiver):
    """An open reader of a channel. Iterating gives values until the end of the stream."""

    _kind = "reader"

    def __init__(self, channel: Channel, timeout_ns: int) -> None:
        self._set_up(channel.space, channel._name)
        self._channel = channel
        self._codec = channel._codec
        self._timeout_ns = timeout_ns
        self._open_first(channel, channel._children)

    def _open_native(self) -> None:
        parent = self._channel._pointer
        status = self._make(lambda limit, room: lib.shm_channel_open_reader(parent, limit, room))
        if status != lib.SHM_OK:
            raise self._channel._exception(status, "opening a reader", 0)
        self._channel._bind_port(self, self._timeout_ns)

    def __iter__(self) -> Iterator[Any]:
        return self

    def __next__(self) -> Any:
        try:
            return self.recv()
        except EndOfStream:
            raise StopIteration from None

    def read(self, n: int | None = -1) -> bytes:
        """Give up to `n` stored bytes of one message (-1: all of it); the rest stays for the next `read` or `recv`.

        ``b""`` at the end of the stream, and at once for ``n=0``; empty messages are skipped.
        """
        most = -1 if n is None else n
        if most == 0:
            return b""
        got: list[tuple[int | None, bytes]] = []
        try:
            while not got or not got[0][1]:
                self._take_stored(got, None)
            data = got[0][1]
            head, tail = data[:most], data[most:]
            if most < 0 or not tail:
                return data
            self._rest = tail
            return head
        except EndOfStream:
            return b""
        except BaseException:
            self._put_back(got)
            raise

    def readinto(self, buffer: Any) -> int:
        """Read into a writable buffer as `read` does; gives how many bytes were put there."""
        target = writable(buffer)
        data = self.read(len(target)) if len(target) else b""
        target[: len(data)] = data
        return len(data)

    def _take_stored(self, got: list[tuple[int | None, bytes]], timeout: float | None) -> None:
        """Put the codec's number and the stored bytes of the next message into the list, as soon as they are taken.

        The number is None for the rest of a message that was read in part.
        """
        rest = self._rest
        if rest is None:
            got[:] = map(self._recv_stored, (timeout,))
            return
        self._look_there()
        got[:] = [(None, rest)]
        self._rest = None

    def _put_back(self, got: list[tuple[int | None, bytes]]) -> None:
        """Keep what an interrupted call has taken: the next one gets it."""
        for number, data in got:
            if number is None:
                self._rest = data
            else:
                self._keep(number, data)

    def recv_view(self, timeout: float | None = None) -> IncomingView:
        """Give a context manager with a read-only view of the next message, without a copy where that pays.

        The message is taken at entry, which waits up to `timeout`; its bytes stay where they are until the exit.

        >>> import shmspace
        >>> with shmspace.open("doc-view", size="1M") as space:
        ...     frames = space.channel("frames")
        ...     frames.send(bytes(1000))
        ...     with frames.reader().recv_view() as view:
        ...         view.nbytes, view.readonly
        ...     space.destroy()
        (1000, True)
        """
        return IncomingView(self, self._timeout_ns if timeout is None else options.timeout_ns(timeout))

    @property
    def aio(self) -> ReaderAio:
        """The same calls as coroutines."""
        from .aio import ReaderAio

        return ReaderAio(self)


class Channel(_Sender, _Receiver, Handle):
    """A channel; `Space.channel` gives it.

    `send` and `recv` work without opening a writer or reader: they end no stream. On a channel with ``delivery="all"``
    the first `recv` opens a reader that belongs to this handle.
    """

    _kind = "channel"

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._set_up(space, name)
        self._wanted = wanted
        self._given = given_bits
        self._create = create
        self._own_reader: Reader | None = None
        self._open_first(space, space._handles)
        self._create = False  # from now on, after a fork, it is there or it was deleted

    def _open_native(self) -> None:
        pointer, name, wanted = self._space._pointer(), self._name, self._wanted
        status = self._make(
            lambda limit, room: lib.shm_channel_open(
                pointer, name, len(name), wanted, self._given, self._create, limit, room
            )
        )
        if status == lib.SHM_NOT_FOUND and self._made:
            raise Closed(f"{self} was deleted")
        if status == lib.SHM_MISMATCH:
            raise OptionsMismatch(f"{self.name!r}: {_native.text(lib.shm_error_text())}")
        if status == lib.SHM_TIMEOUT:
            raise self._exception(status, "opening", PATIENCE_NS)
        _native.check(status)
        found = ffi.new("shm_channel_options *")
        lib.shm_channel_get_options(self._raw, found)
        self._codec = self._allowed_codec(_native.text(found.codec))
        self._delivery = _DELIVERIES[found.delivery]
        self._overflow = _OVERFLOWS[found.overflow]
        self._max_message = int(found.max_message_bytes)
        self._bind_port(self, -1)

    def _bind_port(self, port: PortHandle, timeout_ns: int) -> None:
        """Tell the native methods of a port what they need."""
        address = int(ffi.cast("uintptr_t", port._raw))
        refuses = self._overflow == "error"
        indirect = port is self and self._delivery == "all"
        port._bind(address, self._codec, timeout_ns, self._max_message, refuses, indirect)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name)

    def writer(self, timeout: float | None = None) -> Writer:
        """Open a writer; its calls wait up to `timeout` seconds where they give no timeout of their own."""
        return Writer(self, options.timeout_ns(timeout))

    def reader(self, timeout: float | None = None) -> Reader:
        """Open a reader; its calls, `read`, `readinto` and iteration wait up to `timeout` seconds."""
        return Reader(self, options.timeout_ns(timeout))

    def _receiver(self) -> Reader:
        """With delivery "all": the reader that receives for this handle."""
        self._look_alive()
        if self._own_reader is None or self._own_reader.closed:
            with attaching():
                if self._own_reader is None or self._own_reader.closed:
                    self._own_reader = Reader(self, -1)
        return self._own_reader

    def shutdown(self, immediate: bool = False) -> None:
        """End the stream for everybody, for good: no more input; readers drain what is left, then `EndOfStream`.

        `immediate` discards what is left. Everyone blocked wakes.
        """
        pointer = self._pointer
        status = _native.patiently(
            lambda limit: lib.shm_channel_shutdown(pointer, bool(immediate), limit), PATIENCE_NS
        )
        if status != lib.SHM_OK:
            raise self._exception(status, "shutdown", 0)

    def stat(self) -> ChannelStat:
        """Give counts and bytes."""
        facts = ffi.new("shm_channel_facts *")
        pointer = self._pointer
        if not lib.shm_channel_alive(pointer):
            raise self._exception(lib.SHM_CLOSED, "stat", 0)
        status = lib.shm_channel_stat(pointer, facts)
        if status != lib.SHM_OK:
            raise self._exception(status, "stat", 0)
        return ChannelStat(
            waiting=int(facts.waiting),
            capacity=int(facts.capacity),
            nbytes=int(facts.size_bytes),
            sent=int(facts.sent),
            received=int(facts.received),
            dropped=int(facts.dropped),
            readers=int(facts.readers),
            writers=int(facts.writers),
        )

    @property
    def aio(self) -> ChannelAio:
        """The same calls as coroutines."""
        from .aio import ChannelAio

        return ChannelAio(self)


def open_channel(
    space: Space,
    name: str | bytes,
    *,
    capacity: int,
    delivery: str,
    replay: int,
    overflow: str,
    max_message: int | str,
    codec: str,
) -> Channel:
    """Check the options of `Space.channel`, and open it."""
    data = options.check_structure_name(name)
    count = options.check_count(capacity, what="capacity", least=1, most=_CAPACITY_MOST)
    options.check_choice(delivery, what="delivery", choices=_DELIVERIES)
    options.check_choice(overflow, what="overflow", choices=_OVERFLOWS)
    remembered = options.check_count(replay, what="replay", least=0, most=_CAPACITY_MOST)
    longest = options.parse_size(max_message, what="max_message")
    chosen = get_codec(str(codec))
    asked = {
        "capacity": capacity,
        "delivery": delivery,
        "replay": replay,
        "overflow": overflow,
        "max_message": max_message,
        "codec": codec,
    }
    bits = sum(bit for option, bit in _OPTION_BITS.items() if given(asked[option]))
    if remembered and delivery == "one" and given(delivery):
        raise ValueError(f'replay={remembered} implies delivery="all", but delivery="one" was given')
    if remembered > count:
        raise ValueError(f"replay={remembered} is more than capacity={count}; give a larger capacity=")
    wanted = ffi.new("shm_channel_options *")
    wanted.capacity = count
    wanted.replay = remembered
    wanted.max_message_bytes = longest
    wanted.delivery = 1 if remembered else _DELIVERIES.index(delivery)
    wanted.overflow = _OVERFLOWS.index(overflow)
    encoded = chosen.name.encode()
    if len(encoded) > 31:
        raise CodecError(f"the name of codec {chosen.name!r} is longer than 31 bytes, which a channel can keep")
    wanted.codec = encoded
    if space.readonly and not space.exists("channel", data):
        raise _native.error(lib.SHM_NOT_FOUND, f"space {space.name!r} has no channel named {name!r}, and is read-only")
    return Channel(space, data, wanted, bits, not space.readonly)


def writable(buffer: Any) -> memoryview:
    """Give a buffer as writable bytes; `TypeError` if it is read-only."""
    target = memoryview(buffer).cast("B")
    if target.readonly:
        raise TypeError(f"readinto needs a writable buffer, not a read-only {type(buffer).__name__}")
    return target


def open_existing(space: Space, name: str | bytes) -> Channel:
    """Open a channel with the options that it has; `NotFound` if it is not there."""
    return Channel(space, options.check_structure_name(name), ffi.new("shm_channel_options *"), 0, False)


def _unpickle(space: Space, name: bytes) -> Channel:
    return open_existing(space, name)
