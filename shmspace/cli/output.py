"""What commands print: tables for people, JSON for programs, numbers as people read them."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Collection, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from shmspace.cli.value import to_json


def print_document(value: object) -> None:
    """Print `value` as one JSON document over several lines.

    >>> print_document({"name": "jobs"})
    {
      "name": "jobs"
    }
    """
    print(json.dumps(to_json(value), indent=2))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[str]], *, right: Collection[str] = ()) -> None:
    """Print rows under headings; the columns named in `right` are set flush right.

    On a terminal the table fits its width; elsewhere every row is one line with nothing cut off.

    >>> print_table(["name", "bytes"], [["jobs", "7"]], right=["bytes"])
    name  bytes
    jobs      7
    """
    if sys.stdout.isatty():
        _print_rich(headings, rows, right)
        return
    lines = [list(headings), *([printable(cell) for cell in row] for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(headings))]
    for line in lines:
        cells = (
            cell.rjust(width) if heading in right else cell.ljust(width)
            for heading, cell, width in zip(headings, line, widths, strict=True)
        )
        print("  ".join(cells).rstrip())


def _print_rich(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Collection[str]) -> None:
    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    for heading in headings:
        table.add_column(heading, justify="right" if heading in right else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))  # Text, because a name may look like markup
    Console().print(table)


def human_size(size_bytes: int) -> str:
    """Write a number of bytes as ``--size`` takes it, with at most one decimal.

    >>> human_size(0), human_size(1536), human_size(1 << 30)
    ('0', '1.5K', '1G')
    """
    size, units = float(size_bytes), "KMGT"
    unit = ""
    while size >= 1023.95 and units:  # what would be rounded to 1024 belongs to the next unit
        size /= 1024
        unit, units = units[0], units[1:]
    return f"{size:.1f}".removesuffix(".0") + unit


def human_seconds(seconds: float) -> str:
    """Write a time span in its largest fitting unit.

    >>> human_seconds(0.2), human_seconds(59), human_seconds(7200), human_seconds(90000)
    ('0 s', '59 s', '2 h', '1 d')
    """
    for unit, least in (("d", 86_400), ("h", 3_600), ("min", 60)):
        if seconds >= least:
            return f"{int(seconds // least)} {unit}"
    return f"{max(0, int(seconds))} s"


def human_age(since_ns: int) -> str:
    """Write how long ago a time stamp was; one that was never set (0) gives a dash."""
    return human_seconds((time.time_ns() - since_ns) / 1e9) if since_ns else "-"


def plural(count: int, noun: str) -> str:
    """Write a count with its noun.

    >>> plural(1, "member"), plural(2, "member")
    ('1 member', '2 members')
    """
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def printable(text: str) -> str:
    r"""Write control characters as escapes: what other processes wrote must not drive the terminal.

    >>> printable("a\x1b[2J")
    'a\\x1b[2J'
    """
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def one_line(text: str) -> str:
    """Put a text on one line."""
    return printable(" ".join(text.split()))
