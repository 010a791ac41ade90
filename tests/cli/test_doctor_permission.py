"""The doctor's probes of who may do what."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.permission import probe_directory, probe_files

ME = os.geteuid()
STRANGER = 54321  # has no name, as users of other containers have none


@pytest.fixture
def shm(tmp_path: Path) -> Path:
    """A directory as /dev/shm is."""
    path = tmp_path / "shm"
    path.mkdir()
    path.chmod(0o1777)
    return path


def region(folder: Path, name: str, mode: int) -> Path:
    path = folder / name
    path.touch()
    path.chmod(mode)
    return path


def test_a_shared_directory_with_its_sticky_bit_is_ok(shm: Path) -> None:
    found = probe_directory(shm, ME)
    assert (found.level, found.remedy) == (Level.OK, None)
    assert "1777" in found.found


def test_a_directory_of_our_own_is_ok(shm: Path) -> None:
    shm.chmod(0o700)
    assert probe_directory(shm, ME).level == Level.OK


def test_a_shared_directory_without_the_sticky_bit_fails(shm: Path) -> None:
    shm.chmod(0o777)
    found = probe_directory(shm, ME)
    assert (found.level, found.remedy) == (Level.FAIL, f"chmod +t {shm}")


def test_a_directory_that_we_may_not_write_to_fails(shm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write everywhere
    found = probe_directory(shm, ME)
    assert found.level == Level.FAIL
    assert found.remedy


def test_a_directory_of_a_stranger_is_a_warning(shm: Path) -> None:
    if shm.stat().st_uid == 0:
        os.chown(shm, STRANGER, -1)
    found = probe_directory(shm, STRANGER + 1)
    assert found.level == Level.WARN


def test_a_directory_that_is_not_there_fails(tmp_path: Path) -> None:
    assert probe_directory(tmp_path / "gone", ME).level == Level.FAIL


def test_regions_as_they_should_be_are_ok(shm: Path) -> None:
    region(shm, "shmspace.jobs", 0o600)
    region(shm, "shmspace.team", 0o660)
    region(shm, ".shmspace.new.x1.tmp", 0o600)
    region(shm, "others", 0o666)
    (found,) = probe_files(shm, ME)
    assert found.level == Level.OK


def test_a_region_that_everybody_can_change_is_a_warning(shm: Path) -> None:
    path = region(shm, "shmspace.open", 0o666)
    (found,) = probe_files(shm, ME)
    assert (found.level, found.remedy) == (Level.WARN, f"chmod 600 {path}")


def test_a_region_of_another_user_that_is_not_shared_is_a_warning(shm: Path) -> None:
    region(shm, "shmspace.theirs", 0o600)
    region(shm, ".shmspace.new.x1.tmp", 0o600)
    temporary, finished = probe_files(shm, STRANGER)
    assert (temporary.level, finished.level) == (Level.WARN, Level.WARN)
    assert temporary.remedy is not None
    assert temporary.remedy.endswith(" shmspace gc")
    assert finished.remedy is not None
    assert finished.remedy.endswith(" shmspace rm theirs")


def test_a_region_that_its_owner_shares_is_ok(shm: Path) -> None:
    region(shm, "shmspace.team", 0o660)
    (found,) = probe_files(shm, STRANGER)
    assert found.level == Level.OK


def test_whatever_is_no_file_fails(shm: Path) -> None:
    (shm / "shmspace.link").symlink_to("elsewhere")
    (shm / "shmspace.folder").mkdir()
    found = probe_files(shm, ME)
    assert [one.level for one in found] == [Level.FAIL, Level.FAIL]
    assert found[0].remedy == f"rm -r {shm / 'shmspace.folder'}"


def test_a_directory_that_cannot_be_listed_has_no_findings(tmp_path: Path) -> None:
    (found,) = probe_files(tmp_path / "gone", ME)
    assert found.level == Level.OK
