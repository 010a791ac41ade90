"""What a worker of an `Executor` does: lease a task, call it, put the answer, acknowledge.

A task is acknowledged only after its answer was put, and one that is killed in between has its task tried again; the
owner takes the first answer. So a task runs once, or again if its worker died, and is never lost.

Task: its number (64-bit) and its load (freight.py): ``(function, args, kwargs)``. Answer: number, what it is, how often
the task was delivered; then the load of the result, or a pickle that says how it failed.
"""

from __future__ import annotations

import contextlib
import io
import multiprocessing
import os
import pickle
import select
import signal
import struct
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any

from . import freight
from .errors import Closed, SpaceFull
from .queue import Lease, Queue

__all__ = ["ANSWER", "BROKEN", "DIED", "FAILED", "GONE", "READY", "RESULT", "TASK", "put_small", "work"]

TASK = struct.Struct("<Q")
ANSWER = struct.Struct("<QII")
RESULT, FAILED, DIED, READY, BROKEN, GONE = range(6)

_GRACE_S = 1.0
_FULL_NAP_S = 0.01


def work(
    tasks: Queue, results: Queue, owner: int, initializer: Callable[..., Any] | None, initargs: Any, most: int
) -> None:
    """Serve until the queue of tasks is shut down, or the process `owner` has ended. A task is tried `most` times."""
    threading.Thread(target=_end_with, args=(owner, tasks), name="shmspace-owner", daemon=True).start()
    try:
        if initializer is not None:
            initializer(*initargs)
    except BaseException:
        with contextlib.suppress(Closed):
            put_small(results, ANSWER.pack(0, BROKEN, 0) + traceback.format_exc().encode(errors="replace"))
        return
    try:
        put_small(results, ANSWER.pack(os.getpid(), READY, 0))
        while True:
            _serve(tasks.lease(), tasks, results, most)
    except (Closed, KeyboardInterrupt):  # Ctrl-C while there was nothing to do
        return


def _serve(lease: Lease, tasks: Queue, results: Queue, most: int) -> None:
    data = memoryview(lease.value)
    (number,) = TASK.unpack_from(data)
    tries = lease.deliveries
    answer = ANSWER.pack(number, DIED, tries) if tries > most else _call(data[TASK.size :], tasks, number, tries)
    try:
        results.put(answer)
    except SpaceFull:
        put_small(results, answer if len(answer) < freight.LARGE_BYTES else _failure(number, tries))
    lease.ack()


def _call(load: memoryview, tasks: Queue, number: int, tries: int) -> bytes:
    try:
        function, args, kwargs = freight.unpack(load, tasks.space)
        value = freight.lifted(function(*args, **kwargs))
        return ANSWER.pack(number, RESULT, tries) + freight.pack(value, tasks.space, f"r{number}.{tries}")
    except BaseException:
        return _failure(number, tries)


def _failure(number: int, tries: int) -> bytes:
    """Give the answer for the exception being handled: its traceback, its name, its pickle or why there is none."""
    found = sys.exc_info()[1]
    text, pickled, refusal = traceback.format_exc(), None, ""
    try:
        room = io.BytesIO()
        freight.ForkPickler(room, 5).dump(found)
        pickled = room.getvalue()
    except BaseException as error:
        refusal = f"{type(error).__name__}: {error}"
    body = pickle.dumps((text, type(found).__qualname__, pickled, refusal))
    return ANSWER.pack(number, FAILED, tries) + body


def put_small(results: Queue, answer: bytes) -> None:
    """Put what is small, however long it takes until there is memory for it."""
    while True:
        try:
            results.put(answer)
            return
        except SpaceFull:
            time.sleep(_FULL_NAP_S)


def _end_with(owner: int, tasks: Queue) -> None:
    """End this process when its owner has: first by a signal that it may handle, then at once."""
    try:
        descriptor = os.pidfd_open(owner)
    except ProcessLookupError:
        descriptor = -1
    except OSError:  # not in this kernel, or not allowed: the pipe, which other children may hold open, too
        parent = multiprocessing.parent_process()
        descriptor = parent.sentinel if parent else -1
    try:
        # The number may be another process's by now; the owner is a member as long as it lives.
        alive = any(member.pid == owner and member.alive for member in tasks.space.members())
    except Closed:
        return
    if alive and descriptor >= 0:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        poll.poll()
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(_GRACE_S)
    os._exit(1)
