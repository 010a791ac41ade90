"""The tree holds what it should and nothing else, no file is too long, no text is about somebody's machine."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.helpers.tree import ROOT, source_files

TOP_LEVEL = {
    "pyproject.toml",
    "README.md",
    "CHANGELOG.md",
    "LICENSE",
    "csrc",
    "shmspace",
    "tests",
    "benchmarks",
    "scripts",
}
MAX_LINES = 500
MAX_COLUMNS = 132  # of C; ruff looks after Python
CODE_SUFFIXES = {".c", ".h", ".py", ".sh", ""}

# File -> the reason why it is longer. Code of others (directories named vendor) is as long as it is.
LONGER: Mapping[str, str] = {
    "LICENSE": "the text of the licence",
    "csrc/include/shmspace_layout.h": "every shared byte, declared once: one table after the other",
}

# Written so that this file does not find itself.
MARKS = re.compile(r"\b(TO[D]O|FIX[M]E|XX[X])\b")
MACHINE_PATHS = re.compile(r"(?<![\w./-])/(work|root|home|Users|tmp/[a-z]+env)/[\w.]")


def strangers(root: Path) -> list[str]:
    """Name what stands at the top of the tree and does not belong there (names with a leading dot do)."""
    names = {path.parts[0] for path in source_files(root)}
    return sorted(name for name in names - TOP_LEVEL if not name.startswith("."))


def too_long(root: Path, longer: Mapping[str, str]) -> list[str]:
    """Name files of code of more than `MAX_LINES` lines that `longer` does not excuse, and excuses nobody needs."""
    found = []
    for path in source_files(root):
        lines = _lines(root / path) if path.suffix in CODE_SUFFIXES and "vendor" not in path.parts else 0
        if lines > MAX_LINES and str(path) not in longer:
            found.append(f"{path} has {lines} lines")
    found += [f"{name} is excused but not there" for name in longer if not (root / name).exists()]
    return found


def too_wide(root: Path) -> list[str]:
    """Name lines of C that are longer than `MAX_COLUMNS`."""
    return [
        f"{path}:{number} has {len(line)} columns"
        for path in source_files(root)
        if path.suffix in {".c", ".h"} and "vendor" not in path.parts
        for number, line in enumerate(_text(root / path).splitlines(), 1)
        if len(line) > MAX_COLUMNS
    ]


def unwelcome_text(root: Path) -> list[str]:
    """Name lines with a mark of unfinished work or a path of somebody's machine."""
    found = []
    for path in source_files(root):
        if "vendor" in path.parts:
            continue
        for number, line in enumerate(_text(root / path).splitlines(), 1):
            if MARKS.search(line) or MACHINE_PATHS.search(line):
                found.append(f"{path}:{number}: {line.strip()[:100]}")
    return found


def _text(path: Path) -> str:
    data = path.read_bytes()
    return "" if b"\0" in data else data.decode(errors="replace")


def _lines(path: Path) -> int:
    return len(_text(path).splitlines())


def test_nothing_but_the_architecture_stands_at_the_top() -> None:
    assert strangers(ROOT) == []


def test_no_line_of_c_is_too_wide_to_read() -> None:
    assert too_wide(ROOT) == []


def test_no_file_is_longer_than_one_noun_needs() -> None:
    assert too_long(ROOT, LONGER) == []


def test_no_text_speaks_of_unfinished_work_or_of_a_machine() -> None:
    assert unwelcome_text(ROOT) == []


def test_a_stranger_at_the_top_is_found(tmp_path: Path) -> None:
    for name in ("README.md", "notes.txt", ".gitignore"):
        (tmp_path / name).write_text("x")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("x")
    assert strangers(tmp_path) == ["docs", "notes.txt"]


def test_a_long_file_is_found_unless_it_is_excused(tmp_path: Path) -> None:
    (tmp_path / "long.c").write_text("\n" * (MAX_LINES + 1))
    (tmp_path / "short.c").write_text("\n" * MAX_LINES)
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "x.h").write_text("\n" * 9999)
    assert too_long(tmp_path, {}) == ["long.c has 501 lines"]
    assert too_long(tmp_path, {"long.c": "why"}) == []
    assert too_long(tmp_path, {"long.c": "why", "gone.c": "why"}) == ["gone.c is excused but not there"]


def test_a_wide_line_is_found(tmp_path: Path) -> None:
    (tmp_path / "wide.c").write_text(" " * MAX_COLUMNS + "\n" + " " * (MAX_COLUMNS + 1))
    assert too_wide(tmp_path) == ["wide.c:2 has 133 columns"]


@pytest.mark.parametrize(
    ("line", "bad"),
    [
        ("/* TO" + "DO: later */", True),
        ("# XX" + "X", True),
        ("open('/ho" + "me/me/x')", True),
        ("cd /wo" + "rk/main", True),
        ("mkstemp('/tmp/a.XXXXXX')", False),
        ("a/work/b https://x.org/home/y", False),
        ("/dev/shm /proc/self /tmp", False),
    ],
)
def test_unwelcome_text_is_found(tmp_path: Path, line: str, bad: bool) -> None:
    (tmp_path / "a.py").write_text(f"first\n{line}\n")
    assert unwelcome_text(tmp_path) == ([f"a.py:2: {line}"] if bad else [])
