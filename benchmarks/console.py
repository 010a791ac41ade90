"""Console: tables and verdicts for people, by rich where it is installed, else as plain text."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Sequence

from benchmarks.figure_text import text_of
from benchmarks.outcome import NotApplicable
from benchmarks.report import Report, Row, Table

_PLAIN_WIDTH = 150  # where no terminal says how wide it is
_MARK = "<<<"
_COUNTS = ("asleep", "readers")
_STYLES = {"met": "green", "MISSED": "bold red", "not measured": "yellow"}


def show(report: Report) -> None:
    """Print the report to standard output."""
    machine = report.machine
    print(
        f"{machine['cpu']}, {machine['cpus_usable']} CPUs, {machine['kernel']}, {machine['python']};"
        f" commit {report.commit}; {report.date}; load before {machine['load_before']};"
        f" took {report.seconds:.0f} s"
    )
    for table in report.tables:
        _print_case(table)
    if report.verdicts:
        rows = [[one["target"], one["verdict"], one["found"]] for one in report.verdicts]
        _print_table("targets", ["target", "verdict", "measured"], rows)
        counts = [one["verdict"] for one in report.verdicts]
        print(", ".join(f"{counts.count(word)} {word}" for word in _STYLES))


def _print_case(table: Table) -> None:
    absent = [row for row in table.rows if row.status == NotApplicable.status]
    cells = [_cells(table, row) for row in _ranked(table) if row not in absent]
    _print_table(f"{table.pattern}: {table.title}", _columns(table), cells)
    for reason in dict.fromkeys(row.detail for row in absent):
        names = ", ".join(row.name for row in absent if row.detail == reason)
        print(f"  not applicable: {names} ({reason})")
    print()


def _ranked(table: Table) -> list[Row]:
    """Best first; those without figures last."""

    def rank(row: Row) -> float:
        value = row.figures.get(table.figure)
        if value is None:
            return float("inf")
        return -value if table.higher_is_better else value

    return sorted(table.rows, key=rank)


def _columns(table: Table) -> list[str]:
    shown = [table.figure] if len(table.shown) == 1 else table.shown
    heads = [f"{name} {table.unit}" if name == table.figure else name for name in shown]
    return ["", *heads, "range of runs", "shmspace is", "remark"]


def _cells(table: Table, row: Row) -> list[str]:
    if row.status != "ok":
        blanks = [""] * (len(table.shown) - 1)
        return [row.name, row.status, *blanks, "", "", row.detail]
    values = [_figure(table, name, row.figures.get(name)) for name in table.shown]
    return [row.name, *values, _spread(table, row), _compared(table, row), row.note]


def _figure(table: Table, name: str, value: float | None) -> str:
    if value is None:
        return ""
    return text_of(value, "" if name in _COUNTS else table.unit)


def _spread(table: Table, row: Row) -> str:
    values = [run.figures[table.figure] for run in row.runs]
    if len(values) < 2:
        return ""
    return f"{text_of(min(values), table.unit)} .. {text_of(max(values), table.unit)}"


def _compared(table: Table, row: Row) -> str:
    if row.name == table.ours:
        return _MARK
    if row.advantage is None:
        return ""
    if row.advantage >= 1:
        return f"{row.advantage:.2f} x better"
    return f"{1 / row.advantage:.2f} x WORSE"


def _print_table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if importlib.util.find_spec("rich") is not None:
        _print_rich(title, columns, rows)
        return
    widths = [max(map(len, cells)) for cells in zip(columns, *rows, strict=True)]
    print(f"\n{title}")
    for line in (columns, *rows):
        print("  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())


def _print_rich(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table as RichTable
    from rich.text import Text

    table = RichTable(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD)
    for position, name in enumerate(columns):
        table.add_column(name, no_wrap=position < len(columns) - 1)
    for cells in rows:
        style = "bold cyan" if _MARK in cells else None
        table.add_row(*(Text(cell, style=_cell_style(cell)) for cell in cells), style=style)
    Console(width=None if sys.stdout.isatty() else _PLAIN_WIDTH).print(table)


def _cell_style(cell: str) -> str:
    if "WORSE" in cell:
        return "red"
    return _STYLES.get(cell, "")
