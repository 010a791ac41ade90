"""Command line: `python -m benchmarks`, called by scripts/bench."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.catalogue import COMPETITORS, PATTERNS
from benchmarks.console import show
from benchmarks.harness import run_patterns
from benchmarks.plot import draw
from benchmarks.report import Report, read_report
from benchmarks.scale import FULL, QUICK

_PLOT_SUFFIXES = (".png", ".svg", ".pdf")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run and show; 0 when the measurement went through, whatever its verdicts, 2 for bad arguments."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if options.plot and options.plot.suffix not in _PLOT_SUFFIXES:
        parser.error(f"--plot {options.plot}: the name must end in one of {', '.join(_PLOT_SUFFIXES)}")
    report = _read(options.read, parser) if options.read else _measure(options, parser)
    show(report)
    if options.json:
        report.write(options.json)
        print(f"wrote {options.json}")
    if options.plot:
        draw(report, options.plot)
        print(f"wrote {options.plot}")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Measure shmspace against other ways of passing messages between processes.",
        epilog="patterns: " + ", ".join(pattern.name for pattern in PATTERNS),
    )
    parser.add_argument("patterns", nargs="*", metavar="PATTERN", help="which patterns (default: all)")
    parser.add_argument("--quick", action="store_true", help="one short run of each instead of three")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all numbers there")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="draw a picture there (.png, .svg, .pdf)")
    parser.add_argument("--only", nargs="+", metavar="COMPETITOR", help="run only those whose name has this in it")
    parser.add_argument("--from", dest="read", type=Path, metavar="FILE", help="show an earlier --json FILE again")
    return parser


def _read(path: Path, parser: argparse.ArgumentParser) -> Report:
    try:
        return read_report(path)
    except (OSError, ValueError) as error:
        parser.error(f"--from: {error}")


def _measure(options: argparse.Namespace, parser: argparse.ArgumentParser) -> Report:
    known = {pattern.name: pattern for pattern in PATTERNS}
    for name in options.patterns:
        if name not in known:
            parser.error(f"no pattern {name!r}; there are {', '.join(known)}")
    patterns = [known[name] for name in options.patterns] or list(PATTERNS)
    only = _chosen(options.only, parser) if options.only else ()
    return run_patterns(patterns, COMPETITORS, QUICK if options.quick else FULL, only, _show_progress)


def _chosen(words: Sequence[str], parser: argparse.ArgumentParser) -> list[str]:
    names = {one.name: None for pattern in PATTERNS for one in pattern.contestants(COMPETITORS)}
    chosen: list[str] = []
    for word in words:
        found = [name for name in names if name.lower() == word.lower()]
        found = found or [name for name in names if word.lower() in name.lower()]
        if not found:
            parser.error(f"no competitor {word!r}; there are {', '.join(names)}")
        chosen += found
    return chosen


def _show_progress(line: str) -> None:
    if sys.stderr.isatty():
        print(f"\r\x1b[K{line}", end="", file=sys.stderr, flush=True)
    else:
        print(line, file=sys.stderr, flush=True)
