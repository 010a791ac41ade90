"""The files made from the layout tables are up to date, and tables that could be misread are refused."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.tree import ROOT

OUTPUTS = ("shmspace/layout.json", "csrc/include/shmspace_layout_json.h", "csrc/LAYOUT.md")

SMALL = """/* a comment with F(u64, ghost, 0, INIT, "not a field") */
#define SHM_CONSTANTS(C)              \\
  C(SHM_TWO, 2, "twice, (one)")       \\
  C(SHM_MASK, 0x3fffffffffffffff, "a mask, \\"quoted\\"")

#define SHM_PAIR_TABLE(F, A)          \\
  F(u32, lock, 0, OWNER, "guards sum") /* a remark */ \\
  F(u32, pad0, 4, ZERO, "")           \\
  F(u64, sum, 8, LOCK(lock), "a " "sum") \\
  A(u16, parts, SHM_TWO, 16, INIT, "parts | pieces") \\
  A(u8, pad1, 4, 20, ZERO, "")

#define SHM_CELL_TABLE(F, A)          \\
  F(u64, seq, 0, PUBLISH, "number")   \\
  F(u64, data, 8, SEQ(seq), "what")   \\
  F(u64, next, 16, LOCK(pair.lock), "the next one")

#define SHM_STRUCTS(S)                \\
  S(shm_pair, SHM_PAIR_TABLE, 24)     \\
  S(shm_cell, SHM_CELL_TABLE, 24)
