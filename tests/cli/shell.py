"""Runs the command line as a user does: in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

DEADLINE_S = 100


@dataclass(frozen=True)
class Ran:
    """What a command did."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()

    @property
    def error(self) -> str:
        """The one line on standard error; fails when there is none, or more than that."""
        assert self.err.count("\n") == 1, self.err
        assert self.err.startswith("shmspace: "), self.err
        return self.err.removeprefix("shmspace: ").rstrip("\n")


def environment(**more: str) -> dict[str, str]:
    """The environment for a command: it imports what the tests import."""
    path = os.pathsep.join(os.getcwd() if part == "" else part for part in sys.path)
    return {**os.environ, "PYTHONPATH": path, "PYTHONUNBUFFERED": "", "COLUMNS": "200", **more}


def run(*arguments: object, stdin: str | bytes = b"", env: Mapping[str, str] | None = None) -> Ran:
    """Run `shmspace` with these arguments to its end."""
    done = subprocess.run(
        [sys.executable, "-m", "shmspace", *map(str, arguments)],
        input=stdin.encode() if isinstance(stdin, str) else stdin,
        capture_output=True,
        env=env or environment(),
        timeout=DEADLINE_S,
        check=False,
    )
    return Ran(done.returncode, done.stdout.decode(), done.stderr.decode())


@contextlib.contextmanager
def start(*arguments: object) -> Iterator[subprocess.Popen[str]]:
    """Start `shmspace` with these arguments; it is killed if it still runs when the block is left."""
    process = subprocess.Popen(
        [sys.executable, "-m", "shmspace", *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(),
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.kill()


def ended(process: subprocess.Popen[str]) -> Ran:
    """Wait for the end of what `start` started; it is killed if that does not come."""
    try:
        out, err = process.communicate(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    return Ran(process.returncode, out, err)
