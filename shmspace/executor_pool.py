"""The owner's side of an `Executor`: tasks go out, answers come in, dead workers are replaced.

Tasks wait in a backlog here, where they can be cancelled, and a window of them in the queue of leases: as many as the
workers do in some 20 ms, and one more than there are workers at least. What is in the window counts as running.

Threads: any thread submits; the collector takes answers and fills the window up; the keeper waits for workers to end.
All that is shared is guarded by `_lock`. Futures are told without it, since they call back.
"""

from __future__ import annotations

import atexit
import contextlib
import logging
import os
import pickle
import signal
import threading
import time
import traceback
import weakref
from collections import deque
from concurrent import futures
from multiprocessing.connection import wait
from typing import Any, NamedTuple

from . import freight
from ._native import lib
from .errors import Closed, ShmspaceError, SpaceFull, WorkerDied
from .executor_worker import ANSWER, BROKEN, DIED, FAILED, GONE, READY, RESULT, TASK, put_small, work
from .private import make_private

__all__ = ["Pool", "RemoteTraceback"]

_BATCH = 256
_WINDOW_MOST = 256  # none of these can be cancelled, and should quick tasks be followed by slow ones it would be felt
_WINDOW_S = 0.02
_MEASURE_S = 0.005
# How many workers in a row may end before they are ready: by themselves; or killed, which is nobody's fault but theirs
# when it goes on for ever (an initializer that needs too much memory).
_FALSE_STARTS, _KILLED_STARTS = 3, 20
_KILLS = frozenset({-signal.SIGKILL, -signal.SIGTERM})

_log = logging.getLogger("concurrent.futures")

Verdict = tuple[futures.Future[Any], Any, BaseException | None]


class RemoteTraceback(Exception):
    """The traceback that an exception had in the worker; it is the cause of the exception here."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.text = text

    def __str__(self) -> str:
        return f'\n"""\n{self.text}"""'


class Call(NamedTuple):
    """A call that waits its turn."""

    future: futures.Future[Any]
    load: tuple[Any, ...]
    begun: bool = False
    """Whether it counts as running, though it had to come back here for want of memory."""
    large: bool = False
    """Whether it has buffers beside it."""


class Waker:
    """Wakes the keeper. It may be rung by anybody at any time: by finalizers, and when it is closed already."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a leaf: who has it waits for nothing
        self._ends: tuple[int, ...] = os.pipe()
        for descriptor in self._ends:
            os.set_blocking(descriptor, False)

    @property
    def descriptor(self) -> int:
        """What can be read when it was rung."""
        return self._ends[0]

    def ring(self) -> None:
        """Wake the keeper, or have it not sleep."""
        with self._lock, contextlib.suppress(BlockingIOError):
            if self._ends:
                os.write(self._ends[1], b"!")

    def hush(self) -> None:
        """Have heard it."""
        os.read(self._ends[0], 4096)

    def close(self) -> None:
        """Close its descriptors."""
        with self._lock:
            self.__del__()

    def __del__(self) -> None:
        ends, self._ends = self._ends, ()
        for descriptor in ends:
            os.close(descriptor)


