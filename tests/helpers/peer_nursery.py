"""Many short-lived processes, started quickly: forked from one clean process that never attaches.

    with Nursery() as nursery:
        pid = nursery.start(work, *args)      # work(*args) in a process of its own
        os.kill(pid, signal.SIGKILL)
        assert nursery.ended(pid) == -signal.SIGKILL

`work` is a function of an importable module. No process is left over, whatever the test does.
"""

from __future__ import annotations

import contextlib
import os
import signal
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tests.helpers.peer import Peer


class Nursery:
    """The test's end."""

    def __init__(self) -> None:
        self._peer = Peer(nurse)
        self.alive: set[int] = set()

    def start(self, work: Callable[..., None], *args: Any) -> int:
        pid: int = self._peer.ask((work, args))
        self.alive.add(pid)
        return pid

    def ended(self, pid: int) -> int:
        """Wait for the end of one process: its exit code, negative for a signal."""
        code: int = self._peer.ask(pid)
        self.alive.discard(pid)
        return code

    def kill(self, pid: int) -> None:
        """kill -9, and wait until the kernel is done with it."""
        os.kill(pid, signal.SIGKILL)
        assert self.ended(pid) == -signal.SIGKILL

    def all_ended(self) -> list[int]:
        return [self.ended(pid) for pid in sorted(self.alive)]

    def __enter__(self) -> Nursery:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Nobody is waited for after a failure: the nurse holds the dead until she ends herself."""
        for pid in self.alive:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._peer.__exit__(None, None, None)


def nurse(talk: Connection) -> None:
    """Fork what is asked for and wait for whom is asked for; in the end, wait for all."""
    children: set[int] = set()
    try:
        while True:
            order = talk.recv()
            if isinstance(order, int):
                talk.send(os.waitstatus_to_exitcode(os.waitpid(order, 0)[1]))
                children.discard(order)
            else:
                children.add(born(talk, *order))
    finally:
        for child in children:
            os.waitpid(child, 0)


def born(talk: Connection, work: Callable[..., None], args: tuple[Any, ...]) -> int:
    """Fork one child; only the parent returns."""
    pid = os.fork()
    if pid:
        talk.send(pid)
        return pid
    code = 1
    try:
        talk.close()
        work(*args)
        code = 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)
