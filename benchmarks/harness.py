"""Harness: runs every case of the chosen patterns for every contestant, in turns.

1. Repeats are interleaved: all contestants run once, then all again, so that noise hits all alike.
2. Figures are medians of the runs. A contestant that failed once is out of that case, with the reason.
3. Nothing that a contestant does ends the harness; its time is bounded by a watchdog.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timezone

from benchmarks.competitors.adapter import Competitor
from benchmarks.figures import combine
from benchmarks.machine import describe_commit, describe_machine
from benchmarks.outcome import RunEnded
from benchmarks.patterns.pattern import Case, Contestant, Pattern
from benchmarks.report import Report, Row, Table
from benchmarks.scale import Scale
from benchmarks.target import judge

Progress = Callable[[str], None]


def run_patterns(
    patterns: Sequence[Pattern],
    competitors: Sequence[Competitor],
    scale: Scale,
    only: Sequence[str] = (),
    progress: Progress = lambda line: None,
) -> Report:
    """Measure; `only` names the contestants to run (all when empty)."""
    begin = time.monotonic()
    report = Report(
        date=datetime.now(timezone.utc).isoformat(timespec="seconds"),
        commit=describe_commit(),
        machine=describe_machine(),
        parameters=dataclasses.asdict(scale),
    )
    for pattern in patterns:
        contestants = [one for one in pattern.contestants(competitors) if not only or one.name in only]
        for case in pattern.cases:
            chosen = [one for one in contestants if not case.only or one.name in case.only]
            if chosen:
                report.tables.append(_run_case(pattern, case, chosen, scale, progress))
    report.verdicts = judge(report)
    report.seconds = round(time.monotonic() - begin, 1)
    return report


def _run_case(
    pattern: Pattern, case: Case, contestants: Sequence[Contestant], scale: Scale, progress: Progress
) -> Table:
    rows = [Row(one.name, one.version) for one in contestants]
    repeats = pattern.repeats(scale)
    for turn in range(repeats):
        for contestant, row in zip(contestants, rows, strict=True):
            if row.status == "ok":
                progress(f"{pattern.name} {case.name} {turn + 1}/{repeats}: {row.name}")
                _run_once(contestant, case, row, scale)
    table = Table(
        pattern=pattern.name,
        case=case.name,
        title=case.title,
        figure=case.figure,
        unit=case.unit,
        higher_is_better=case.higher_is_better,
        shown=list(case.shown or (case.figure,)),
        rows=rows,
        ours=case.ours,
    )
    _finish(table)
    return table


def _run_once(contestant: Contestant, case: Case, row: Row, scale: Scale) -> None:
    if contestant.version is None:
        row.status = "not installed"
        return
    try:
        run = contestant.run(case, scale)
    except RunEnded as error:
        row.status, row.detail = error.status, str(error)
    except Exception as error:  # a library may raise anything; it must not end the others' runs
        row.status, row.detail = "failed", f"{type(error).__name__}: {error}"
    else:
        row.runs.append(run)
        row.note = run.note


def _finish(table: Table) -> None:
    for row in table.rows:
        if row.status == "ok":
            row.figures = combine([run.figures for run in row.runs])
    ours = table.value(table.ours)
    for row in table.rows:
        theirs = row.figures.get(table.figure)
        if row.name != table.ours and ours and theirs:
            row.advantage = ours / theirs if table.higher_is_better else theirs / ours