class Pool:
    """What an `Executor` stands for, in the process that made it."""

    def __init__(self, workers: int, context: Any, initializer: Any, initargs: Any, tries: int) -> None:
        self._most_workers = workers
        self._context = context
        self._lock = threading.RLock()
        self._pid = os.getpid()
        self._space = make_private(max(256, workers + 16))
        self._tasks = self._space.queue("tasks", codec="raw")
        self._results = self._space.queue("results", codec="raw")
        self._work = (self._tasks, self._results, self._pid, initializer, initargs, tries)
        self._backlog: deque[Call] = deque()
        self._sent: dict[int, Call] = {}
        self._number = 0
        self._window = workers + 1
        self._measured = (time.monotonic(), 0)
        self._workers: dict[Any, Any] = {}
        self._ready: set[int] = set()
        self._false_starts = 0
        self._shut = False
        self._ended = False
        self._broken: str | None = None
        self._threads: list[threading.Thread] = []
        self._undropped: list[str] = []
        self._waker = Waker()
        _pools.add(self)

    # out

    def submit(self, function: Any, args: Any, kwargs: Any) -> futures.Future[Any]:
        """See `Executor.submit`."""
        if os.getpid() != self._pid:
            raise RuntimeError("the executor is that of the process which made it; make another after a fork")
        future: futures.Future[Any] = futures.Future()
        with self._lock:
            if self._broken is not None:
                raise futures.BrokenExecutor(self._broken)
            if _exiting:
                raise RuntimeError("cannot schedule new futures after interpreter shutdown")
            if self._shut:
                raise RuntimeError("cannot schedule new futures after shutdown")
            if len(self._workers) < self._most_workers:
                self._start_workers()
            if not self._threads:
                self._start_threads()
            self._backlog.append(Call(future, (function, args, kwargs)))
            verdicts = self._feed() if len(self._sent) < self._window else []
        _tell(verdicts)
        return future

    def _feed(self) -> list[Verdict]:
        """Fill the window up; with the lock. Gives the futures that failed, to be told without it."""
        verdicts: list[Verdict] = []
        numbers: list[int] = []
        loads: list[bytes] = []
        room = self._window - len(self._sent)
        while room > 0 and self._backlog:
            call = self._backlog.popleft()
            if not call.begun and not call.future.set_running_or_notify_cancel():
                continue
            self._number += 1
            number = self._number
            try:
                load = self._pack(call.load, number)
            except SpaceFull as error:
                if self._sent:  # when those are done there may be room
                    self._backlog.appendleft(call._replace(begun=True))
                    break
                verdicts.append((call.future, None, error))
                continue
            except BaseException as error:
                verdicts.append((call.future, None, error))
                continue
            self._sent[number] = Call(call.future, call.load, True, freight.has_buffers(load))
            numbers.append(number)
            loads.append(TASK.pack(number) + load)
            room -= 1
        if loads:
            self._put(numbers, loads, verdicts)
        return verdicts

    def _pack(self, load: tuple[Any, ...], number: int) -> bytes:
        function, args, kwargs = load
        lifted = function, freight.lifted(args), freight.lifted(kwargs) if kwargs else kwargs
        return freight.pack(lifted, self._space, f"a{number}")

    def _put(self, numbers: list[int], loads: list[bytes], verdicts: list[Verdict]) -> None:
        error: Exception | None = None
        done = 0
        try:
            done = self._tasks.put_many(loads)
        except SpaceFull as full:
            error = full
        except Closed:
            return  # broken meanwhile: who broke it tells the futures
        for number in reversed(numbers[done:]):
            call = self._sent.pop(number)
            if call.large:
                self._drop(f"a{number}")
            self._backlog.appendleft(call)
        if done < len(loads) and not self._sent:
            call = self._backlog.popleft()
            verdicts.append((call.future, None, error or SpaceFull("a task does not fit into shared memory")))

    def _drop(self, *names: str) -> None:
        names, self._undropped = (*self._undropped, *names), []
        for name in names:
            try:
                freight.drop(self._space, name)
            except Closed:
                return
            except ShmspaceError:  # somebody was stopped with a lock
                self._undropped.append(name)

    # in

    def _collect(self) -> None:
        """Take answers until the end; the collector's thread."""
        try:
            while True:
                self._take_answers()
        except Closed:
            return
        except BaseException as error:
            self._break(f"answers cannot be taken any more ({type(error).__name__}: {error})", traceback.format_exc())

    def _take_answers(self) -> None:
        verdicts = self._judge(self._results.get_many(_BATCH))
        with self._lock:
            self._measure(len(verdicts))
            failed = self._feed() if self._backlog else []
        for verdict in (*verdicts, *failed):
            try:
                _tell([verdict])
            except BaseException:  # no Exception, or it would have been logged as a callback's already
                _log.exception("exception calling callback for %r", verdict[0])
        with self._lock:
            self._end_if_done()

    def _judge(self, answers: list[bytes]) -> list[Verdict]:
        verdicts: list[Verdict] = []
        for answer in answers:
            number, what, tries = ANSWER.unpack_from(answer)
            if what > DIED:
                self._note(answer, number, what, bool(tries))
                continue
            call = self._sent.pop(number, None)
            if call is not None:
                verdicts.append((call.future, *self._verdict(answer, what, tries)))
                if call.large:
                    self._drop(f"a{number}")
            first = tries if what == RESULT and answer[ANSWER.size] else tries - 1
            if first:  # with what tries that were killed may have left
                self._drop(*(f"r{number}.{count}" for count in range(first, 0, -1)))
        return verdicts

    def _note(self, answer: bytes, pid: int, what: int, killed: bool) -> None:
        """Hear of a worker. What it says comes before what the keeper says when it is gone."""
        if what == BROKEN:
            self._break("the initializer of a worker has failed", answer[ANSWER.size :].decode())
        elif what == READY:
            self._ready.add(pid)
            self._false_starts = 0
        elif pid in self._ready:
            self._ready.discard(pid)
        else:
            self._false_starts += 1
            if self._false_starts >= (_KILLED_STARTS if killed else _FALSE_STARTS):
                self._break("workers end before they are ready; does the main module start something when imported?")

    def _verdict(self, answer: bytes, what: int, tries: int) -> tuple[Any, BaseException | None]:
        if what == DIED:
            return None, WorkerDied(f"the task was tried {tries - 1} times, and its worker was killed each time")
        body = memoryview(answer)[ANSWER.size :]
        try:
            return (None, _exception(body)) if what == FAILED else (freight.unpack(body, self._space), None)
        except BaseException as error:
            return None, error

    def _measure(self, count: int) -> None:
        """Make the window as wide as the workers are quick; with the lock."""
        begin, total = self._measured
        total += count
        took = time.monotonic() - begin
        if took >= _MEASURE_S:
            least, most = self._most_workers + 1, max(_WINDOW_MOST, 2 * self._most_workers)
            self._window = min(max(int(total / took * _WINDOW_S), least), most)
            begin, total = begin + took, 0
        self._measured = begin, total

    # workers

    def _start_workers(self) -> None:
        """Start those that `submit` needs; with the lock. All at once by fork, which had better come before threads.

        Fewer than wanted will do; raises what the start of the only one raises.
        """
        missing = int(len(self._sent) + len(self._backlog) >= len(self._workers))
        if self._context.get_start_method() == "fork":
            missing = self._most_workers - len(self._workers)
        try:
            for _ in range(missing):
                self._start_worker()
        except Exception:
            if not self._workers:
                raise

    def _start_worker(self) -> None:
        process = self._context.Process(target=work, args=self._work, name="shmspace-worker")
        process.start()
        self._workers[process.sentinel] = process
        self._waker.ring()

    def _start_threads(self) -> None:
        for run, name in ((self._collect, "shmspace-collector"), (self._keep, "shmspace-keeper")):
            thread = threading.Thread(target=run, name=name, daemon=True)
            self._threads.append(thread)
            thread.start()

    def _keep(self) -> None:
        """Replace workers that end, until the end; the keeper's thread."""
        while True:
            with self._lock:
                self._end_if_done()
                sentinels = list(self._workers)
                if self._ended and not sentinels:
                    break
            for ready in wait([self._waker.descriptor, *sentinels]):
                if ready == self._waker.descriptor:
                    self._waker.hush()
                else:
                    self._bury(ready)
        self._threads[0].join()
        self._space.close()
        self._waker.close()

    def _bury(self, sentinel: Any) -> None:
        with self._lock:
            process = self._workers.pop(sentinel)
        process.join()
        pid, code = process.pid, process.exitcode
        with contextlib.suppress(ValueError):  # another thread asks multiprocessing for its children just now
            process.close()
        with contextlib.suppress(Closed):
            lib.shm_space_reap_dead(self._space._pointer())  # its task is ready for others
            put_small(self._results, ANSWER.pack(pid, GONE, code is None or code in _KILLS))
        try:
            with self._lock:
                if not self._ended and len(self._workers) < self._most_workers:
                    self._start_worker()
        except Exception as error:
            if not self._workers:  # fewer will do, and the next `submit` tries again
                self._break(f"no worker can be started ({type(error).__name__}: {error})")

    # the end

    def _break(self, reason: str, text: str = "") -> None:
        with self._lock:
            if self._ended:
                return
            self._broken = f"{reason}; the pool is of no use any more"
            calls = [*self._sent.values(), *self._backlog]
            self._sent.clear()
            self._backlog.clear()
            self._shut = True
            self._end()
            for process in self._workers.values():
                process.terminate()
        for call in calls:
            if call.begun or call.future.set_running_or_notify_cancel():
                error = futures.BrokenExecutor(self._broken)
                error.__cause__ = RemoteTraceback(text) if text else None
                _tell([(call.future, None, error)])

    def _end_if_done(self) -> None:
        if self._shut and not self._ended and not self._sent and not self._backlog:
            self._end()

    def _end(self) -> None:
        """Have workers and threads end; with the lock."""
        self._ended = True
        self._tasks.shutdown(immediate=True)
        self._results.shutdown(immediate=True)
        self._waker.ring()
        if not self._threads:
            self._space.close()
            self._waker.close()

    def shutdown(self, *, wait: bool, cancel_futures: bool = False) -> None:
        """See `Executor.shutdown`."""
        if os.getpid() != self._pid:
            return  # the child of a fork: it is the parent's
        with self._lock:
            self._shut = True
            dropped = [call for call in self._backlog if not call.begun] if cancel_futures else []
        for call in dropped:
            call.future.cancel()
        with self._lock:
            verdicts = self._feed() if dropped else []  # lets go of what was cancelled
        _tell(verdicts)
        with self._lock:
            self._end_if_done()
            threads = list(self._threads)
        if wait and threading.current_thread() not in threads:  # a callback cannot wait for its own thread
            for thread in threads:
                thread.join()

    def abandon(self) -> None:
        """Nobody holds the executor any more: end when all that was submitted is done.

        It is a finalizer, which may be called in the middle of anything: it takes no lock when there is a keeper.
        """
        if self._threads and os.getpid() == self._pid:
            self._shut = True
            self._waker.ring()
        else:
            self.shutdown(wait=False)


