"""The C programs of tests/crash, built once per test session with the named points in the core, and run.

A program NAME is made of NAME.c, NAME_*.c and what all of them share, and linked so that what a point does to the
process, and what the clock says, goes through world.c. Each run gets the name of a space that nobody else has.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.helpers import leftovers
from tests.helpers.tree import ROOT

LAYERS = ("base", "os", "core", "types", "persist", "audit", "api")
CRASH = ROOT / "tests" / "crash"
SHARED = ("world", "judge", "acts", "shelf", "shelf_judge", "records", "records_judge", "cupboard", "cupboard_judge")
FLAGS = ("-std=gnu11", "-g", "-O1", "-DSHM_POINTS", "-Wall", "-Wextra", f"-I{ROOT / 'csrc'}")
LINK = ("-no-pie", "-pthread", "-Wl,-z,now", "-Wl,--wrap=raise,--wrap=shm__point,--wrap=shm__monotonic_ns")
RUN_ENDS_S = 1800
"""When even a run of the long tier hangs; pytest has a shorter timeout for the others."""


def compiler() -> str:
    """Find the compiler: $CC, else gcc, else clang."""
    return os.environ.get("CC") or shutil.which("gcc") or shutil.which("clang") or "cc"


def crash_program(name: str, temporary: pytest.TempPathFactory) -> Path:
    """Build a program of tests/crash, unless this session has it already; its path."""
    base = temporary.getbasetemp()
    directory = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "crash-programs"
    with _only_one(directory):
        program = directory / name
        if not program.exists():
            objects = _compile([*_core(), *_sources(name)], directory)
            _run_compiler([*map(str, objects), *LINK, "-o", f"{program}.new"])
            os.rename(f"{program}.new", program)
    return program


def run_crash_program(program: Path, *arguments: str) -> list[str]:
    """Run it on a space of its own in /dev/shm; the lines it prints.

    Raises AssertionError when the program has found something, or ended in any way but well.
    """
    command = [str(program), str(leftovers.SHM), leftovers.unique_name("crash"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, timeout=RUN_ENDS_S)
    found = [_with_place(program, line) for line in done.stdout.splitlines() if line.startswith("FAIL")]
    assert not found, "\n".join(["", *found])
    assert done.returncode == 0, f"{command} ended with {done.returncode}: {done.stdout[-500:]}{done.stderr[-500:]}"
    return done.stdout.splitlines()


def figures(line: str) -> dict[str, int]:
    """Give the NAME=NUMBER pairs of a line."""
    return {name: int(number) for name, number in re.findall(r"(\w+)=(\d+)", line)}


def scene_names() -> list[str]:
    """Name the scenes of tests/crash, without those that only ever are the part of the other one in a scene."""
    text = "".join(path.read_text() for path in sorted(CRASH.glob("scenes_*.c")))
    names = re.findall(r'\.name = "(\w+)",', text) + [f"reap_{name}" for name in re.findall(r'\{REAP\("(\w+)"', text)]
    names += re.findall(r"^SCENE\((\w+),", text, re.MULTILINE)
    return [name for name in names if not re.search(r"_asleep(_all)?$", name)]


def _core() -> list[Path]:
    return [path for layer in LAYERS for path in sorted((ROOT / "csrc" / layer).glob("*.c"))]


def _sources(name: str) -> list[Path]:
    return [
        CRASH / f"{name}.c",
        *sorted(CRASH.glob(f"{name}_*.c")),
        *(CRASH / f"{shared}.c" for shared in SHARED),
        *sorted(CRASH.glob("scenes_*.c")),
    ]


def _compile(sources: Sequence[Path], directory: Path) -> list[Path]:
    objects = [directory / "-".join(path.with_suffix(".o").relative_to(ROOT).parts) for path in sources]
    missing = [(source, made) for source, made in zip(sources, objects, strict=True) if not made.exists()]
    with ThreadPoolExecutor(os.cpu_count() or 2) as pool:
        list(pool.map(lambda pair: _run_compiler([*FLAGS, "-c", str(pair[0]), "-o", str(pair[1])]), missing))
    return objects


def _run_compiler(arguments: Sequence[str]) -> None:
    done = subprocess.run([compiler(), *arguments], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@contextmanager
def _only_one(directory: Path) -> Iterator[None]:
    """Hold off the other processes of pytest-xdist."""
    directory.mkdir(exist_ok=True)
    with open(directory / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _with_place(program: Path, line: str) -> str:
    """Say where in the source an address is, if there is one in the line and a program that knows."""
    address = re.search(r"at (0x[0-9a-f]+)", line)
    if not address or not shutil.which("addr2line"):
        return line
    command = ["addr2line", "-f", "-s", "-e", str(program), address[1]]
    place = subprocess.run(command, capture_output=True, text=True).stdout.split()
    return f"{line} [{' '.join(place)}]"
