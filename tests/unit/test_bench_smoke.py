"""The benchmark harness measures, writes what it measured, and outlives competitors that crash, hang or cheat."""

from __future__ import annotations

import dataclasses
import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from benchmarks.cli import main
from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Receiver, Sender
from benchmarks.competitors.mp_pipe import MultiprocessingPipe
from benchmarks.figures import combine, histogram, percentiles
from benchmarks.harness import run_patterns
from benchmarks.patterns.fan_in import FanIn
from benchmarks.patterns.one_way import OneWay
from benchmarks.report import read_report
from benchmarks.scale import QUICK

TINY = dataclasses.replace(QUICK, warm_seconds=0.01, run_seconds=0.02, repeats=2)
IMPATIENT = dataclasses.replace(TINY, repeats=1, grace_seconds=2.0)


class OddLink(Link):
    """A pipe whose receiver misbehaves."""

    def __init__(self, pipe: Link, recv: Callable[[], bytes]) -> None:
        self._pipe = pipe
        self._recv = recv

    def connect_sender(self, lane: int = 0) -> Sender:
        return self._pipe.connect_sender(lane)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        return dataclasses.replace(self._pipe.connect_receiver(lane), recv=self._recv)

    def close(self) -> None:
        self._pipe.close()


class Odd(Competitor):
    """Named for what it does."""

    def __init__(self, name: str, recv: Callable[[], bytes], installed: bool = True) -> None:
        self.name = name
        self._recv = recv
        self._installed = installed

    def version(self) -> str | None:
        return "1" if self._installed else None

    def create(self, spec: LinkSpec) -> Link:
        return OddLink(MultiprocessingPipe().create(spec), self._recv)


def crash() -> bytes:
    os.kill(os.getpid(), signal.SIGKILL)
    return b""


def hang() -> bytes:
    signal.pause()
    return b""


def cheat() -> bytes:
    return b"\0" * 64


def test_a_run_is_written_with_machine_commit_parameters_and_raw_numbers(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    run_patterns([OneWay()], [MultiprocessingPipe()], TINY).write(path)

    document: dict[str, Any] = json.loads(path.read_text())

    assert {"date", "commit", "machine", "parameters", "tables", "verdicts"} <= document.keys()
    assert {"cpu", "cpus_usable", "kernel", "python"} <= document["machine"].keys()
    (table,) = document["tables"]
    (row,) = table["rows"]
    assert row["status"] == "ok"
    assert row["figures"]["rate"] > 0
    assert [run["raw"]["messages"] > 0 for run in row["runs"]] == [True, True]
    assert read_report(path).table("one_way", "64B") is not None


def test_what_a_competitor_does_is_shown_in_its_row_and_hides_no_other() -> None:
    competitors = [
        Odd("crashes", crash),
        Odd("hangs", hang),
        Odd("cheats", cheat),
        Odd("is not there", cheat, installed=False),
        MultiprocessingPipe(),
    ]

    (table,) = run_patterns([OneWay()], competitors, IMPATIENT).tables

    assert [row.status for row in table.rows] == ["crashed", "hangs", "failed", "not installed", "ok"]
    assert "signal 9" in table.rows[0].detail
    assert "received" in table.rows[2].detail


def test_what_cannot_be_done_by_design_is_not_a_failure() -> None:
    (table,) = run_patterns([FanIn()], [MultiprocessingPipe()], TINY).tables

    assert table.rows[0].status == "not applicable"
    assert table.rows[0].detail


def test_a_target_that_ours_breaks_on_is_missed() -> None:
    report = run_patterns([OneWay()], [Odd("shmspace", crash), MultiprocessingPipe()], IMPATIENT)

    assert {verdict["verdict"] for verdict in report.verdicts} == {"MISSED"}


def test_an_unknown_pattern_is_refused_with_those_that_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["no_such_pattern"])

    assert ended.value.code == 2
    assert "one_way" in capsys.readouterr().err


def test_percentiles_are_nearest_ranks() -> None:
    assert percentiles(range(1000)) == {"p50": 500, "p90": 900, "p99": 990, "p99.9": 999, "max": 999}


def test_runs_combine_to_medians_and_the_largest_maximum() -> None:
    assert combine([{"p50": 1, "max": 9}, {"p50": 5, "max": 2}, {"p50": 2, "max": 3}]) == {"p50": 2, "max": 9}


def test_a_histogram_keeps_two_digits() -> None:
    assert histogram([1234, 1250, 99, 7]) == {"7": 1, "99": 1, "1200": 2}
