"""Collects what the workers of the demo count: the main loop of the demo, on the parent's main thread.

1. The results end when every writer of theirs is closed, or its process dead. The collector holds a writer of its own
   while a worker is still starting, so that the stream cannot end before that one has opened its writer.
2. The counts are in a store, where the workers add them up themselves; the collector watches them, for people to see.
   A file is done when a worker has said so for the first time. Its name is leased: that of a worker that dies
   goes to another one. So the queue is shut down, which sends the workers home, when all files are done.
3. A worker that dies is replaced, a bounded number of times, so this ends whatever dies; files are lost when nobody is
   left to count them.
"""

from __future__ import annotations

import time
from typing import Any

import shmspace
from shmspace.cli.demo.corpus import Corpus
from shmspace.cli.demo.display import Display, Progress, WorkerLine
from shmspace.cli.demo.feeder import Feeder
from shmspace.cli.demo.live import LiveCounts
from shmspace.cli.demo.merge import Merger, open_counts, totals
from shmspace.cli.demo.outcome import Casualty, Outcome
from shmspace.cli.demo.pool import Pool, Worker
from shmspace.cli.demo.tally import Tally
from shmspace.cli.demo.worker import AUDIT, FILES, RESULTS
from shmspace.cli.refusal import Refusal
from shmspace.errors import Empty, EndOfStream

_CAPACITY = 100
_SLICE_SECONDS = 0.05
_AUDIT_SHOWN = 3
_LEAVING_SECONDS = 5.0
_KILL_AFTER = 0.1  # part of the bytes that is done before a worker is killed: "in the middle", also in small trees


