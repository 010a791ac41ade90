"""What every test gets: a space of its own, checked afterwards, and the proof that nothing was left on the machine."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import shmspace
from tests.helpers import leftovers

_at_start = pytest.StashKey[tuple[leftovers.Leftovers, frozenset[str]]]()
_IS_XDIST_WORKER = "PYTEST_XDIST_WORKER" in os.environ


def pytest_configure(config: pytest.Config) -> None:
    """Remember what the machine had before the first test."""
    leftovers.adopt_orphans()
    config.stash[_at_start] = leftovers.snapshot(leftovers.SESSION_TAG), leftovers.strays()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Look once more when everything has ended: what a whole session leaves is seen by its first process only."""
    if _IS_XDIST_WORKER:
        return
    before, strays_before = session.config.stash[_at_start]
    left = leftovers.since(before, tag=leftovers.SESSION_TAG)
    leftovers.remove(left)
    # Not removed: it may be somebody else's.
    strays = leftovers.strays() - strays_before
    if left or strays:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
        reporter = session.config.pluginmanager.get_plugin("terminalreporter")
        if reporter is not None:
            reporter.write_line(f"\nERROR: the session left behind:\n{left.describe(strays)}", red=True)


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Fail a test that leaves a region, a semaphore or a process behind that was not there before."""
    before = leftovers.snapshot()
    yield
    left = leftovers.since(before)
    if left:
        leftovers.remove(left)
        pytest.fail(f"the test left behind:\n{left.describe()}", pytrace=False)


@pytest.fixture
def space_name(tmp_path: Path) -> Iterator[str]:
    """Give a name that no space has. Who makes one of that name must leave it healthy; it is destroyed afterwards."""
    name = leftovers.unique_name()
    yield name
    try:
        mode = os.stat(f"/dev/shm/shmspace.{name}").st_mode & 0o777
        space = shmspace.open(name, create=False, mode=mode)
    except (FileNotFoundError, shmspace.NotFound):
        return
    try:
        problems = space.check()
        if problems:
            evidence = shutil.copy(space.path, tmp_path / "damaged-region")
            pytest.fail(f"check() found {problems}; the region is kept as {evidence}", pytrace=False)
    finally:
        space.destroy()
        space.close()


@pytest.fixture
def space(space_name: str) -> Iterator[shmspace.Space]:
    """Give a fresh space of at most 16 MiB; `space_name` checks and destroys it."""
    with shmspace.open(space_name, size="16M") as space:
        yield space
