"""Plot: one panel of horizontal bars per case, ours highlighted, in one picture."""

from __future__ import annotations

import math
import textwrap
from pathlib import Path
from typing import Any

from benchmarks.figure_text import text_of
from benchmarks.outcome import NotApplicable
from benchmarks.report import Report, Row, Table

_COLUMNS = 3
_OURS_COLOUR = "#d1495b"
_OTHER_COLOUR = "#9fb3c8"
_LOG_FROM_RATIO = 20.0
_PREFIX_FROM = 1000.0
_FEWEST_ROWS = 6


def draw(report: Report, path: Path) -> None:
    """Write the picture; the format is that of the file's suffix (.png, .svg, .pdf)."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    tables = [table for table in report.tables if any(row.figures for row in table.rows)]
    if not tables:
        raise ValueError("nothing was measured, there is nothing to draw")
    columns = min(_COLUMNS, len(tables))
    lines = math.ceil(len(tables) / columns)
    figure, axes = pyplot.subplots(lines, columns, figsize=(6.2 * columns, 3.5 * lines + 1.2), squeeze=False)
    panels = list(axes.flat)
    for panel, table in zip(panels, tables, strict=False):
        _draw_panel(panel, table)
    for panel in panels[len(tables) :]:
        panel.set_axis_off()
    figure.suptitle("shmspace and the others, Python to Python between processes", fontsize=14, y=0.995)
    figure.text(0.01, 0.004, _caption(report), fontsize=8, color="#444444")
    figure.tight_layout(rect=(0, 0.02, 1, 0.985))
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    pyplot.close(figure)


def _draw_panel(panel: Any, table: Table) -> None:
    rows = [row for row in table.rows if row.status != NotApplicable.status]
    rows.sort(key=lambda row: _rank(table, row))
    known = [value for row in rows if (value := row.figures.get(table.figure))]
    smallest, largest = min(known, default=1.0), max(known, default=1.0)
    logarithmic = largest / smallest > _LOG_FROM_RATIO
    floor = smallest / 3 if logarithmic else 0.0
    for position, row in enumerate(rows):
        _draw_bar(panel, table, row, position, floor)
    if logarithmic:
        panel.set_xscale("log")
        panel.set_xlim(floor, largest * (largest / floor) ** 0.28)
    else:
        panel.set_xlim(0, largest * 1.3)
    _label(panel, table, rows, logarithmic, largest)


def _draw_bar(panel: Any, table: Table, row: Row, position: int, floor: float) -> None:
    value = row.figures.get(table.figure)
    length = max(value or floor, floor)
    panel.barh(position, length, color=_OURS_COLOUR if row.name == table.ours else _OTHER_COLOUR, height=0.72)
    text = row.status if value is None else text_of(value, table.unit)
    style = "italic" if value is None else "normal"
    panel.annotate(f" {text}", (length, position), va="center", fontsize=8.5, style=style, annotation_clip=False)


def _label(panel: Any, table: Table, rows: list[Row], logarithmic: bool, largest: float) -> None:
    panel.set_yticks(range(len(rows)), [row.name for row in rows], fontsize=9)
    for tick, row in zip(panel.get_yticklabels(), rows, strict=True):
        tick.set_fontweight("bold" if row.name == table.ours else "normal")
    panel.set_ylim(max(len(rows), _FEWEST_ROWS) - 0.5, -0.5)  # the best on top, few bars no fatter than many
    panel.spines[["top", "right"]].set_visible(False)
    panel.tick_params(axis="x", labelsize=8)
    panel.xaxis.set_major_formatter(_short if largest >= _PREFIX_FROM else "{x:g}")
    better = "longer is better" if table.higher_is_better else "shorter is better"
    panel.set_xlabel(f"{table.figure} in {table.unit} ({better}{', log scale' if logarithmic else ''})", fontsize=8)
    panel.set_title("\n".join(textwrap.wrap(table.title, 56)), fontsize=10, fontweight="bold", loc="left")


def _short(value: float, _position: int) -> str:
    return text_of(value, "messages/s").removesuffix("/s") if value else "0"


def _rank(table: Table, row: Row) -> float:
    value = row.figures.get(table.figure)
    if value is None:
        return math.inf
    return -value if table.higher_is_better else value


def _caption(report: Report) -> str:
    machine, parameters = report.machine, report.parameters
    return (
        f"{machine['cpu']}, {machine['cpus_usable']} CPUs, {machine['memory_gib']} GiB, {machine['kernel']},"
        f" {machine['python']} | commit {report.commit} | {report.date} |"
        f" median of {parameters['repeats']} runs of {parameters['run_seconds']:g} s"
    )