def _exception(body: memoryview) -> BaseException:
    """Give the exception of a task, with its traceback as the cause; or one that stands for it."""
    text, name, pickled, refusal = pickle.loads(body)
    error: object = None
    if pickled is not None:
        try:
            error = pickle.loads(pickled)
        except BaseException as found:
            refusal = f"{type(found).__name__}: {found}"
    if not isinstance(error, BaseException):
        error = pickle.PicklingError(f"an exception of type {name} cannot be sent from its worker ({refusal})")
    error.__cause__ = RemoteTraceback(text)
    return error


def _tell(verdicts: list[Verdict]) -> None:
    for future, value, error in verdicts:
        with contextlib.suppress(futures.InvalidStateError):
            if error is None:
                future.set_result(value)
            else:
                future.set_exception(error)


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()
_exiting: list[bool] = []


def _at_exit() -> None:
    """Finish what was submitted before the interpreter goes, as `concurrent.futures` does."""
    _exiting.append(True)
    for pool in list(_pools):
        pool.shutdown(wait=True)


def _after_fork() -> None:
    _pools.clear()
    _exiting.clear()


os.register_at_fork(after_in_child=_after_fork)
# As early as concurrent.futures: at a later stage no worker can be started any more.
getattr(threading, "_register_atexit", atexit.register)(_at_exit)
