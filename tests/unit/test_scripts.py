"""What the scripts need and do not find they name in one line, with the package to install, before they do anything."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.helpers.tree import ROOT

SCRIPTS = ["scripts/demo", "scripts/test", "scripts/check", ".ci/run"]
COMMANDS = "bash cat dirname env find git id mkdir mktemp nproc rm sha256sum sort uname xargs".split()  # noqa: SIM905

pytestmark = pytest.mark.skipif(not (ROOT / "scripts" / "lib.sh").exists(), reason="needs the source tree")


class Machine:
    """A copy of the scripts, and a PATH on which only chosen commands are."""

    def __init__(self, directory: Path) -> None:
        self.tree = directory / "tree"
        self.bin = directory / "bin"
        self.environment = {"PATH": str(self.bin), "HOME": str(directory)}
        self.bin.mkdir()
        for name in ("scripts", ".ci"):
            shutil.copytree(ROOT / name, self.tree / name)
        for name in ("csrc", "shmspace/_native"):
            (self.tree / name).mkdir(parents=True)
        (self.tree / "pyproject.toml").touch()
        for command in COMMANDS:
            self.add(command, f'exec {shutil.which(command)} "$@"')
        self.add("python3", f'exec {sys.executable} "$@"')
        # A compiler that finds every header, so that the tests do not depend on what is installed here.
        self.add("gcc", "cat >/dev/null")

    def add(self, name: str, script: str) -> None:
        path = self.bin / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def run(self, script: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.tree / script], env=self.environment, capture_output=True, text=True, check=False, timeout=60
        )

    def refusal(self, script: str) -> str:
        result = self.run(script)
        assert result.returncode == 1
        assert result.stdout == ""
        assert result.stderr.count("\n") == 1, result.stderr
        assert not (self.tree / ".venv").exists()
        return result.stderr.strip()


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Give a machine on which all is there; a test takes something away."""
    return Machine(tmp_path)


@pytest.mark.parametrize("script", SCRIPTS)
def test_no_python_is_named(machine: Machine, script: str) -> None:
    (machine.bin / "python3").unlink()
    assert "Python 3.10 or newer" in machine.refusal(script)
    assert "apt-get install python3" in machine.refusal(script)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_python_that_is_too_old_is_named(machine: Machine, script: str) -> None:
    machine.add("python3", "exit 1")
    assert "Python 3.10 or newer (python3 is older); on Debian: apt-get install python3" in machine.refusal(script)


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_missing_venv_module_is_named(machine: Machine, script: str, tmp_path: Path) -> None:
    (tmp_path / "ensurepip.py").write_text("raise ModuleNotFoundError('ensurepip')")
    machine.environment["PYTHONPATH"] = str(tmp_path)
    assert machine.refusal(script) == "shmspace needs Python's venv module; on Debian: apt-get install python3-venv"


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_missing_compiler_is_named(machine: Machine, script: str) -> None:
    (machine.bin / "gcc").unlink()
    text = machine.refusal(script)
    assert text.startswith("shmspace needs a C compiler")
    assert "apt-get install gcc" in text


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize(
    ("header", "text"),
    [
        ("Python.h", "shmspace needs Python headers (Python.h); on Debian: apt-get install python3-dev"),
        ("stdio.h", "shmspace needs C library headers (stdio.h); on Debian: apt-get install libc6-dev"),
    ],
)
def test_missing_headers_are_named(machine: Machine, script: str, header: str, text: str) -> None:
    machine.add("gcc", f'read -r line; case $line in *"<{header}>"*) exit 1;; esac')
    assert machine.refusal(script) == text


def test_all_that_is_missing_stands_in_the_one_line(machine: Machine) -> None:
    (machine.bin / "gcc").unlink()
    (machine.bin / "python3").unlink()
    assert machine.refusal("scripts/demo").endswith("apt-get install python3 gcc libc6-dev python3-dev")


def test_the_real_compiler_finds_the_headers_where_python_says(machine: Machine) -> None:
    compiler = shutil.which("gcc")
    if compiler is None or not (Path(sysconfig.get_path("include")) / "Python.h").exists():
        pytest.skip("no gcc, or no headers of this Python")
    machine.add("gcc", f'exec {compiler} "$@"')
    machine.environment["PATH"] += os.pathsep + str(Path(compiler).parent)
    result = subprocess.run(
        ["bash", "-c", f"source {machine.tree}/scripts/lib.sh && require_tools"],
        env=machine.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
