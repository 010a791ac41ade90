"""Waiting for something to become true, and calls that block on a thread of their own.

Nothing here measures time: a condition is looked at again and again until it holds, and only a
generous deadline turns a hang into a failure with a name.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from typing import Any

DEADLINE_S = 60.0


def until(condition: Callable[[], Any], what: str = "the condition", within_s: float = DEADLINE_S) -> Any:
    """Return the first true result of `condition`; fail when it does not come."""
    give_up = time.monotonic() + within_s
    while True:
        result = condition()
        if result:
            return result
        assert time.monotonic() < give_up, f"waited {within_s:g} s in vain for {what}"
        time.sleep(0.001)


def thread_state(pid: int, tid: int) -> str:
    """The kernel's letter for the state of one thread (`S` asleep, `T` stopped, `Z` dead)."""
    try:
        with open(f"/proc/{pid}/task/{tid}/stat", encoding="ascii", errors="replace") as stat:
            return stat.read().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return "Z"


def until_asleep(pid: int, tid: int | None = None) -> None:
    """Wait until a thread sleeps in the kernel several looks in a row, as a blocked call does.

    A thread that is found asleep too early makes a test weaker, never wrong.
    """
    seen = 0

    def asleep() -> bool:
        nonlocal seen
        state = thread_state(pid, pid if tid is None else tid)
        assert state != "Z", f"thread {tid or pid} of process {pid} ended instead of blocking"
        seen = seen + 1 if state == "S" else 0
        return seen >= 5

    until(asleep, f"process {pid} to block")


def until_stopped(pid: int) -> None:
    """Wait until SIGSTOP has reached every thread of a process."""

    def stopped() -> bool:
        tasks = [int(tid) for tid in os.listdir(f"/proc/{pid}/task")]
        return all(thread_state(pid, tid) in "Tt" for tid in tasks)

    until(stopped, f"process {pid} to stop")


class Call:
    """A call running on a thread: `result()` gives what it returned or raises what it raised."""

    def __init__(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> None:
        self._work = (function, args, kwargs)
        self._value: Any = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        function, args, kwargs = self._work
        try:
            self._value = function(*args, **kwargs)
        except BaseException as error:
            self._error = error

    @property
    def done(self) -> bool:
        return not self._thread.is_alive()

    def until_blocked(self) -> Call:
        """Wait until the thread sleeps inside its call; fail when the call returned instead."""
        tid = until(lambda: self._thread.native_id, "the thread to start")
        seen = 0

        def asleep() -> bool:
            nonlocal seen
            if self.done:
                raise AssertionError(f"did not block: {self._error or self._value!r}")
            seen = seen + 1 if thread_state(os.getpid(), tid) == "S" else 0
            return seen >= 5

        until(asleep, "the call to block")
        return self

    def result(self) -> Any:
        self._thread.join(DEADLINE_S)
        assert self.done, "the call never came back"
        if self._error is not None:
            raise self._error
        return self._value


def blocked(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Call:
    """Start a call on a thread and return once it blocks."""
    return Call(function, *args, **kwargs).until_blocked()
