"""The compiler, the tables for readers and the text that regions carry agree about every byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tests.helpers.region_bytes import STRUCTS, TABLES, C, compact_layout
from tests.helpers.tree import ROOT

INCLUDE = ROOT / "csrc" / "include"
COMPILERS = [name for name in ("gcc", "clang") if shutil.which(name)]

pytestmark = pytest.mark.skipif(not COMPILERS or not INCLUDE.exists(), reason="needs a compiler and the source tree")


def c_program() -> str:
    lines = ['#include "shmspace_layout.h"', '#include "shmspace_layout_json.h"', "#include <stdio.h>"]
    lines += ["#define SIZE(s, f) sizeof(((struct s *)0)->f)", "int main(void) {"]
    for name, fields in STRUCTS.items():
        lines.append(f'  printf("{name} %zu\\n", sizeof(struct {name}));')
        for field in fields:
            places = f"offsetof(struct {name}, {field}), SIZE({name}, {field})"
            lines.append(f'  printf("{name}.{field} %zu %zu\\n", {places});')
    lines += [f'  printf("{name} %llu\\n", (unsigned long long){name});' for name in C]
    return "\n".join([*lines, '  printf("%s\\n", SHM_LAYOUT_JSON);', "  return 0;", "}", ""])


@pytest.fixture(scope="module", params=COMPILERS)
def said(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What a program says that was compiled against the headers, without a warning."""
    place: Path = tmp_path_factory.mktemp("agreement")
    source, program = place / "say.c", place / "say"
    source.write_text(c_program())
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", f"-I{INCLUDE}"]
    result = subprocess.run(
        [request.param, *flags, str(source), "-o", str(program)], capture_output=True, text=True, check=False
    )
    assert (result.stderr, result.returncode) == ("", 0)
    return subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()


def test_every_size_and_offset_is_what_the_compiler_makes_of_it(said: list[str]) -> None:
    expected = []
    for name, fields in STRUCTS.items():
        expected.append(f"{name} {TABLES['structs'][name]['size_bytes']}")
        expected += [f"{name}.{f['name']} {f['offset']} {f['size_bytes']}" for f in fields.values()]
    assert [line for line in said if line.startswith("shm_")] == expected


def test_every_constant_has_the_value_that_the_compiler_sees(said: list[str]) -> None:
    assert [line for line in said if line.startswith("SHM_")] == [f"{name} {value}" for name, value in C.items()]


def test_the_text_that_regions_carry_is_that_of_the_tables(said: list[str]) -> None:
    assert said[-1].encode() == compact_layout()


def test_the_text_that_regions_carry_needs_nothing_but_ascii(said: list[str]) -> None:
    tables: dict[str, Any] = json.loads(said[-1])
    assert said[-1].isascii()
    assert tables["structs"].keys() == STRUCTS.keys()
