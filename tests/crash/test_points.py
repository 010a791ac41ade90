"""A process is killed at every named point of the core, and those who survive it work on.

Every row of a crash table names a point of the code. The programs in this directory play scenes; what holds after a
death is in judge.c: survivors finish what they do within their naps, no message is lost, doubled, torn or out of order
beyond what the dead had taken, check() finds nothing, and no block is left when all is closed.
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.helpers.cbuild import crash_program, figures, run_crash_program, scene_names
from tests.helpers.tree import ROOT

POINT = re.compile(r'SHM_POINT\("([^"]+)"\)')
ROW = re.compile(r'"([a-z]+\.[a-z]+)"')
NEVER_SO_LONG_US = 2_000_000
"""The longest nap is 100 ms; the rest is for busy machines. What hangs, hangs for 5 s."""
WITHOUT_POINTS = {"lock", "lock_held"}
"""Scenes whose act is a compare-and-swap or two: test_single_step.py kills in them."""


def core_sources() -> list[Path]:
    """List the C sources in which there may be points."""
    return [path for path in sorted((ROOT / "csrc").glob("*/*.c")) if path.name != "point.c"]


def points_of(path: Path) -> set[str]:
    """Collect the points of a source."""
    return set(POINT.findall(path.read_text()))


def rows_of(path: Path) -> set[str]:
    """Collect the points that the crash table in a source's head names."""
    head, _, _ = path.read_text().partition("*/")
    _, _, table = head.partition("Crash table")
    return set(ROW.findall(table))


ALL_POINTS = {point for path in core_sources() for point in points_of(path)}


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crash_program("points", tmp_path_factory)


@pytest.mark.parametrize("path", [path for path in core_sources() if points_of(path)], ids=lambda path: path.stem)
def test_every_point_is_in_the_crash_table_of_its_file(path: Path) -> None:
    assert points_of(path) - rows_of(path) == set()


def test_every_row_of_a_crash_table_is_a_point() -> None:
    assert {path.name: rows_of(path) - ALL_POINTS for path in core_sources() if rows_of(path) - ALL_POINTS} == {}


def test_every_point_is_passed_by_a_victim(program: Path) -> None:
    with ThreadPoolExecutor(2) as pool:
        passed = pool.map(lambda scene: run_crash_program(program, scene, "reach"), scene_names())
    assert ALL_POINTS - {point for points in passed for point in points} == set()


@pytest.mark.parametrize("scene", [name for name in scene_names() if name not in WITHOUT_POINTS])
def test_survivors_work_on_after_a_death_at_any_point_of(scene: str, program: Path) -> None:
    found = figures(run_crash_program(program, scene, "kill")[-1])
    assert found["kills"] > 0
    assert found["blocked_us"] < NEVER_SO_LONG_US