class Collector:
    """Runs one index: starts workers, feeds them, merges, replaces the dead, and kills one if asked to."""

    def __init__(
        self, space: shmspace.Space, pool: Pool, corpus: Corpus, *, workers: int, kill: bool, display: Display
    ) -> None:
        self._space = space
        self._pool = pool
        self._corpus = corpus
        self._display = display
        self._tally = Tally(corpus.sizes)
        self._results = space.channel(RESULTS, capacity=_CAPACITY, max_message="256K")
        self._reader = self._results.reader()
        self._keeper: shmspace.Writer | None = self._results.writer()
        self._files = space.queue(FILES, maxsize=_CAPACITY)
        self._audit = space.log(AUDIT, codec="auto")
        self._counts = open_counts(space)
        self._live = LiveCounts(self._counts, lambda: [worker.number for worker in pool.workers])
        self._feeder = Feeder(self._files, corpus.sizes)
        self._workers = workers
        self._kill_wanted = kill
        self._replacements_left = workers + 2
        self._deaths: list[tuple[Worker, Worker | None]] = []
        self._began = time.monotonic()

    def run(self) -> Outcome:
        """Index the whole corpus."""
        try:
            for _ in range(self._workers):
                self._pool.start()
            while any(self._state(worker) == "starting" for worker in self._pool.living()):
                self._pump()
            if not self._pool.living():
                raise Refusal("no worker could begin: all died as they started")
            ready = time.monotonic()
            self._feeder.start()
            start_seconds, self._began = ready - self._began, ready
            while self._pump():
                pass
            seconds = time.monotonic() - self._began
        finally:
            self._feeder.close()
            self._live.close()
            self._release()
        if self._feeder.error is not None:
            raise self._feeder.error
        return self._outcome(start_seconds, seconds)

    def _pump(self) -> bool:
        """Take what has come and see to the workers; False when the results have ended."""
        ended = quiet = False
        try:
            self._take(self._reader.recv_many(_CAPACITY, timeout=_SLICE_SECONDS))
        except Empty:
            quiet = True
        except EndOfStream:
            # A worker's writer is gone a moment before its process is, and only the process tells how it ended.
            self._await_exits()
            ended = True
        if self._kill_wanted and self._tally.done_bytes >= _KILL_AFTER * self._corpus.nbytes:
            self._try_to_kill()
        self._notice_deaths()
        self._live.follow()
        self._display.update(self.progress())
        if not self._files.is_shutdown and (self._all_done() or (quiet and self._nothing_to_do())):
            self._files.shutdown()
        if self._keeper is not None and self._may_end():
            self._release()
        return not (ended and self._keeper is None)

    def _take(self, messages: list[Any]) -> None:
        for message in messages:
            self._tally.take(message)

    def _await_exits(self) -> None:
        deadline = time.monotonic() + _LEAVING_SECONDS
        for worker in self._pool.living():
            worker.process.join(max(0.0, deadline - time.monotonic()))

    def _notice_deaths(self) -> None:
        for worker in list(self._pool.workers):
            if worker.failed and not worker.noticed:
                worker.noticed = True
                self._replace(worker)

    def _replace(self, worker: Worker) -> None:
        successor = None
        if self._replacements_left:
            self._replacements_left -= 1
            if self._keeper is None:
                self._keeper = self._results.writer()
            successor = self._pool.start()
        self._deaths.append((worker, successor))
        how = "was killed" if worker.killed else "died"
        place = (
            f"worker {successor.number} takes its place" if successor else "too many have died, nobody takes its place"
        )
        self._display.note(f"worker {worker.number} (pid {worker.pid}) {how}; {place}")

    def _may_end(self) -> bool:
        living = self._pool.living()
        if any(self._state(worker) == "starting" for worker in living):
            return False
        # The replacement for a kill that is still to come needs the stream open.
        return not (self._kill_wanted and living and not self._all_done())

    def _all_done(self) -> bool:
        return self._feeder.finished and len(self._tally.done) == self._feeder.sent

    def _nothing_to_do(self) -> bool:
        """No name waits, or is with a worker: what is not done then was taken by somebody else."""
        stat = self._files.stat()
        return self._feeder.finished and stat.ready == 0 and stat.leased == 0

    def _release(self) -> None:
        if self._keeper is not None:
            self._keeper.close()
            self._keeper = None

    def _try_to_kill(self) -> None:
        """Kill a worker in the middle of a file.

        It is frozen first and what it has said until then is read: only then is it sure that it still works on the file
        that it announced. If it does not, it goes on, and this is tried again later.
        """
        busy = [worker for worker in self._pool.living() if self._state(worker) == "working"]
        if not busy:
            return
        victim = max(busy, key=lambda worker: self._corpus.sizes[self._tally.worker(worker.number).current or ""])
        if not self._pool.freeze(victim):
            return
        self._drain()
        if self._state(victim) == "working":
            self._kill_wanted = False
            self._pool.kill(victim)
        else:
            self._pool.thaw(victim)

    def _drain(self) -> None:
        # What the frozen worker has sent is among as many messages as can wait; others may go on to send for ever.
        left = _CAPACITY
        while left > 0:
            try:
                messages = self._reader.recv_many(left, timeout=0)
            except (Empty, EndOfStream):
                return
            self._take(messages)
            left -= len(messages)

    def _state(self, worker: Worker) -> str:
        return self._tally.worker(worker.number).state

    def _outcome(self, start_seconds: float, seconds: float) -> Outcome:
        casualties = [
            Casualty(
                worker=worker.number,
                pid=worker.pid,
                file=self._tally.worker(worker.number).current,
                asked=worker.killed,
                successor=successor.number if successor else None,
            )
            for worker, successor in self._deaths
        ]
        messages = self._feeder.sent + self._tally.messages
        audit = self._audit.consume(max(0, self._audit.next_offset - _AUDIT_SHOWN))[1]
        lost = self._lost()
        return Outcome(
            totals(self._counts),
            lost,
            casualties,
            messages,
            start_seconds,
            seconds,
            self._audit.next_offset,
            [record.value for record in audit],
        )

    def _lost(self) -> list[str]:
        """Give the files that are not in the counts; those that the last worker had begun to add are finished here."""
        merger = Merger(self._space, 0)
        return [name for name in self._corpus.sizes if name not in self._tally.done and not merger.is_done(name)]

    def progress(self) -> Progress:
        """Give what there is to show now."""
        lines = []
        for worker in self._pool.workers:
            told = self._tally.worker(worker.number)
            state = "killed" if worker.killed else "died" if worker.failed else "ended" if worker.ended else told.state
            lines.append(WorkerLine(worker.number, worker.pid, state, told.done, told.current))
        return Progress(
            files=len(self._tally.done),
            files_all=len(self._corpus.sizes),
            nbytes=self._tally.done_bytes,
            nbytes_all=self._corpus.nbytes,
            messages=self._feeder.sent + self._tally.messages,
            seconds=time.monotonic() - self._began,
            workers=lines,
            most=self._live.most(),
        )