"""


def gen_layout(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "scripts" / "gen_layout"), "--root", str(root), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    write_header(tmp_path, SMALL)
    return tmp_path


def write_header(root: Path, text: str) -> None:
    path = root / "csrc" / "include" / "shmspace_layout.h"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def refusal(root: Path, old: str, new: str) -> str:
    """What is said about the small header after one change; nothing may have been written."""
    assert SMALL.count(old) == 1
    write_header(root, SMALL.replace(old, new))
    result = gen_layout(root)
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not (root / "shmspace").exists()
    return result.stderr


def test_what_stands_in_the_tree_is_up_to_date() -> None:
    result = gen_layout(ROOT, "--check")
    assert (result.stderr, result.returncode) == ("", 0)


def test_what_was_just_written_is_up_to_date(tree: Path) -> None:
    assert gen_layout(tree).returncode == 0
    assert gen_layout(tree, "--check").returncode == 0


def test_check_writes_nothing_and_names_each_stale_file(tree: Path) -> None:
    result = gen_layout(tree, "--check")
    assert result.returncode == 1
    assert result.stderr.splitlines() == [f"{name}: stale, run scripts/gen_layout" for name in OUTPUTS]
    assert not any((tree / name).exists() for name in OUTPUTS)


@pytest.mark.parametrize("name", OUTPUTS)
def test_one_changed_file_is_stale(tree: Path, name: str) -> None:
    gen_layout(tree)
    path = tree / name
    path.write_text(path.read_text() + "\n")
    result = gen_layout(tree, "--check")
    assert (result.returncode, result.stderr) == (1, f"{name}: stale, run scripts/gen_layout\n")


def test_a_changed_table_makes_every_file_stale(tree: Path) -> None:
    gen_layout(tree)
    write_header(tree, SMALL.replace("SHM_TWO, 2,", "SHM_TWO, 0x2,").replace("F(u64, data,", "F(u64, load,"))
    assert len(gen_layout(tree, "--check").stderr.splitlines()) == len(OUTPUTS)


def test_the_json_has_constants_and_fields_with_all_that_a_reader_needs(tree: Path) -> None:
    gen_layout(tree)
    tables = json.loads((tree / OUTPUTS[0]).read_text())
    assert tables["constants"]["SHM_TWO"] == {"value": 2, "meaning": "twice, (one)"}
    assert tables["constants"]["SHM_MASK"] == {"value": 2**62 - 1, "meaning": 'a mask, "quoted"'}
    pair = tables["structs"]["shm_pair"]
    assert pair["size_bytes"] == 24
    assert [field["name"] for field in pair["fields"]] == ["lock", "pad0", "sum", "parts", "pad1"]
    assert pair["fields"][2]["meaning"] == "a sum"
    assert pair["fields"][3] == {
        "name": "parts",
        "type": "u16",
        "count": 2,
        "offset": 16,
        "size_bytes": 4,
        "sync": "INIT",
        "meaning": "parts | pieces",
    }


def test_the_text_for_regions_is_the_json_without_meanings(tree: Path) -> None:
    gen_layout(tree)
    literals = re.findall(r'^    "((?:[^"\\]|\\.)*)"', (tree / OUTPUTS[1]).read_text(), re.MULTILINE)
    assert len(literals) > 1
    text = re.sub(r"\\(.)", r"\1", "".join(literals))
    tables = json.loads((tree / OUTPUTS[0]).read_text())
    for body in tables["constants"].values():
        del body["meaning"]
    for body in tables["structs"].values():
        for field in body["fields"]:
            del field["meaning"]
    assert json.loads(text) == tables
    assert " " not in text


def test_what_people_wrote_above_the_tables_is_kept(tree: Path) -> None:
    gen_layout(tree)
    path = tree / OUTPUTS[2]
    written = path.read_text()
    path.write_text(f"# My words about `pair.sum` and `SHM_TWO`\n{written}".replace("| `lock` |", "| `lack` |"))
    assert gen_layout(tree).returncode == 0
    assert path.read_text() == f"# My words about `pair.sum` and `SHM_TWO`\n{written}"


@pytest.mark.parametrize("name", ["SHM_THREE", "shm_trio", "pair.product", "shm_pair.product"])
def test_words_about_something_that_the_tables_do_not_have_are_refused(tree: Path, name: str) -> None:
    gen_layout(tree)
    path = tree / OUTPUTS[2]
    path.write_text(f"see `{name}`\n{path.read_text()}")
    result = gen_layout(tree, "--check")
    assert (result.returncode, result.stderr) == (1, f"csrc/LAYOUT.md: `{name}` is not in the tables\n")


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("F(u64, sum, 8,", "F(u64, sum, 0,", "shm_pair.sum: at 0, overlaps pad0, which ends at 8"),
        ("F(u64, seq, 0,", "F(u64, seq, 8,", "shm_cell.seq: at 8, a gap after the start, which ends at 0"),
        ("F(u64, next, 16,", "F(u64, next, 24,", "shm_cell.next: at 24, a gap after data, which ends at 16"),
        ("A(u8, pad1, 4, 20,", "F(u64, pad1, 20,", "shm_pair.pad1: at 20, not aligned to its u64"),
        ("SHM_CELL_TABLE, 24", "SHM_CELL_TABLE, 32", "shm_cell: size 32, but its fields end at 24"),
        ("SHM_CELL_TABLE, 24", "SHM_CELL_TABLE, 16", "shm_cell: size 16, but its fields end at 24"),
        ("OWNER", "OWNED", "shm_pair.lock: 'OWNED' is not a sync class"),
        ("LOCK(lock)", "LOCK()", "'LOCK()' is not a sync class"),
        ("LOCK(lock)", "LOCK(pad0)", "shm_pair.sum: LOCK(pad0) names no OWNER word"),
        ("LOCK(pair.lock)", "LOCK(trio.lock)", "LOCK(trio.lock) names no OWNER word"),
        ("SEQ(seq)", "SEQ(next)", "shm_cell.data: SEQ(next) names no PUBLISH word"),
        ("F(u64, seq,", "F(i64, seq,", "shm_cell.seq: unknown type 'i64'"),
        ("A(u16, parts, SHM_TWO,", "A(u16, parts, 0,", "shm_pair.parts: has no elements"),
        ("A(u16, parts, SHM_TWO,", "A(u16, parts, SHM_FEW,", "'SHM_FEW' is not a number"),
        ("F(u64, next, 16", "F(u64, seq, 16", "shm_cell.seq: declared twice"),
        ("C(SHM_MASK,", "C(SHM_TWO,", "SHM_TWO: declared twice"),
        ("S(shm_cell,", "S(shm_pair,", "shm_pair: declared twice"),
        ('"number"', '""', "shm_cell.seq: has no meaning"),
        ('"number"', "number", "'number' is not a string"),
        ('PUBLISH, "number"', '"number"', "F takes 5 arguments, not 4"),
        ("F(u64, data,", "G(u64, data,", "G is not one of F, A"),
        ('"what")', '"what"', "has no closing parenthesis"),
        ("OWNER, ", "OWNER; ", "cannot read"),
        ("S(shm_cell, SHM_CELL_TABLE, 24)", "", "SHM_CELL_TABLE is not in SHM_STRUCTS"),
        ("S(shm_cell, SHM_CELL_TABLE", "S(shm_cell, SHM_CALL_TABLE", "shm_cell: there is no SHM_CALL_TABLE"),
        ("#define SHM_STRUCTS(S)", "#define SHM_STRACTS(S)", "there is no SHM_STRUCTS"),
    ],
)
def test_a_table_that_could_be_misread_is_refused(tree: Path, old: str, new: str, text: str) -> None:
    assert text in refusal(tree, old, new)


def test_a_refusal_names_the_line(tree: Path) -> None:
    line = SMALL[: SMALL.index("F(u64, sum")].count("\n") + 1
    assert refusal(tree, "LOCK(lock)", "LUCK(lock)").startswith(f"csrc/include/shmspace_layout.h:{line}: ")


def test_every_problem_is_named_in_a_line_of_its_own(tree: Path) -> None:
    write_header(tree, SMALL.replace("OWNER", "OWNED").replace("PUBLISH", "PUBLIC"))
    # Both words, and what they guard.
    assert len(gen_layout(tree).stderr.splitlines()) == 5


def test_a_missing_header_is_an_error_without_a_traceback(tmp_path: Path) -> None:
    result = gen_layout(tmp_path)
    assert result.returncode == 1
    assert "shmspace_layout.h" in result.stderr
    assert "Traceback" not in result.stderr
