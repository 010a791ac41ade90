"""The C programs of this directory, plain and watched by sanitizers: each states in its head what must be so."""

from __future__ import annotations

import functools
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers import csanitize
from tests.helpers.csanitize import FLAVOURS, Flavour, Program
from tests.helpers.leftovers import SHM, unique_name
from tests.helpers.tree import ROOT

WATCHED = ("plain", "asan", "tsan")  # asan looks for undefined behaviour too
CASES = [
    pytest.param(FLAVOURS[name], program, mode, id=f"{program.name}-{mode}-{name}")
    for name in WATCHED
    for program, mode in csanitize.runs(FLAVOURS[name])
]

pytestmark = pytest.mark.timeout(600)  # the first one of each kind builds them all


@functools.cache
def executables(flavour: Flavour) -> dict[str, Path]:
    if not csanitize.can_build(flavour):
        pytest.skip(f"no compiler here can build {flavour.name}")
    return csanitize.build(flavour, [program.path for program in csanitize.programs()])


@pytest.mark.parametrize(("flavour", "program", "mode"), CASES)
def test_program(flavour: Flavour, program: Program, mode: str) -> None:
    if not csanitize.can_run(program):
        pytest.skip("needs to be root")
    arguments = [mode, str(SHM), unique_name(program.name)]
    outcome = csanitize.run(executables(flavour)[program.name], arguments, program.ends_s * 3, SHMSPACE_SECONDS="2")
    if outcome.status == csanitize.SKIPPED:
        pytest.skip(outcome.text.strip())
    assert outcome.passed, f"exit status {outcome.status}\n{outcome.text}"


def test_every_program_says_how_it_runs() -> None:
    assert [program.name for program in csanitize.programs() if not program.modes] == []


def test_a_program_that_fails_is_noticed(tmp_path: Path) -> None:
    source = tmp_path / "fails.c"
    harness = csanitize.PROGRAMS / "harness.h"
    source.write_text(
        "/* It does not hold.\n *\n * Runs: processes\n */\n"
        f'#include "{harness}"\n'
        "int main(int argc, char **argv) { begin(argc, argv); SAME(1 + 1, 3); return 0; }\n"
    )
    built = csanitize.build(FLAVOURS["plain"], [source])
    outcome = csanitize.run(built["fails"], ["processes", str(SHM), unique_name()])
    assert not outcome.passed
    assert "1 + 1 is 2, not 3" in outcome.text


def test_a_program_that_hangs_is_ended(tmp_path: Path) -> None:
    source = tmp_path / "hangs.c"
    source.write_text("#include <unistd.h>\nint main(void) { fork(); for (;;) pause(); }\n")
    built = csanitize.build(FLAVOURS["plain"], [source])
    outcome = csanitize.run(built["hangs"], [], ends_s=0.2)
    assert not outcome.passed
    assert "killed after" in outcome.text


@pytest.mark.parametrize("name", ["asan", "ubsan", "tsan"])
def test_the_sanitizers_see_something(name: str, tmp_path: Path) -> None:
    faults = {
        "asan": "char *p = malloc(1); free(p); return p[0];",
        "ubsan": "int shift = argc + 40; return 1 << shift;",
        "tsan": "pthread_t t; pthread_create(&t, 0, add, 0); add(0); pthread_join(t, 0); return 0;",
    }
    source = tmp_path / f"fault_{name}.c"
    source.write_text(
        "#include <pthread.h>\n#include <stdlib.h>\n#include <unistd.h>\nint sum;\n"
        "void *add(void *unused) { for (int i = 0; i < 9; i++) { sum++; usleep(1000); } return unused; }\n"
        f"int main(int argc, char **argv) {{ (void)argc, (void)argv; {faults[name]} }}\n"
    )
    flavour = FLAVOURS[name]
    if not csanitize.can_build(flavour):
        pytest.skip(f"no compiler here can build {name}")
    outcome = csanitize.run(csanitize.build(flavour, [source], ["-Wno-all", "-Wno-error"])[source.stem], [])
    assert outcome.status == 99, outcome.text


def sanitize(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run scripts/sanitize as a person would."""
    command = [str(ROOT / "scripts" / "sanitize"), *arguments]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=500, env={**os.environ, "PYTHON": sys.executable}
    )


@pytest.mark.parametrize("name", ["asan", "ubsan", "tsan"])
def test_the_script_builds_and_runs_programs_with_each_sanitizer(name: str) -> None:
    if not csanitize.can_build(FLAVOURS[name]):
        pytest.skip(f"no compiler here can build {name}")
    done = sanitize(name, "1", "stress", "lock_exclusion")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line.partition(":")[0] for line in done.stdout.splitlines() if ": ok," in line]
    modes = ["threads"] if name == "tsan" else ["processes", "threads"]
    assert said == [f"{name} {program} {mode}" for program in ("lock_exclusion", "stress") for mode in modes]


def test_the_script_says_how_it_is_used_when_it_does_not_know_a_program() -> None:
    done = sanitize("asan", "1", "no_such_program")
    assert done.returncode == 2
    assert done.stderr.startswith("usage: scripts/sanitize ")
