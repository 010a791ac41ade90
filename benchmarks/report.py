"""Report: everything that one call of the benchmarks found, as written to and read from JSON."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.outcome import Run
from benchmarks.patterns.pattern import OURS

SCHEMA = 1


@dataclass
class Row:
    """One contestant in one case. `figures` combine all runs and are empty unless `status` is "ok".

    `advantage` says how many times better shmspace is by the case's figure (below 1: worse).
    """

    name: str
    version: str | None
    status: str = "ok"
    detail: str = ""
    note: str = ""
    figures: dict[str, float] = field(default_factory=dict)
    advantage: float | None = None
    runs: list[Run] = field(default_factory=list)


@dataclass
class Table:
    """One case of one pattern with a row per contestant; the others are compared with `ours`."""

    pattern: str
    case: str
    title: str
    figure: str
    unit: str
    higher_is_better: bool
    shown: list[str]
    rows: list[Row]
    ours: str = OURS

    def row(self, name: str) -> Row | None:
        """The row of this contestant."""
        return next((row for row in self.rows if row.name == name), None)

    def value(self, name: str, figure: str | None = None) -> float | None:
        """A figure of a contestant, None where it was not measured."""
        row = self.row(name)
        return None if row is None else row.figures.get(figure or self.figure)


@dataclass
class Report:
    """`machine` and `parameters` are what somebody needs who wants to repeat it."""

    date: str
    commit: str
    machine: dict[str, Any]
    parameters: dict[str, Any]
    tables: list[Table] = field(default_factory=list)
    verdicts: list[dict[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    def table(self, pattern: str, case: str) -> Table | None:
        """The table of a case, None when it was not measured."""
        return next((one for one in self.tables if (one.pattern, one.case) == (pattern, case)), None)

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        document = {"schema": SCHEMA, **dataclasses.asdict(self)}
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=1) + "\n")


def read_report(path: Path) -> Report:
    """Read what `Report.write` has written; `ValueError` when it is something else."""
    text = path.read_text()
    try:
        document = json.loads(text)
        if document.pop("schema") != SCHEMA:
            raise ValueError("another schema")
        tables = [Table(**{**table, "rows": list(map(_row, table["rows"]))}) for table in document.pop("tables")]
        return Report(**document, tables=tables)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is not a benchmark report of schema {SCHEMA}: {error}") from None


def _row(document: dict[str, Any]) -> Row:
    return Row(**{**document, "runs": [Run(**run) for run in document["runs"]]})
