"""The two ways to count the words of a corpus: by a pool of workers, and in this process alone."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from types import FrameType

import shmspace
from shmspace.cli.demo.collector import Collector
from shmspace.cli.demo.corpus import Corpus
from shmspace.cli.demo.display import Display
from shmspace.cli.demo.outcome import Outcome
from shmspace.cli.demo.pool import Pool
from shmspace.cli.demo.tokens import count_words

_SIZE = 48 << 20  # with two workers what a container has in /dev/shm if nobody asked for more; it is taken as needed
_WORKER_SIZE = 8 << 20
_ENDING = (signal.SIGTERM, signal.SIGHUP)


def index_with_pool(
    corpus: Corpus, *, workers: int, kill: bool, directory: str | None, display: Display
) -> Outcome:
    """Count with a pool of worker processes in a space of its own.

    Neither a process nor the space is left afterwards, whether it ends well, by an error or by a signal.
    """
    name = f"demo-{os.getpid()}-{secrets.token_hex(4)}"
    try:
        with _signals_as_exits(), shmspace.open(
            name, size=_SIZE + workers * _WORKER_SIZE, directory=directory
        ) as space:
            pool = Pool(name, directory, str(corpus.root))
            try:
                return Collector(space, pool, corpus, workers=workers, kill=kill, display=display).run()
            finally:
                with _uninterrupted():
                    pool.close()
    finally:
        with _uninterrupted():
            shmspace.destroy(name, directory=directory, missing_ok=True)


def index_alone(corpus: Corpus) -> tuple[Counter[str], float]:
    """Count in this process; gives the counts and the seconds that it took."""
    began = time.monotonic()
    words = count_files(corpus, corpus.sizes)
    return words, time.monotonic() - began


def count_files(corpus: Corpus, names: Iterable[str]) -> Counter[str]:
    """Count some files of a corpus together."""
    words: Counter[str] = Counter()
    for name in names:
        words.update(count_words(corpus.root / name))
    return words


@contextlib.contextmanager
def _signals_as_exits() -> Iterator[None]:
    """Let the signals that end a process run its clean-up as Ctrl-C does."""

    def leave(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    before = {number: signal.signal(number, leave) for number in _ENDING}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def _uninterrupted() -> Iterator[None]:
    """Hold signals back while something is cleaned up that takes a bounded time."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, *_ENDING})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
