"""`shmspace demo`: the main job on real input."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from shmspace.cli.demo.corpus import default_root, find_corpus
from shmspace.cli.demo.display import Display, LineDisplay, LiveDisplay, SilentDisplay
from shmspace.cli.demo.index import index_alone, index_with_pool
from shmspace.cli.demo.report import Report
from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import plural, print_document
from shmspace.cli.refusal import ProblemsFound

_WORKERS_MOST = 64


@click.command()
@click.option(
    "--path",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The tree of text to index.  [default: Python's own library]",
)
@click.option(
    "--workers", type=click.IntRange(1, _WORKERS_MOST), help="Worker processes.  [default: one per usable processor]"
)
@click.option("--kill", is_flag=True, help="Kill a worker in the middle of a file; nothing is lost.")
@directory_option
@document_option
def demo(path: Path | None, workers: int | None, kill: bool, directory: str | None, as_json: bool) -> None:
    """Index a tree of text with a pool of worker processes, and compare with a plain count.

    File names wait in a queue, of which workers have leases; they add up their counts in a store, which is watched
    meanwhile, and tell what they do on a channel; what was done is in a log. Exit code 1 if the result differs from
    what a single process counts in the same files.
    """
    corpus = find_corpus(path or default_root())
    workers = workers or max(2, min(_WORKERS_MOST, len(os.sched_getaffinity(0))))
    display = _display(as_json)
    try:
        display.note(
            f"counting the words of {plural(len(corpus.sizes), 'file')}, {corpus.nbytes / 1e6:.1f} MB of text below "
            f"{corpus.root} ({plural(corpus.skipped, 'other file')} left out), with {plural(workers, 'worker')}"
        )
        outcome = index_with_pool(corpus, workers=workers, kill=kill, directory=directory, display=display)
    finally:
        display.close()
    plain, plain_seconds = index_alone(corpus)
    report = Report(corpus, workers, kill, outcome, plain, plain_seconds)
    if as_json:
        print_document(report.document())
    else:
        print("\n".join(report.lines()))
    if report.problems():
        raise ProblemsFound


def _display(as_json: bool) -> Display:
    if as_json:
        return SilentDisplay()
    return LiveDisplay() if sys.stdout.isatty() else LineDisplay()
