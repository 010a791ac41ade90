"""Queues: work handed over with acknowledgement; all of `queue.Queue`, and leases that survive the death of a worker.

`put`, `get`, their many-at-a-time forms and `lease` are native methods; see _native/hot_values.c.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native, options
from ._native import ffi, lib
from .defaults import given
from .errors import NotDurable
from .shelf import Shelf, codec_option

if TYPE_CHECKING:
    from .aio_values import LeaseAio, QueueAio
    from .space import Space

__all__ = ["Lease", "LeaseInfo", "Queue", "QueueStat"]

_COUNT_MOST = 1 << 32
_GIVEN = {
    "codec": lib.SHM_GIVEN_CODEC,
    "maxsize": lib.SHM_GIVEN_MAXSIZE,
    "max_deliveries": lib.SHM_GIVEN_MAX_DELIVERIES,
}
_LEASES_SHOWN = 1000


class QueueStat(NamedTuple):
    """A queue in numbers."""

    ready: int
    """Values that wait."""
    leased: int
    """Values that somebody has a lease on."""
    dead: int
    """Dead letters that wait."""
    nbytes: int
    """Bytes of the values that wait."""
    waiting: int
    """Blocked calls that want a value."""


class LeaseInfo(NamedTuple):
    """Who has a lease."""

    pid: int
    command: str
    alive: bool
    since: int
    """When it was got, nanoseconds since the epoch, UTC."""
    deliveries: int


def _aio_of(lease: Any) -> LeaseAio:
    """Give the same calls as coroutines."""
    from .aio_values import LeaseAio

    return LeaseAio(lease)


Lease: Any = _native.Lease  # itself: making and freeing an object of a subclass takes longer than taking the value
Lease.aio = property(_aio_of)


class Queue(Shelf):
    """A queue; `Space.queue` gives it. Everything that `queue.Queue` has works as there."""

    _kind = "queue"
    _native_kind = "queue"
    _lane = 0

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._begin(space, name, wanted, given_bits, create)

    def _open_native(self) -> None:
        self._open_named(lib.shm_queue_open)
        found = ffi.new("shm_queue_options *")
        lib.shm_queue_get_options(self._raw, found)
        self._codec = self._allowed_codec(_native.text(found.codec))
        self._maxsize = int(found.maxsize) if self._lane == 0 else 0
        self._bind_values(self._raw, None, self._lane)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name, self._lane)

    put = _native.Shelf._put
    """``put(value, block=True, timeout=None)``: put a value at the end; waits while ``maxsize`` values wait.

    Raises `Full`, `Closed` (shut down or deleted), `CodecError`, `SpaceFull`.
    """
    put_nowait = _native.Shelf._put_nowait
    """``put_nowait(value)``: put a value if there is room at once, else `Full`."""
    put_many = _native.Shelf._put_many
    """``put_many(values, timeout=None) -> int``: put values in order as room appears; how many.

    All are encoded first: `CodecError` means that nothing was put. Expiry gives the number put; `Full` only if it is 0.
    """
    get = _native.Shelf._get
    """``get(block=True, timeout=None)``: take the oldest value; waits while there is none.

    Those who wait are served in the order they came. If this process dies before the call returns the value goes back
    to where it was. Raises `Empty`, `Closed` (shut down and empty, or deleted), `CodecError`.
    """
    get_many = _native.Shelf._get_many
    """``get_many(max_count, timeout=None) -> list``: take up to so many values; waits for the first only."""
    lease = _native.Shelf._lease
    """``lease(timeout=None) -> Lease``: take the oldest value until it is acknowledged.

    As a context manager the lease is acknowledged at the end of the block, or given back if an exception ends it. One
    that is closed, or collected, without either is given back; so is that of a process that dies, at once.

    Raises `Empty`, `Closed` (shut down and empty, or deleted), `CodecError`.
    """

    def get_nowait(self) -> Any:
        """Take a value that is there, else `Empty`."""
        return self.get(False)

    @property
    def maxsize(self) -> int:
        """Most values that may wait; 0 is any number."""
        return self._maxsize

    def qsize(self) -> int:
        """Give how many values wait; leased ones do not count."""
        self._look_there()
        return int(lib.shm_queue_length(self._raw, self._lane))

    def empty(self) -> bool:
        """Say whether no value waits."""
        return self.qsize() == 0

    def full(self) -> bool:
        """Say whether `maxsize` values wait."""
        size = self.qsize()
        return 0 < self._maxsize <= size

    @property
    def unfinished_tasks(self) -> int:
        """Values that were put and are not done with (`task_done`, `Lease.ack`)."""
        self._look_there()
        return int(lib.shm_queue_unfinished(self._raw, self._lane))

    @property
    def is_shutdown(self) -> bool:
        """Whether `shutdown` was called, by anybody."""
        self._look_there()
        return self._lane == 0 and bool(lib.shm_queue_is_shut(self._raw))

    def task_done(self) -> None:
        """Say that a value that `get` gave is done with. More often than values were put: `ValueError`."""
        self._look_there()
        pointer = self._raw
        status = _native.patiently(lambda limit: lib.shm_queue_task_done(pointer, self._lane, limit), -1)
        if status == lib.SHM_INVALID:
            raise ValueError("task_done() called too many times")
        if status != lib.SHM_OK:
            raise self._exception(status, "task_done", 0)

    def join(self, timeout: float | None = None) -> None:
        """Wait until every value that was put is done with. Raises `Timeout`."""
        pointer, timeout_ns = self._pointer, options.timeout_ns(timeout)
        status = _native.patiently(
            lambda limit: lib.shm_queue_join(pointer, self._lane, limit), timeout_ns, lib.SHM_EMPTY
        )
        if status == lib.SHM_EMPTY:
            raise self._not_done(timeout_ns)
        if status != lib.SHM_OK:
            raise self._exception(status, "join", timeout_ns)

    def _not_done(self, timeout_ns: int) -> Exception:
        return _native.error(
            lib.SHM_TIMEOUT,
            f"join on {self}: {self.unfinished_tasks} values were not done with {_within(timeout_ns)}",
            holders=self._peers(writers=True),
        )

    def shutdown(self, immediate: bool = False) -> None:
        """No more input, for everybody: puts raise `Closed`, and gets do when nothing waits.

        What is given back later can still be got. `immediate` discards what waits, and what is given back later.
        """
        self._shut_down(lib.shm_queue_shutdown, immediate)

    @property
    def dead_letters(self) -> Queue:
        """The queue of values that were delivered `max_deliveries` times and given back each time."""
        return DeadLetters(self)

    def stat(self) -> QueueStat:
        """Give counts and bytes."""
        self._look_there()
        facts = ffi.new("shm_queue_facts *")
        status = lib.shm_queue_stat(self._raw, self._lane, facts)
        if status != lib.SHM_OK:
            raise self._exception(status, "stat", 0)
        return QueueStat(
            ready=int(facts.ready),
            leased=int(facts.leased),
            dead=int(facts.dead),
            nbytes=int(facts.size_bytes),
            waiting=int(facts.waiting),
        )

    def leases(self) -> list[LeaseInfo]:
        """Give who has leases, oldest first."""
        self._look_there()
        rows = ffi.new("shm_lease_facts[]", _LEASES_SHOWN)
        count = int(lib.shm_queue_leases(self._raw, self._lane, rows, _LEASES_SHOWN))
        members = {int(row.token): row for row in self._space._attachment.member_rows()}
        found = []
        for row in rows[0:count]:
            member = members.get(int(row.token))
            if member is not None:
                found.append(
                    LeaseInfo(
                        pid=int(member.pid),
                        command=_native.text(member.command),
                        alive=bool(member.alive),
                        since=int(row.since_ns),
                        deliveries=int(row.deliveries),
                    )
                )
        return sorted(found, key=lambda lease: lease.since)

    def _peers(self, *, writers: bool) -> list[Any]:
        if not writers:
            return []
        rows = ffi.new("shm_lease_facts[]", 64)
        count = int(lib.shm_queue_leases(self._raw, self._lane, rows, 64))
        return self._space._attachment.holders([int(rows[i].token) for i in range(count)])

    @property
    def aio(self) -> QueueAio:
        """The same calls as coroutines."""
        from .aio_values import QueueAio

        return QueueAio(self)


class DeadLetters(Queue):
    """The dead letters of a queue: a queue of its own, without a bound."""

    _lane = 1

    def __init__(self, queue: Queue) -> None:
        self._begin(queue.space, queue._name, queue._wanted, 0, False)

    @property
    def dead_letters(self) -> Queue:
        """Itself: what fails here comes again here."""
        return self


def _within(timeout_ns: int) -> str:
    return "at once" if timeout_ns == 0 else f"within {timeout_ns / 1e9:g} s"


def _unpickle(space: Space, name: bytes, lane: int) -> Queue:
    queue = Queue(space, name, ffi.new("shm_queue_options *", {"codec": b"auto"}), 0, False)
    return queue.dead_letters if lane else queue


def open_queue(
    space: Space, name: str | bytes, *, maxsize: int, max_deliveries: int | None, codec: str, durable: bool
) -> Queue:
    """Check the options of `Space.queue`, and open it."""
    data = options.check_structure_name(name)
    if durable:
        raise NotDurable(f"queue {name!r}: durable=True needs a space with persist=, which this version has not yet")
    # queue.Queue takes every maxsize below 1 for no bound
    bound = max(0, options.check_count(maxsize, what="maxsize", least=-(1 << 62), most=_COUNT_MOST))
    deliveries = 0
    if max_deliveries is not None:
        deliveries = options.check_count(max_deliveries, what="max_deliveries", least=1, most=_COUNT_MOST - 1)
    asked = {"maxsize": maxsize, "max_deliveries": max_deliveries, "codec": codec}
    bits = sum(bit for option, bit in _GIVEN.items() if given(asked[option]))
    wanted = ffi.new("shm_queue_options *")
    wanted.maxsize = bound
    wanted.max_deliveries = deliveries
    wanted.codec = codec_option(codec)
    return Queue(space, data, wanted, bits, True)
