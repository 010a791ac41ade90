"""A worker process of the demo.

It has a lease on the name of the file that it counts, adds its counts to a store (merge.py), and acknowledges the
lease: the file of a worker that is killed goes to another one. It tells the collector what it does; for each file that
it has done it writes a record to the audit log. When the collector is gone, the worker leaves as well, and removes the
space, for nobody else is left to do that.
"""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
from pathlib import Path
from typing import Any

import shmspace
from shmspace.cli.demo.merge import Merger
from shmspace.cli.demo.tokens import count_words
from shmspace.cli.output import one_line
from shmspace.errors import Closed, Empty, Full, NotFound, ShmspaceError

FILES, RESULTS, AUDIT = "files", "results", "audit"
_PATIENCE_SECONDS = 1.0


class _Orphaned(Exception):
    """The collector has gone."""


def work(number: int, space: str, directory: str | None, root: str) -> None:
    """Count the files whose names come from the queue, send the counts to the channel, until the queue is shut down.

    `number` tells the workers apart in messages; `root` is the directory that file names start from.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the collector, which ends its workers
    try:
        with shmspace.open(space, create=False, directory=directory) as opened:
            _count_all(opened, number, Path(root))
    except (_Orphaned, Closed, NotFound):
        pass  # there is nobody left to work for
    except (ShmspaceError, OSError) as error:
        print(f"shmspace: worker {number}: {one_line(f'{type(error).__name__}: {error}')}", file=sys.stderr)
        sys.exit(1)
    finally:
        if not _collector_lives():
            shmspace.destroy(space, directory=directory, missing_ok=True)


def _count_all(space: shmspace.Space, number: int, root: Path) -> None:
    names, audit, merger = space.queue(FILES), space.log(AUDIT, codec="auto"), Merger(space, number)
    with space.channel(RESULTS).writer() as results:
        _send(results, {"worker": number, "event": "ready"})
        while True:
            with _next_lease(names) as lease:
                name, began = lease.value, time.monotonic()
                _send(results, {"worker": number, "event": "start", "file": name})
                words = count_words(root / name)
                if not merger.is_done(name):
                    merger.merge(name, words)
                _send(results, {"worker": number, "event": "done", "file": name})
                seconds = round(time.monotonic() - began, 6)
                audit.append({"file": name, "worker": number, "tokens": words.total(), "seconds": seconds})


def _next_lease(names: shmspace.Queue) -> shmspace.Lease:
    while True:
        try:
            lease: shmspace.Lease = names.lease(timeout=_PATIENCE_SECONDS)
            return lease
        except Empty:
            if not _collector_lives():
                raise _Orphaned from None


def _send(results: shmspace.Writer, message: dict[str, Any]) -> None:
    while True:
        try:
            results.send(message, timeout=_PATIENCE_SECONDS)
            return
        except Full:
            if not _collector_lives():
                raise _Orphaned from None


def _collector_lives() -> bool:
    parent = multiprocessing.parent_process()
    return parent is None or parent.is_alive()
