"""What the demo shows while it runs: a live picture on a terminal, lines elsewhere, nothing for programs."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Protocol

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from shmspace.cli.output import printable

_PICTURES_PER_SECOND = 10
_SECONDS_PER_LINE = 1.0
_STATE_STYLES = {"working": "green", "killed": "bold red", "died": "bold red"}


@dataclass(frozen=True)
class WorkerLine:
    """One worker, to be shown."""

    number: int
    pid: int
    state: str
    files: int
    current: str | None


@dataclass(frozen=True)
class Progress:
    """How far an index is."""

    files: int
    files_all: int
    nbytes: int
    nbytes_all: int
    messages: int
    seconds: float
    workers: list[WorkerLine]
    most: list[tuple[str, int]]
    """The words that were counted most often so far."""

    def __str__(self) -> str:
        seconds = max(self.seconds, 1e-9)
        return (
            f"{self.files:,} of {self.files_all:,} files, {self.nbytes / 1e6 / seconds:.1f} MB/s, "
            f"{self.messages / seconds:,.0f} messages/s"
        )


class Display(Protocol):
    """Where progress goes."""

    def update(self, progress: Progress) -> None:
        """Show how far it is; called often."""

    def note(self, text: str) -> None:
        """Tell something that happened once."""

    def close(self) -> None:
        """Leave the terminal in order."""


class SilentDisplay:
    """Shows nothing."""

    def update(self, progress: Progress) -> None:
        """Show nothing."""

    def note(self, text: str) -> None:
        """Tell nothing."""

    def close(self) -> None:
        """Do nothing."""


class LineDisplay:
    """Prints a line about every second."""

    def __init__(self) -> None:
        self._next = time.monotonic() + _SECONDS_PER_LINE

    def update(self, progress: Progress) -> None:
        """Print a line if it is time for one."""
        now = time.monotonic()
        if now >= self._next:
            self._next = now + _SECONDS_PER_LINE
            self.note(str(progress))

    def note(self, text: str) -> None:
        """Print a line."""
        print(printable(text), flush=True)

    def close(self) -> None:
        """Do nothing: every line is out."""


class LiveDisplay:
    """Keeps a picture of the whole index on the terminal."""

    def __init__(self) -> None:
        self._console = Console(highlight=False)
        self._live = Live(console=self._console, auto_refresh=False)
        self._live.start()
        self._next = 0.0
        self._latest: Progress | None = None

    def update(self, progress: Progress) -> None:
        """Draw the picture anew if it is time for that."""
        self._latest = progress
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 1 / _PICTURES_PER_SECOND
            self._live.update(_picture(progress), refresh=True)

    def note(self, text: str) -> None:
        """Print a line above the picture."""
        self._console.print(Text(printable(text)))

    def close(self) -> None:
        """Draw how it ended and leave that where it is."""
        if self._latest is not None:
            self._live.update(_picture(self._latest), refresh=True)
        self._live.stop()


def _picture(progress: Progress) -> Group:
    bar = Table.grid()  # alone, a bar does not end its line
    bar.add_row(ProgressBar(total=progress.nbytes_all, completed=progress.nbytes, width=60))
    table = Table(box=None, pad_edge=False)
    for heading in ("worker", "pid", "files"):
        table.add_column(heading, justify="right")
    table.add_column("state", min_width=8)
    table.add_column("file", no_wrap=True, overflow="ellipsis")
    for worker in progress.workers:
        table.add_row(
            str(worker.number),
            str(worker.pid),
            f"{worker.files:,}",
            Text(worker.state, style=_STATE_STYLES.get(worker.state, "")),
            Text(printable(worker.current or "")),
        )
    most = ", ".join(f"{word} {count:,}" for word, count in progress.most)
    return Group(bar, Text(str(progress)), Text(printable(f"most: {most}"), no_wrap=True, overflow="ellipsis"), table)
