"""Drop-ins for the queues of `multiprocessing`, in shared memory: no feeder thread, no pipe, nothing lost by a death.

Each is in a private space of its own, memory without a name. What is promised:

- It goes away with the last process that has it, however that ends; the kernel sees to it, so nothing is ever left to
  clear away. A process has it until its last object for it was collected; `close` alone ends its use, but keeps the
  memory while somebody still holds on to the object.
- A child that was started with it has it, whatever becomes of the parent after ``Process.start()`` has returned: it
  inherits the descriptor. Sent in another way (through a pipe, a queue, a `concurrent.futures` pool) it is fetched from
  the sender, which must have it open until then; `multiprocessing` refuses that altogether.
- What was put is there when `put` returns, for all; a process may end, or be killed, right after it.

It may grow to half of the machine's memory (`SpaceFull` beyond that); memory is taken in steps, as it is needed.

Pickles are allowed here, since only processes of the same user that were handed the queue can write to it. What
`multiprocessing` can send (connections, sockets, locks to a child that is being started) these queues can send, too.
"""

from __future__ import annotations

import io
import pickle
from typing import Any, TypeVar

from . import queue
from ._native import ffi
from .codec import PICKLE, RAW, BytesLike, Codec, Shortcut
from .errors import Closed
from .freight import ForkPickler
from .private import PrivateSpace, make_private

__all__ = ["JoinableQueue", "Queue", "QueueClosed", "SimpleQueue"]

_Self = TypeVar("_Self", bound="Queue")

_NAME = b"queue"

class _ForkingCodec(Codec):
    """Pickle, with what multiprocessing adds to it; bytes as they are."""

    __slots__ = ()
    passes_bytes = True
    shortcut = Shortcut(PICKLE, PICKLE, pickle.dumps, 5, takes_all=False, unpack=pickle.loads)

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        if type(value) is bytes:
            return RAW, value
        room = io.BytesIO()
        ForkPickler(room, 5).dump(value)
        return PICKLE, room.getbuffer()


_FORKING = _ForkingCodec("pickle", PICKLE)


class QueueClosed(Closed, ValueError):
    """The queue was closed in this process. A `ValueError`, as in `multiprocessing`, and a `Closed`, as in all else."""


class Queue(queue.Queue):
    """A queue for processes: all of ``multiprocessing.Queue``, of `queue.Queue` and of `shmspace.Queue`.

    `maxsize` values may wait, 0 is any number; `codec` as in `Space.queue`. `put` and `get` raise `shmspace.Full` and
    `shmspace.Empty`, which are `queue.Full` and `queue.Empty`, and everything raises `ValueError` after `close`.

    A value that cannot be encoded raises `CodecError` in `put` itself. See the module for how long a queue lives.

    >>> from shmspace import mp
    >>> jobs = mp.Queue()
    >>> jobs.put(("resize", "a.png"))
    >>> jobs.get(timeout=1)
    ('resize', 'a.png')
    >>> jobs.close()
    """

    def __init__(self, maxsize: int = 0, *, codec: str = "pickle") -> None:
        space = make_private()
        try:
            made = queue.open_queue(space, _NAME, maxsize=maxsize, max_deliveries=None, codec=codec, durable=False)
            self._open_in(space)
            made.close()
        except BaseException:
            space.close()
            raise

    def _open_in(self, space: PrivateSpace) -> None:
        super().__init__(space, _NAME, ffi.new("shm_queue_options *", {"codec": b"auto"}), 0, False)

    def __reduce__(self) -> tuple[Any, ...]:
        self._look_alive()
        return _unpickle, (type(self), self._space)

    def __repr__(self) -> str:
        state = " (closed)" if self._closed else ""
        return f"<shmspace.mp.{type(self).__name__} of maxsize {self.maxsize}{state}>"

    def close(self) -> None:
        """Have done with it in this process: calls raise `ValueError` from now on, those that are blocked, too.

        Nothing is lost by that as long as another process has the queue.
        """
        super().close()
        self._space.close()

    def join_thread(self) -> None:
        """Do nothing, there is no thread: what was put is there. Before `close` an `AssertionError`."""
        if not self._closed:
            raise AssertionError(f"{self} is not closed; join_thread() is for afterwards")

    def cancel_join_thread(self) -> None:
        """Do nothing: no process waits at its end for others to get what it put."""

    def _allowed_codec(self, name: str) -> Codec:
        return _FORKING if name == "pickle" else super()._allowed_codec(name)

    def _look_alive(self) -> None:
        if self._closed:
            raise QueueClosed(f"{self}: it was closed in this process")
        super()._look_alive()

    def _exception(self, status: int, what: str, timeout_ns: int) -> Exception:
        error = super()._exception(status, what, timeout_ns)
        return QueueClosed(str(error)) if self._closed and isinstance(error, Closed) else error


class SimpleQueue(Queue):
    """As `multiprocessing.SimpleQueue`, with all that `Queue` can.

    >>> from shmspace import mp
    >>> with mp.SimpleQueue() as numbers:
    ...     numbers.put(1)
    ...     numbers.get(), numbers.empty()
    (1, True)
    """

    def __init__(self) -> None:
        super().__init__()


class JoinableQueue(Queue):
    """As `multiprocessing.JoinableQueue`: `task_done` and `join`, which every `Queue` here has.

    >>> from shmspace import mp
    >>> jobs = mp.JoinableQueue()
    >>> jobs.put("a.txt")
    >>> jobs.get()
    'a.txt'
    >>> jobs.task_done()
    >>> jobs.join()
    >>> jobs.close()
    """


def _unpickle(kind: type[_Self], space: PrivateSpace) -> _Self:
    made = kind.__new__(kind)
    made._open_in(space)
    return made
