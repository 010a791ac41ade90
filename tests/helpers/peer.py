"""A second process that a test commands: started clean, spoken to over a socket, never left behind.

`Peer(work, *args)` starts a new interpreter that calls `work(talk, *args)`. `work` is a function of
an importable module, `talk` the peer's end of the conversation (a `multiprocessing` Connection).
No resource tracker and no fork of the test process is involved.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

from tests.helpers.peer_wait import DEADLINE_S, until_asleep, until_stopped

BOOT = "from tests.helpers.peer import run_peer; run_peer()"


class Peer:
    """The test's end: tell, said, signals, and an end that is always awaited."""

    def __init__(self, work: Callable[..., None], *args: Any) -> None:
        ours, theirs = socket.socketpair()
        with theirs:
            path = os.pathsep.join([os.getcwd() if part == "" else part for part in sys.path])
            self._process = subprocess.Popen(
                [sys.executable, "-c", BOOT, str(theirs.fileno())],
                pass_fds=[theirs.fileno()],
                stdin=subprocess.DEVNULL,
                env={**os.environ, "PYTHONPATH": path},
            )
        self._talk = Connection(ours.detach())
        self._talk.send((work, args))

    @property
    def pid(self) -> int:
        return self._process.pid

    def tell(self, what: Any) -> None:
        self._talk.send(what)

    def said(self) -> Any:
        """The next thing the peer says; fails when it ended or is silent for too long."""
        assert self._talk.poll(DEADLINE_S), f"peer {self.pid} is silent"
        try:
            return self._talk.recv()
        except (EOFError, ConnectionResetError):
            code = self._process.wait(DEADLINE_S)
            raise AssertionError(f"peer {self.pid} ended with {code}") from None

    def ask(self, what: Any) -> Any:
        self.tell(what)
        return self.said()

    def kill(self) -> None:
        """kill -9, and wait until the kernel is done with it."""
        self._process.kill()
        self._process.wait(DEADLINE_S)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGSTOP)
        until_stopped(self.pid)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def interrupt(self) -> None:
        self._process.send_signal(signal.SIGINT)

    def until_blocked(self) -> Peer:
        until_asleep(self.pid)
        return self

    def finish(self) -> int:
        """Wait for the end of the peer; its exit code, negative for a signal."""
        return self._process.wait(DEADLINE_S)

    def __enter__(self) -> Peer:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """A test that went well expects its peer to end well; otherwise the peer is killed."""
        try:
            if kind is None and self._process.poll() is None:
                self._talk.close()
                self._process.wait(DEADLINE_S)
        finally:
            self._talk.close()
            if self._process.poll() is None:
                self.kill()


def run_peer() -> None:
    """What the new interpreter does: take the work from the socket and do it.

    The test closing its end is how a peer is told to leave, so that end of file is no failure.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    talk = Connection(int(sys.argv[1]))
    work, args = talk.recv()
    try:
        work(talk, *args)
    except EOFError as error:
        if type(error) is not EOFError:
            raise
