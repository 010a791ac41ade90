"""What the demo says at its end."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

from shmspace.cli.demo.corpus import Corpus
from shmspace.cli.demo.index import count_files
from shmspace.cli.demo.outcome import Casualty, Outcome
from shmspace.cli.output import plural, printable

_SHOWN = 5


@dataclass(frozen=True)
class Report:
    """Both counts side by side."""

    corpus: Corpus
    workers: int
    kill: bool
    """A worker was to be killed."""
    outcome: Outcome
    plain: Counter[str]
    """What one process counted in all files."""
    plain_seconds: float

    @property
    def equal(self) -> bool:
        """True if both counts agree on all files but the lost ones."""
        without = self.plain - count_files(self.corpus, self.outcome.lost)
        return self.outcome.words == without

    @property
    def speed_up(self) -> float:
        """How many times faster the workers were."""
        return self.plain_seconds / max(self.outcome.seconds, 1e-9)

    def problems(self) -> list[str]:
        """Tell what should not be so; nothing if all is well."""
        found = []
        if not self.equal:
            found.append("the two counts differ: either a message was lost or doubled, or the files changed meanwhile")
        if self.outcome.unasked:
            found.append(f"{plural(len(self.outcome.unasked), 'worker')} died without being asked to")
        asked = len(self.outcome.casualties) - len(self.outcome.unasked)
        if self.kill and not asked:
            found.append("no worker could be caught at work, so none was killed: there is too little text")
        if self.outcome.lost:
            lost = plural(len(self.outcome.lost), "file")
            found.append(f"{lost} lost: no worker was left to count them, or somebody else took them")
        return found

    def document(self) -> dict[str, Any]:
        """Give it all as one JSON document."""
        outcome, nbytes = self.outcome, self.corpus.nbytes
        return {
            "path": str(self.corpus.root),
            "files": len(self.corpus.sizes),
            "bytes": nbytes,
            "skipped": self.corpus.skipped,
            "workers": self.workers,
            "messages": outcome.messages,
            "start_seconds": outcome.start_seconds,
            "seconds": outcome.seconds,
            "plain_seconds": self.plain_seconds,
            "speed_up": self.speed_up,
            "mb_per_second": nbytes / 1e6 / max(outcome.seconds, 1e-9),
            "messages_per_second": outcome.messages / max(outcome.seconds, 1e-9),
            "words": outcome.words.total(),
            "different_words": len(outcome.words),
            "most": outcome.words.most_common(_SHOWN),
            "casualties": [vars(casualty) for casualty in outcome.casualties],
            "lost": outcome.lost,
            "audited": outcome.audited,
            "audit": outcome.audit,
            "equal": self.equal,
            "problems": self.problems(),
        }

    def lines(self) -> list[str]:
        """Give it all as lines for people."""
        outcome, nbytes = self.outcome, self.corpus.nbytes
        seconds, plain_seconds = max(outcome.seconds, 1e-9), max(self.plain_seconds, 1e-9)
        lines = [
            f"pool      {seconds:.2f} s with {plural(self.workers, 'worker')}: {nbytes / 1e6 / seconds:.1f} MB/s, "
            f"{outcome.messages / seconds:,.0f} messages/s (starting them took {outcome.start_seconds:.2f} s)",
            f"plain     {plain_seconds:.2f} s in one process: {nbytes / 1e6 / plain_seconds:.1f} MB/s",
            f"speed-up  {self.speed_up:.2f}",
            *map(_death, outcome.casualties),
            *self._losses(),
        ]
        if self.equal:
            without = f", {plural(len(outcome.lost), 'lost file')} left out" if outcome.lost else ""
            total, different = outcome.words.total(), len(outcome.words)
            lines.append(f"equal     {total:,} words, {different:,} different: both counts agree{without}")
            most = ", ".join(f"{word} {count:,}" for word, count in outcome.words.most_common(_SHOWN))
            lines.append(f"most      {most}")
        lines.append(f"audit     {plural(outcome.audited, 'record')} in the log; the last:")
        for done in outcome.audit:
            by = f"worker {done['worker']} in {done['seconds']:.3f} s"
            lines.append(f"          {done['file']}: {done['tokens']:,} words by {by}")
        lines += [f"problem   {problem}" for problem in self.problems()]
        return list(map(printable, lines))

    def _losses(self) -> list[str]:
        lost = self.outcome.lost
        if not lost:
            return ["lost      nothing: its file was counted by another worker"] if self.outcome.casualties else []
        return [f"lost      {name}" for name in lost]


def _death(casualty: Casualty) -> str:
    how = "killed with SIGKILL" if casualty.asked else "died"
    at_work = f" while it counted {casualty.file}" if casualty.file else ""
    place = f"; worker {casualty.successor} took its place" if casualty.successor else ""
    return f"death     worker {casualty.worker} (pid {casualty.pid}) {how}{at_work}{place}"
