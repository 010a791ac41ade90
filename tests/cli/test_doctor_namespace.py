"""The doctor's probe of PID namespaces."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

import pytest

import shmspace
from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.namespace import probe_namespaces

BOOT_S = 1_700_000_000
NS = 1_000_000_000


class Member(NamedTuple):
    pid: int
    alive: bool
    since: int


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    """A /proc in which process 7 has started 100 s after the machine."""
    (tmp_path / "stat").write_text(f"cpu 1 2 3\nbtime {BOOT_S}\n")
    (tmp_path / "7").mkdir()
    ticks = 100 * os.sysconf("SC_CLK_TCK")
    (tmp_path / "7/stat").write_text(f"7 (a) b) S {' '.join(['0'] * 18)} {ticks} 0 0\n")
    return tmp_path


def level(proc: Path, *members: Member) -> Level:
    return max(found.level for found in probe_namespaces({"jobs": members}, proc))


def test_a_member_that_is_a_process_here_is_ok(proc: Path) -> None:
    assert level(proc, Member(7, True, (BOOT_S + 200) * NS)) == Level.OK


def test_a_living_member_whose_process_is_not_here_is_a_warning(proc: Path) -> None:
    (found,) = probe_namespaces({"jobs": [Member(8, True, (BOOT_S + 200) * NS)]}, proc)
    assert found.level == Level.WARN
    assert "'jobs'" in found.found
    assert "8" in found.found
    assert found.remedy is not None
    assert "--pid=" in found.remedy


def test_a_process_that_started_after_the_member_attached_is_somebody_else(proc: Path) -> None:
    assert level(proc, Member(7, True, (BOOT_S + 50) * NS)) == Level.WARN


def test_a_dead_member_tells_nothing(proc: Path) -> None:
    assert level(proc, Member(8, False, (BOOT_S + 200) * NS)) == Level.OK


def test_no_members_are_ok(proc: Path) -> None:
    assert level(proc) == Level.OK
    assert [found.level for found in probe_namespaces({}, proc)] == [Level.OK]


def test_a_process_that_tells_no_start_time_is_taken_for_the_member(proc: Path) -> None:
    (proc / "9").mkdir()
    assert level(proc, Member(9, True, time.time_ns())) == Level.OK


def test_our_own_members_are_processes_here(space: shmspace.Space) -> None:
    (found,) = probe_namespaces({space.name: space.members()}, Path("/proc"))
    assert found.level == Level.OK
