"""core: the ring of the C core by itself, without Python.

`csrc/bench/bench_ring.c` is compiled together with the core, with `-O2` (by $CC, else cc, gcc or clang),
into a temporary directory. The program prints one JSON object per line, other keys are kept as raw numbers:
`{"name": "ring_one_way", "rate": R}` in messages per second, `{"name": "ring_round_trip", "p50_ns": N}`.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import subprocess
import tempfile
import weakref
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.competitors.adapter import Competitor, distribution_version
from benchmarks.outcome import Crashed, Failed, Hung, NotApplicable, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern
from benchmarks.scale import Scale

_CSRC = Path(__file__).resolve().parents[2] / "csrc"
_PROGRAM = "bench/bench_ring.c"
_COMPILE_SECONDS = 120.0
_RUN_SECONDS = 30.0


def run_json_lines(program: Path, timeout_seconds: float = _RUN_SECONDS) -> list[dict[str, Any]]:
    """Run a program; the JSON objects that it printed, one per line."""
    try:
        done = subprocess.run([program], capture_output=True, text=True, timeout=timeout_seconds, check=False)
    except subprocess.TimeoutExpired:
        raise Hung(f"{program.name} was not done after {timeout_seconds} s") from None
    if done.returncode:
        raise Crashed(f"{program.name} ended with {done.returncode}: {_first_line(done.stderr)}")
    try:
        return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    except ValueError as error:
        raise Failed(f"{program.name} printed no JSON: {error}") from None


@functools.cache
def compile_core(name: str) -> Path:
    """Compile one program of csrc with all of the core; the directory goes with the interpreter."""
    source = _CSRC / name
    compiler = next(filter(None, map(shutil.which, (os.environ.get("CC", "cc"), "cc", "gcc", "clang"))), None)
    if not source.exists():
        raise NotApplicable(f"csrc/{name} is not there")
    if compiler is None:
        raise NotApplicable("no C compiler is installed")
    directory = Path(tempfile.mkdtemp(prefix="bench-core-"))
    weakref.finalize(compile_core, shutil.rmtree, directory, ignore_errors=True)
    program = directory / source.stem
    core = sorted(path for path in _CSRC.rglob("*.c") if path.parent != source.parent)
    command = [compiler, "-O2", "-std=gnu11", "-pthread", f"-I{_CSRC}", f"-I{_CSRC / 'include'}"]
    command += [*map(str, core), str(source), "-o", str(program)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=_COMPILE_SECONDS, check=False)
    if done.returncode:
        raise Failed(f"csrc/{name} does not compile: {_first_line(done.stderr)}")
    return program


def _first_line(text: str) -> str:
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines() or [""]
    return lines[0].replace(f"{_CSRC.parent}/", "")


def _measure(case: Case, scale: Scale) -> Run:
    for record in run_json_lines(compile_core(_PROGRAM)):
        if record.get("name") == case.name:
            return Run({case.figure: float(record[case.figure])}, record)
    raise Failed(f"{_PROGRAM} printed nothing named {case.name}")


class CoreRing(Pattern):
    """The C core alone."""

    name = "core"
    title = "C core"
    cases = (
        Case("ring_one_way", "C core: ring, one way", "rate", "messages/s", True),
        Case("ring_round_trip", "C core: ring, there and back", "p50_ns", "ns", False),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant("shmspace", distribution_version("shmspace") or "source tree", _measure)]
