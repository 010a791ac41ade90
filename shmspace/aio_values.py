"""asyncio for queues, tuple spaces and leases: a coroutine stands in the same line as everybody else.

It takes what it was given in one step after the bell of its process was rung. One that is cancelled leaves the line;
what it was given at the last moment goes back. See aio.py and bell.py.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import math
import time
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import options
from ._native import ffi, lib
from .aio_line import line_for
from .errors import Closed, Empty, Full, Timeout
from .shelf import deadline_of
from .tuples import key_bytes

if TYPE_CHECKING:
    from .queue import Lease

__all__ = ["LeaseAio", "QueueAio", "TuplesAio"]

_BELL, _HOLD, _READ, _LEASE = lib.SHM_WAIT_BELL, lib.SHM_TAKE_HOLD, lib.SHM_TAKE_READ, lib.SHM_TAKE_LEASE
_PATIENCE_S = 0.05  # for locks, which are held for a moment, of calls that do not wait
_NAP_MOST_S = 0.025


class _Call:
    """One call on its way: where it stands in line, and what it was given."""

    none = lib.SHM_EMPTY

    def __init__(self, shelf: Any, what: str, key: bytes | None, flags: int) -> None:
        self.shelf = shelf
        self.what = what
        self.flags = flags
        self.wait = ffi.new("shm_wait *")
        self.taken = ffi.new("shm_taken *")
        # What the calls of the C interface begin with: of a queue the lane, of a tuple space the key.
        self.where: tuple[Any, ...] = (shelf._lane,) if key is None else (key, len(key))
        self.kind = shelf._native_kind
        self.pointer = shelf._pointer

    def attempt(self, bell: int) -> int:
        """Try it without waiting; with a bell, who is refused stands in line."""
        take = lib.shm_queue_take if self.kind == "queue" else lib.shm_tuples_take
        return int(take(self.pointer, *self.where, self.flags | bell, self.wait, 0, self.taken))

    def is_over(self) -> bool:
        """Whether it does not stand in line any more, or has been told something there."""
        waiter = self.wait.waiter
        return not self.wait.block or ffi.cast("uint32_t *", waiter)[0] != 0

    def probe(self) -> None:
        """Look whether somebody has died who holds what we wait for."""
        (lib.shm_queue_probe if self.kind == "queue" else lib.shm_tuples_probe)(self.pointer, *self.where)

    def leave(self, *, keep: bool = True) -> int:
        """Leave the line; SHM_OK: something was given at the last moment, and is only looked at unless we `keep` it."""
        leave = lib.shm_queue_leave if self.kind == "queue" else lib.shm_tuples_leave
        flags = _HOLD if self.flags == _LEASE and not keep else self.flags  # else it would count as a delivery
        return int(leave(self.pointer, *self.where, flags, self.wait, self.taken))

    def give_back(self) -> None:
        """What was given was not taken after all."""
        if self.flags & _READ:
            self.leave()
        elif self.kind == "queue":
            lib.shm_queue_nack(self.pointer, *self.where, self.taken)
        else:
            lib.shm_tuples_return(self.pointer, *self.where, self.taken)

    def value(self) -> Any:
        """Give the value, which is taken then."""
        taken = self.taken
        data = bytes(ffi.buffer(taken.data or taken.small, taken.length_bytes))
        try:
            return self.shelf._codec.decode(int(taken.codec), data) if taken.codec else data
        finally:
            if self.flags & _READ:
                self.leave()
            elif self.kind == "queue":
                lib.shm_queue_taken(self.pointer, *self.where, taken, 1)
            else:
                lib.shm_tuples_taken(self.pointer, *self.where, taken, 1)


class _PutCall(_Call):
    none = lib.SHM_FULL

    def __init__(self, shelf: Any, what: str, key: bytes | None, encoded: list[tuple[int, Any]]) -> None:
        super().__init__(shelf, what, key, 0)
        self.data = [(number, ffi.from_buffer(data), len(data)) for number, data in encoded]
        self.pieces = ffi.new("shm_piece[]", [(data, length, number) for number, data, length in self.data])
        self.done = 0
        self._more = ffi.new("uint64_t *")

    def attempt(self, bell: int) -> int:
        put = lib.shm_queue_put_many if self.kind == "queue" else lib.shm_tuples_out_many
        left = len(self.data) - self.done
        status = put(self.pointer, *self.where, self.pieces + self.done, left, bell, self.wait, 0, self._more)
        self.done += int(self._more[0])
        return int(status)

    def give_back(self) -> None:
        pass

    def probe(self) -> None:
        pass


class _JoinCall(_Call):
    """Waits for the end of all tasks; stands in no line, but has the bell rung for it."""

    def attempt(self, bell: int) -> int:
        if self._arm():
            return int(self.none)
        return int(lib.SHM_OK if self.shelf._is_there() else lib.SHM_CLOSED)

    def is_over(self) -> bool:
        return not self._arm()

    def leave(self, *, keep: bool = True) -> int:
        return int(lib.SHM_EMPTY)

    def _arm(self) -> bool:
        """Have the bell rung, and say whether there still is something to wait for."""
        lib.shm_queue_arm_join(self.pointer, *self.where)
        return bool(self.shelf._is_there() and lib.shm_queue_unfinished(self.pointer, *self.where))


async def _persist(call: _Call, timeout: float | None) -> None:
    """Have the call done. Raises what its refusal means; nothing is taken then."""
    shelf, nap = call.shelf, 0.0
    polls = shelf._space.readonly  # it can stand in no line
    limit = deadline_of(timeout)
    wanted_ns = -1 if limit == math.inf else int((timeout or 0) * 1e9)
    locked_limit = time.monotonic() + _PATIENCE_S if timeout == 0 else limit
    try:
        call.probe()
        while True:
            status = call.attempt(0 if timeout == 0 else _BELL)
            if status == lib.SHM_OK:
                return
            again = locked_limit if status == lib.SHM_BUSY else limit if status == call.none and polls else -math.inf
            if time.monotonic() < again:
                await asyncio.sleep(nap)
                nap = min(2 * nap + 0.001, _NAP_MOST_S)
            elif status == lib.SHM_FORKED:
                shelf._look_alive()
                call.pointer = shelf._pointer
            elif status != call.none or time.monotonic() >= limit:
                raise shelf._exception(status, call.what, wanted_ns)
            else:
                await line_for(shelf._space._attachment).stand(call, limit)
    except BaseException as refusal:
        keep = isinstance(refusal, Exception) and not isinstance(refusal, Closed)
        if call.leave(keep=keep) == lib.SHM_OK:
            if keep:
                return  # given at the last moment
            call.give_back()
        raise


class _ValuesAio:
    def __init__(self, shelf: Any) -> None:
        self._shelf = shelf

    async def _take(self, what: str, key: bytes | None, flags: int, timeout: float | None) -> Any:
        call = _Call(self._shelf, what, key, flags)
        await _persist(call, timeout)
        return call.value()

    async def _take_many(
        self, what: str, key: bytes | None, count: int, timeout: float | None, more: Callable[[int], list[Any]]
    ) -> list[Any]:
        if isinstance(count, bool) or not isinstance(count, int):
            raise TypeError(f"max_count must be an int, not {count!r}")
        if count < 1:
            raise ValueError(f"max_count={count} is below 1")
        values = [await self._take(what, key, _HOLD, timeout)]
        if count > 1:
            with contextlib.suppress(Timeout, Closed):
                values += more(count - 1)
        return values

    async def _put(self, what: str, key: bytes | None, values: list[Any], timeout: float | None) -> int:
        call = _PutCall(self._shelf, what, key, [self._shelf._codec.encode(value) for value in values])
        if not values:
            return 0
        try:
            await _persist(call, timeout)
        except Full:
            if call.done == 0:
                raise
        return call.done


class QueueAio(_ValuesAio):
    """Coroutines of a `Queue`."""

    async def put(self, value: object, block: bool = True, timeout: float | None = None) -> None:
        """As `Queue.put`, without blocking the loop."""
        await self._put("put", None, [value], timeout if block else 0)

    async def put_nowait(self, value: object) -> None:
        """As `Queue.put_nowait`."""
        await self.put(value, False)

    async def put_many(self, values: Iterable[object], timeout: float | None = None) -> int:
        """As `Queue.put_many`, without blocking the loop."""
        return await self._put("put_many", None, list(values), timeout)

    async def get(self, block: bool = True, timeout: float | None = None) -> Any:
        """As `Queue.get`, without blocking the loop."""
        return await self._take("get", None, _HOLD, timeout if block else 0)

    async def get_nowait(self) -> Any:
        """As `Queue.get_nowait`."""
        return await self.get(False)

    async def get_many(self, max_count: int, timeout: float | None = None) -> list[Any]:
        """As `Queue.get_many`, without blocking the loop."""
        more = functools.partial(self._shelf.get_many, timeout=0)
        return await self._take_many("get_many", None, max_count, timeout, more)

    async def lease(self, timeout: float | None = None) -> LeaseAio:
        """As `Queue.lease`, without blocking the loop; an async context manager."""
        call = _Call(self._shelf, "lease", None, _LEASE)
        await _persist(call, timeout)
        return LeaseAio(self._shelf._adopt_lease(int(ffi.cast("uintptr_t", call.taken))))

    async def task_done(self) -> None:
        """As `Queue.task_done`."""
        self._shelf.task_done()

    async def join(self, timeout: float | None = None) -> None:
        """As `Queue.join`, without blocking the loop."""
        try:
            await _persist(_JoinCall(self._shelf, "join", None, 0), timeout)
        except Empty:
            raise self._shelf._not_done(options.timeout_ns(timeout)) from None


class TuplesAio(_ValuesAio):
    """Coroutines of a `Tuples`."""

    async def out(self, key: str | bytes, value: object, timeout: float | None = None) -> None:
        """As `Tuples.out`, without blocking the loop."""
        await self._put("out", key_bytes(key), [value], timeout)

    async def out_many(self, key: str | bytes, values: Iterable[object], timeout: float | None = None) -> int:
        """As `Tuples.out_many`, without blocking the loop."""
        return await self._put("out_many", key_bytes(key), list(values), timeout)

    async def take(self, key: str | bytes, timeout: float | None = None) -> Any:
        """As `Tuples.take`, without blocking the loop."""
        return await self._take("take", key_bytes(key), _HOLD, timeout)

    async def take_many(self, key: str | bytes, max_count: int, timeout: float | None = None) -> list[Any]:
        """As `Tuples.take_many`, without blocking the loop."""
        more = functools.partial(self._shelf.take_many, key, timeout=0)
        return await self._take_many("take_many", key_bytes(key), max_count, timeout, more)

    async def read(self, key: str | bytes, timeout: float | None = None) -> Any:
        """As `Tuples.read`, without blocking the loop."""
        return await self._take("read", key_bytes(key), _READ, timeout)

    async def try_take(self, key: str | bytes, default: Any = None) -> Any:
        """As `Tuples.try_take`."""
        return self._shelf.try_take(key, default)

    async def try_read(self, key: str | bytes, default: Any = None) -> Any:
        """As `Tuples.try_read`."""
        return self._shelf.try_read(key, default)


class LeaseAio:
    """A `Lease` for coroutines."""

    def __init__(self, lease: Lease) -> None:
        self._lease = lease

    @property
    def value(self) -> Any:
        """The value."""
        return self._lease.value

    @property
    def deliveries(self) -> int:
        """How often it was leased, this time included."""
        return int(self._lease.deliveries)

    @property
    def closed(self) -> bool:
        """Whether it was acknowledged or given back."""
        return bool(self._lease.closed)

    async def ack(self) -> None:
        """As `Lease.ack`."""
        self._lease.ack()

    async def nack(self) -> None:
        """As `Lease.nack`."""
        self._lease.nack()

    async def close(self) -> None:
        """As `Lease.close`."""
        self._lease.close()

    async def __aenter__(self) -> LeaseAio:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._lease.__exit__(kind, error, trace)
