"""The C core and the C programs of the tests, built plain or with a sanitizer, and run.

    python -m tests.helpers.csanitize [asan|tsan|ubsan|all] [SECONDS [PROGRAM ...]]

builds everything with the sanitizer named and runs every program of tests/c that it can watch, or those named; SECONDS
is how long each stress takes. A program says in its head what it needs:

    Runs: processes, threads    each mode is one run; "threads" opens the space once in every thread
    Needs: root                 it is skipped otherwise
    Except: asan                sanitizers that cannot watch it
    Link: --wrap=NAME ...       functions of the core that it replaces
    Ends: SECONDS               when it takes longer than a minute
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
BUILD = ROOT / ".build" / "c"
LAYERS = ("base", "os", "core", "types", "persist", "audit", "api")
PROGRAMS = ROOT / "tests" / "c"
SUPPORT = PROGRAMS / "support"
CORRUPT = ROOT / "tests" / "corrupt"
ENDS_S = 60
STALE_S = 86400
SKIPPED = 77
"""How a program ends that cannot run on this machine."""


class Flavour(NamedTuple):
    """One way to build everything."""

    name: str
    flags: tuple[str, ...]
    map: str
    """The file of tests/c/support that replaces the mapping of regions."""
    modes: frozenset[str]
    """Which runs the sanitizer can watch."""


_CAREFUL = ("-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=all")
_ALL_MODES = frozenset({"processes", "threads"})
_EMPTY_MAIN = "int main(void) { return 0; }"
_EMPTY_TARGET = "int LLVMFuzzerTestOneInput(const char *data, unsigned long size) { return !data && size; }"
FLAVOURS = {
    flavour.name: flavour
    for flavour in (
        Flavour("plain", ("-O2", "-g"), "guarded_map.c", _ALL_MODES),
        Flavour("asan", (*_CAREFUL, "-fsanitize=address,undefined"), "guarded_map.c", _ALL_MODES),
        Flavour("ubsan", (*_CAREFUL, "-fsanitize=undefined"), "guarded_map.c", _ALL_MODES),
        # It sees addresses, not memory: all spaces of the process must lie in one mapping. It cannot follow a fork.
        Flavour("tsan", ("-O1", "-g", "-fsanitize=thread"), "one_mapping.c", frozenset({"threads"})),
        # What libFuzzer drives (clang only) has no main of its own: it is no program of tests/c.
        Flavour("fuzz", (*_CAREFUL, "-fsanitize=fuzzer,address,undefined"), "guarded_map.c", frozenset()),
    )
}
_WARNINGS = ("-std=gnu11", "-Wall", "-Wextra", "-Werror", "-DSHM_POINTS", "-pthread")
_WRAPS = ("-Wl,--wrap=shm__map", "-Wl,--wrap=shm__unmap", "-Wl,--wrap=shm__byte_locked")

ENVIRONMENT = {
    "ASAN_OPTIONS": "detect_leaks=1:abort_on_error=0:exitcode=99",
    "UBSAN_OPTIONS": "print_stacktrace=1:exitcode=99",
    "TSAN_OPTIONS": f"exitcode=99:history_size=7:second_deadlock_stack=1:suppressions={SUPPORT / 'tsan.supp'}",
}


class Program(NamedTuple):
    """A test program and what its head says."""

    path: Path
    modes: tuple[str, ...]
    needs: frozenset[str]
    but: frozenset[str]
    link: tuple[str, ...]
    ends_s: int

    @property
    def name(self) -> str:
        return self.path.stem


def programs() -> list[Program]:
    """Give every program of tests/c, by name."""
    return [read_program(path) for path in sorted(PROGRAMS.glob("*.c"))]


def read_program(path: Path) -> Program:
    """Read the head of a test program."""
    head = path.read_text().split("*/", 1)[0]

    def said(what: str) -> list[str]:
        found = re.search(rf"^ \* {what}: (.+)$", head, re.MULTILINE)
        return re.split(r"[,\s]+", found[1].strip()) if found else []

    ends = said("Ends")
    link = tuple(f"-Wl,{option}" for option in said("Link"))
    needs, but = frozenset(said("Needs")), frozenset(said("Except"))
    return Program(path, tuple(said("Runs")), needs, but, link, int(ends[0]) if ends else ENDS_S)


def can_build(flavour: Flavour) -> bool:
    """Tell whether there is a compiler that has the sanitizer."""
    return compiler(flavour) is not None


def compiler(flavour: Flavour) -> str | None:
    """Give the compiler for it: $CC, else clang, else gcc; the first that can link."""
    for name in [os.environ.get("CC"), "clang", "gcc"]:
        if name and shutil.which(name) and _links(name, flavour.flags):
            return name
    return None


def _links(name: str, flags: Sequence[str]) -> bool:
    with tempfile.TemporaryDirectory() as directory:
        command = [name, *flags, "-xc", "-", "-o", f"{directory}/a.out"]
        source = _EMPTY_TARGET if any("fuzzer" in flag for flag in flags) else _EMPTY_MAIN
        return subprocess.run(command, input=source.encode(), capture_output=True).returncode == 0


def build(flavour: Flavour, paths: Sequence[Path], extra: Sequence[str] = ()) -> dict[str, Path]:
    """Build the core and these programs; give the executables by name. What was built before is kept."""
    name = compiler(flavour)
    if name is None:
        raise LookupError(f"no compiler here has the {flavour.name} sanitizer")
    flags = [*_WARNINGS, *flavour.flags, *extra]
    if flavour.name == "tsan" and "gcc" in Path(name).name:
        flags.append("-Wno-tsan")  # of fences: what rests on them is kept out of its sight
    core = [path for layer in LAYERS for path in sorted((ROOT / "csrc" / layer).glob("*.c"))]
    headers = sorted([*ROOT.glob("csrc/**/*.h"), *PROGRAMS.glob("**/*.h"), *CORRUPT.glob("*.h")])
    support = SUPPORT / flavour.map
    with _locked():
        objects = _built_all(name, flags, [*core, support], headers)
        library = [objects[path] for path in [*core, support]]
        sources = _built_all(name, flags, list(dict.fromkeys(paths)), headers)
        return {path.stem: _linked(name, flags, path, [sources[path], *library]) for path in paths}


def _built_all(name: str, flags: list[str], sources: list[Path], headers: list[Path]) -> dict[Path, Path]:
    common = _digest(headers) + shlex.join([name, *flags])

    def built(source: Path) -> Path:
        target = BUILD / f"{source.stem}-{_short(common + _digest([source]))}.o"
        if not target.exists():
            _compile([name, *flags, "-c", str(source)], target)
        target.touch()
        return target

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(sources, pool.map(built, sources), strict=True))


def _linked(name: str, flags: list[str], source: Path, objects: list[Path]) -> Path:
    link = [*_WRAPS, *read_program(source).link]
    target = BUILD / f"{source.stem}-{_short(shlex.join([name, *flags, *link, *map(str, objects)]))}"
    if not target.exists():
        _compile([name, *flags, *link, *map(str, objects)], target)
    target.touch()
    return target


def _compile(command: list[str], target: Path) -> None:
    unfinished = target.with_suffix(f".{os.getpid()}.new")
    done = subprocess.run([*command, "-o", str(unfinished)], capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{shlex.join(command)}\n{done.stderr[:4000]}")
    unfinished.rename(target)


def _digest(paths: Sequence[Path]) -> str:
    total = hashlib.sha256()
    for path in paths:
        total.update(hashlib.sha256(path.read_bytes()).digest())
    return total.hexdigest()


def _short(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@contextmanager
def _locked() -> Iterator[None]:
    """One builder at a time; what nobody has used for a day goes."""
    BUILD.mkdir(parents=True, exist_ok=True)
    with open(BUILD / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for path in BUILD.iterdir():
            if path.stat().st_mtime < time.time() - STALE_S:
                path.unlink()
        yield


class Outcome(NamedTuple):
    """How a program ended."""

    status: int
    """As of subprocess: negative for a signal. Killed by us when it took too long."""
    text: str

    @property
    def passed(self) -> bool:
        return self.status in (0, SKIPPED)


def run(executable: Path, arguments: Sequence[str], ends_s: float = ENDS_S, **environment: str) -> Outcome:
    """Run a program with all that it starts; nothing of it is left afterwards."""
    with tempfile.TemporaryFile("w+", errors="replace") as output:
        process = subprocess.Popen(
            [executable, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **ENVIRONMENT, **environment},
            start_new_session=True,
        )
        try:
            status = process.wait(ends_s)
        except subprocess.TimeoutExpired:
            status = -signal.SIGKILL
            output.write(f"\nkilled after {ends_s} s\n")
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()
        output.seek(0)
        return Outcome(status, output.read())


def runs(flavour: Flavour) -> list[tuple[Program, str]]:
    """Give every program with each mode that this build can watch."""
    return [
        (program, mode)
        for program in programs()
        for mode in program.modes
        if mode in flavour.modes and flavour.name not in program.but
    ]


def can_run(program: Program) -> bool:
    """Tell whether this user may do what the program does."""
    return "root" not in program.needs or os.geteuid() == 0


def main(arguments: list[str]) -> int:
    """Build and run everything with the sanitizers asked for."""
    known = [flavour.name for flavour in FLAVOURS.values() if flavour.name != "plain" and flavour.modes]
    wanted = arguments[0] if arguments else "all"
    seconds = arguments[1] if len(arguments) > 1 else "10"
    names = set(arguments[2:])
    unknown = names - {program.name for program in programs()}
    if wanted not in (*known, "all") or not seconds.isdecimal() or unknown:
        print(f"usage: scripts/sanitize [{'|'.join(known)}|all] [SECONDS [PROGRAM ...]]", file=sys.stderr)
        return 2
    failed = 0
    for flavour in [FLAVOURS[name] for name in known if wanted in (name, "all")]:
        if not can_build(flavour):
            print(f"{flavour.name}: no compiler here has it; on Debian: apt-get install gcc or clang", file=sys.stderr)
            failed += 1
            continue
        able = [(program, mode) for program, mode in runs(flavour) if can_run(program)]
        todo = [(program, mode) for program, mode in able if not names or program.name in names]
        built = build(flavour, [program.path for program, _ in todo])
        for program, mode in todo:
            failed += not _report(flavour, program, mode, built[program.name], seconds)
    return 1 if failed else 0


def _report(flavour: Flavour, program: Program, mode: str, executable: Path, seconds: str) -> bool:
    start = time.monotonic()
    name = f"sanitize-{os.getpid()}-{program.name}"
    ends_s = program.ends_s * 5 + float(seconds)
    outcome = run(executable, [mode, "/dev/shm", name], ends_s, SHMSPACE_SECONDS=seconds)
    Path(f"/dev/shm/shmspace.{name}").unlink(missing_ok=True)
    said = "ok" if outcome.status == 0 else "skipped" if outcome.passed else f"FAILED ({outcome.status})"
    print(f"{flavour.name} {program.name} {mode}: {said}, {time.monotonic() - start:.1f} s", flush=True)
    if not outcome.passed:
        print(outcome.text, flush=True)
    return outcome.passed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
