"""The doctor's probes of kernel, Python, limits and start method."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from shmspace.cli.doctor import process
from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.process import probe_kernel, probe_limits, probe_locks, probe_python, probe_start_method

GIB = 1 << 30


@pytest.mark.parametrize(
    ("release", "level"),
    [
        ("6.1.0-18-amd64", Level.OK),
        ("3.15.0", Level.OK),
        ("10.0", Level.OK),
        ("3.14.79", Level.FAIL),
        ("2.6.32-754.el6", Level.FAIL),
        ("nonsense", Level.WARN),
    ],
)
def test_the_kernel_must_have_open_file_description_locks(release: str, level: Level, tmp_path: Path) -> None:
    (tmp_path / "osrelease").write_text(release + "\n")
    assert probe_kernel(tmp_path / "osrelease").level == level


def test_a_kernel_that_does_not_tell_is_a_warning(tmp_path: Path) -> None:
    assert probe_kernel(tmp_path / "osrelease").level == Level.WARN


def test_locks_that_work_are_ok_and_leave_nothing(tmp_path: Path) -> None:
    assert probe_locks(tmp_path).level == Level.OK
    assert list(tmp_path.iterdir()) == []


def test_locks_that_do_not_work_fail(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(file: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(process, "lock", refuse)
    found = probe_locks(tmp_path)
    assert found.level == Level.FAIL
    assert "ENOLCK" in found.found


@pytest.mark.parametrize(
    ("version", "bits", "level"),
    [
        ((3, 10, 0), 64, Level.OK),
        ((3, 14, 2), 64, Level.OK),
        ((3, 9, 19), 64, Level.FAIL),
        ((3, 12, 0), 32, Level.FAIL),
    ],
)
def test_python_must_be_new_and_wide_enough(version: tuple[int, int, int], bits: int, level: Level) -> None:
    found = probe_python(version, bits, "glibc 2.36")
    assert found.level == level
    assert "glibc 2.36" in found.found


def test_an_unknown_c_library_is_said_so() -> None:
    assert "unknown C library" in probe_python((3, 12, 0), 64, "").found


@pytest.mark.parametrize(("method", "level"), [("fork", Level.WARN), ("spawn", Level.OK), ("forkserver", Level.OK)])
def test_fork_is_a_warning(method: str, level: Level) -> None:
    found = probe_start_method(method)
    assert found.level == level
    assert method in found.found


@pytest.mark.parametrize(
    ("limits", "levels", "remedy"),
    [
        ({}, [Level.OK], None),
        ({"nofile": 1024, "fsize": -1, "as": -1}, [Level.OK], None),
        ({"nofile": 64}, [Level.WARN], "ulimit -n 4096"),
        ({"fsize": GIB}, [Level.OK], None),
        ({"fsize": GIB - 1}, [Level.FAIL], "ulimit -f unlimited"),
        ({"as": GIB // 2}, [Level.FAIL], "ulimit -v unlimited"),
        ({"nofile": 64, "fsize": 1}, [Level.WARN, Level.FAIL], "ulimit -n 4096"),
    ],
)
def test_limits_that_bite_are_told_with_what_lifts_them(
    limits: dict[str, int], levels: list[Level], remedy: str | None
) -> None:
    found = probe_limits(limits, GIB)
    assert [one.level for one in found] == levels
    assert found[0].remedy == remedy
