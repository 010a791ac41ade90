"""Target: what shmspace must reach, and the verdicts on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from benchmarks.figure_text import text_of
from benchmarks.outcome import Crashed, Failed, Hung
from benchmarks.report import Report

_BROKEN = {Failed.status, Hung.status, Crashed.status}


@dataclass(frozen=True)
class Target:
    """`limit` is in the unit of the figure, or a multiple of the same figure of `rival`.

    It is of `subject`, or if that is empty of the one that the case is about; `rival` may be measured in `rival_case`.
    """

    pattern: str
    case: str
    figure: str
    relation: Literal[">=", "<="]
    limit: float
    unit: str
    rival: str = ""
    subject: str = ""
    rival_case: str = ""

    @property
    def text(self) -> str:
        """The target in words."""
        name = f"{self.pattern} {self.case}" + (f", {self.subject}" if self.subject else "")
        if self.rival:
            rival = self.rival + (f" in {self.rival_case}" if self.rival_case else "")
            return f"{name}: {self.figure} {self.relation} {self.limit:.3g} x {rival}"
        return f"{name}: {self.figure} {self.relation} {text_of(self.limit, self.unit)}"


_QUEUE, _TUPLES, _LOG = "shmspace.Queue", "shmspace.Tuples", "shmspace.Log"
_STORE, _ENTRIES = "shmspace.Store", "shmspace.Store, entries"

TARGETS = (
    Target("one_way", "64B", "rate", ">=", 1.4, "messages/s", "pyzmq"),
    Target("one_way", "64B", "rate", ">=", 10, "messages/s", "multiprocessing.Queue"),
    Target("many", "64B_x100", "rate", ">=", 8e6, "messages/s"),
    Target("one_way", "64B", "rate", ">=", 0.8, "messages/s", "shmspace", _QUEUE),
    Target("one_way", "64B", "rate", ">=", 0.8, "messages/s", "shmspace", _TUPLES),
    Target("many", "64B_x100", "rate", ">=", 0.8, "messages/s", "shmspace", _QUEUE),
    Target("many", "64B_x100", "rate", ">=", 0.8, "messages/s", "shmspace", _TUPLES),
    Target("queue_lease", "64B", "rate", ">=", 1 / 1.5, "messages/s", _QUEUE),
    Target("objects", "pairs", "rate", ">=", 8, "messages/s", "multiprocessing.Queue"),
    Target("tuple_jobs", "64_keys", "rate", ">=", 1, "messages/s", _TUPLES, _TUPLES, "one_key"),
    Target("wake_up", "slept", "p50", "<=", 10, "us", subject=_QUEUE),
    Target("wake_up", "slept", "p50", "<=", 10, "us", subject=_TUPLES),
    Target("executor", "empty_map", "rate", ">=", 3, "calls/s", "ProcessPoolExecutor"),
    Target("executor", "64MiB_array", "rate", ">=", 5, "calls/s", "ProcessPoolExecutor"),
    Target("log_append", "64B", "rate", ">=", 1 / 0.35e-6, "records/s"),
    Target("log_read", "one", "rate", ">=", 1 / 0.5e-6, "records/s"),
    Target("log_read", "batch", "rate", ">=", 1 / 0.1e-6, "records/s"),
    Target("log_read", "one_busy", "rate", ">=", 0.7, "records/s", _LOG, rival_case="one"),
    Target("log_read", "batch_busy", "rate", ">=", 0.7, "records/s", _LOG, rival_case="batch"),
    Target("log_stream", "1_stream", "writer", ">=", 0.7, "records/s", _LOG, rival_case="alone"),
    Target("kv_mixed", "get", "time", "<=", 0.35, "us"),
    Target("kv_mixed", "get", "time", "<=", 0.35, "us", subject=_ENTRIES),
    Target("kv_mixed", "set", "time", "<=", 0.6, "us"),
    Target("kv_mixed", "set", "time", "<=", 0.6, "us", subject=_ENTRIES),
    Target("kv_list", "1M", "time", "<=", 3, "us", _STORE, rival_case="1k"),
    Target("watch", "slept", "p50", "<=", 10, "us"),
    Target("incr", "two_keys", "rate", ">=", 1.6, "counts/s", _STORE, rival_case="one"),
    Target("incr", "same_key", "rate", ">=", 1e6, "counts/s"),
    Target("kv_memory", "1M", "used", "<=", 250, "MiB"),
    Target("round_trip", "awake", "p50", "<=", 1.0, "us"),
    Target("round_trip", "slept", "p50", "<=", 6.0, "us"),
    Target("big", "64KiB_copied", "rate", ">=", 250e3, "messages/s"),
    Target("big", "1MiB_view", "rate", ">=", 40e3, "messages/s"),
    Target("big", "1MiB_filled", "rate", ">=", 40e3, "messages/s"),
    Target("idle", "readers", "cpu", "<=", 0.5, "% of a CPU"),  # what rounds to 0 %
    Target("kill", "alone", "max", "<=", 250, "ms"),
    Target("kill", "supervised", "p50", "<=", 5, "ms"),
    Target("core", "ring_one_way", "rate", ">=", 20e6, "messages/s"),
    Target("core", "ring_round_trip", "p50_ns", "<=", 500, "ns"),
)


def judge(report: Report) -> list[dict[str, Any]]:
    """A verdict for each target whose case was run: "met", "MISSED" (or broken) or "not measured"."""
    return [_judge(report, target) for target in TARGETS if _takes_part(report, target)]


def _takes_part(report: Report, target: Target) -> bool:
    table = report.table(target.pattern, target.case)
    return table is not None and table.row(target.subject or table.ours) is not None


def _judge(report: Report, target: Target) -> dict[str, Any]:
    table = report.table(target.pattern, target.case)
    row = table.row(target.subject or table.ours) if table else None
    ours = row.figures.get(target.figure) if row else None
    theirs = report.table(target.pattern, target.rival_case or target.case)
    rival = theirs.value(target.rival, target.figure) if theirs and target.rival else None
    verdict: dict[str, Any] = {"target": target.text, "verdict": "not measured", "ours": ours, "found": ""}
    if row and row.status in _BROKEN:
        verdict.update(verdict="MISSED", found=f"{row.status}: {row.detail}")
    if ours is None or (target.rival and rival is None):
        return verdict
    value = ours / rival if rival else ours
    met = value >= target.limit if target.relation == ">=" else value <= target.limit
    found = text_of(ours, target.unit)
    if rival:
        found = f"{value:.2f} x ({found} to {text_of(rival, target.unit)})"
    verdict.update(verdict="met" if met else "MISSED", found=found)
    return verdict
