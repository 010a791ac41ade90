"""An executor whose tasks outlive their workers: `concurrent.futures` on a queue of leases in a private space.

The parts: `Executor` is what users hold; `executor_pool` feeds the queue of tasks, takes answers, and keeps the workers
up; `executor_worker` is what a worker does; `freight` is how calls and results travel.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent import futures
from multiprocessing.context import BaseContext
from typing import Any, ParamSpec, TypeVar

from . import options
from .executor_pool import Pool, RemoteTraceback

__all__ = ["Executor", "RemoteTraceback"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_WORKERS_MOST = 4000


class Executor(futures.Executor):
    """Runs calls in worker processes, as `concurrent.futures.ProcessPoolExecutor`; a killed worker costs no result.

    `max_workers` is how many processes (all CPUs that this one may use), `mp_context` how they are started, as there.
    Each calls ``initializer(*initargs)`` first; if that fails the pool is broken (`concurrent.futures.BrokenExecutor`).

    When a worker is killed its task runs again in another one and a new worker is started; other tasks do not notice. A
    task that was tried `max_deliveries` times and killed its worker each time has its future raise `WorkerDied`. So a
    task may run more than once, if its worker was killed; its answer is taken once.

    Arguments and results are pickled as `multiprocessing` does it, save large bytes-like objects (as arguments, results
    or one level below in a list, tuple or dict) and whatever else pickle hands over out of band, such as NumPy arrays:
    these are copied into shared memory once, and out of it once. What cannot be pickled fails its own future only.

    Workers end when their owner is killed. With ``mp_context`` of kind fork (the default before Python 3.14) a worker
    that replaces a dead one is forked while this process has threads, as in `multiprocessing.Pool`.

    >>> import shmspace
    >>> with shmspace.Executor(2) as pool:
    ...     list(pool.map(pow, [2, 3], [10, 4])), pool.submit(abs, -1).result()
    ([1024, 81], 1)
    """

    def __init__(
        self,
        max_workers: int | None = None,
        *,
        mp_context: BaseContext | None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_deliveries: int = 3,
    ) -> None:
        if max_workers is None:
            max_workers = len(os.sched_getaffinity(0))
        workers = options.check_count(max_workers, what="max_workers", least=1, most=_WORKERS_MOST)
        tries = options.check_count(max_deliveries, what="max_deliveries", least=1, most=1 << 31)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        made: Any = mp_context or multiprocessing.get_context()
        self._pool = Pool(workers, made, initializer, initargs, tries)
        weakref.finalize(self, self._pool.abandon).atexit = False

    def submit(self, fn: Callable[_P, _T], /, *args: _P.args, **kwargs: _P.kwargs) -> futures.Future[_T]:
        """Have ``fn(*args, **kwargs)`` called in a worker; the future gives its result or exception.

        An exception has the traceback in the worker as its cause. Raises `RuntimeError` after `shutdown`,
        `concurrent.futures.BrokenExecutor` when the initializer has failed.
        """
        return self._pool.submit(fn, args, kwargs)

    def map(
        self,
        fn: Callable[..., _T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **kwargs: Any,
    ) -> Iterator[_T]:
        """Give ``map(fn, *iterables)``, computed by the workers `chunksize` items at a time, in order.

        Iterating raises `TimeoutError` when a result is not there `timeout` seconds after the call, and what a call
        raised in its place. Raises `ValueError` for a chunksize below 1. `kwargs` are those of newer Pythons.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        if chunksize == 1:
            return super().map(fn, *iterables, timeout=timeout, **kwargs)
        chunks = _chunks(zip(*iterables, strict=False), chunksize)
        return itertools.chain.from_iterable(super().map(_Chunk(fn), chunks, timeout=timeout, **kwargs))

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls. Those that were submitted run to their end, unless `cancel_futures` and not begun.

        `wait` returns when all are done and the workers have ended.
        """
        self._pool.shutdown(wait=wait, cancel_futures=cancel_futures)


class _Chunk:
    """Calls a function for each of a list of arguments."""

    __slots__ = ("_function",)

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    def __call__(self, chunk: list[tuple[Any, ...]]) -> list[Any]:
        return [self._function(*args) for args in chunk]


def _chunks(items: Iterable[Any], size: int) -> Iterator[list[Any]]:
    found = iter(items)
    while chunk := list(itertools.islice(found, size)):
        yield chunk
