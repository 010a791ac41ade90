"""`shmspace gc`: what is left by dead processes goes, what anybody still uses stays."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

import shmspace
from shmspace.cli import leftover
from shmspace.cli.app import main
from shmspace.cli.file_lock import lock
from shmspace.layout.tables import constant, crc32c, field_offset
from tests.cli.shell import run

TEMPORARY = ".shmspace.jobs.a1b2c3.tmp"


def half_finished(directory: Path) -> Path:
    """What a creator leaves that is killed before it gives the region its name."""
    path = directory / TEMPORARY
    path.write_bytes(bytes(8192))
    return path


def blank(directory: Path) -> Path:
    """A region without its header, as a power cut can leave it in a directory on a disk."""
    path = directory / "shmspace.blank"
    path.write_bytes(bytes(8192))
    return path


def test_nothing_to_remove_is_done(tmp_path: Path) -> None:
    done = run("gc", "--directory", tmp_path)
    assert (done.code, done.out, done.err) == (0, "nothing to remove\n", "")


def unready(directory: Path) -> Path:
    """A region whose header does not say that it is ready."""
    return edited(directory, "ready", 0)


def destroyed(directory: Path) -> Path:
    """A space whose destroyer was killed before it could remove the file."""
    return edited(directory, "life", constant("SHM_LIFE_DELETED"))


def rebooted(directory: Path) -> Path:
    """A space in a directory on a disk, from before a reboot."""
    return edited(directory, "boot_id", 7)


def edited(directory: Path, field: str, value: int) -> Path:
    """A space of which one field of the header has another value, under a right checksum."""
    with shmspace.open(field.replace("_", "-"), size="1M", directory=directory) as space:
        path = Path(space.path)
    region = bytearray(path.read_bytes())
    struct.pack_into("<I", region, field_offset("shm_header", field), value)
    at = field_offset("shm_header", "header_crc")
    covered = bytearray(region[:at])
    struct.pack_into("<I", covered, field_offset("shm_header", "ready"), 0)
    struct.pack_into("<I", region, at, crc32c(covered))
    path.write_bytes(region)
    return path


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (half_finished, "temporary"),
        (blank, "half_made"),
        (unready, "half_made"),
        (destroyed, "destroyed"),
        (rebooted, "rebooted"),
    ],
)
def test_what_a_dead_creator_left_is_removed(make: Callable[[Path], Path], kind: str, tmp_path: Path) -> None:
    path = make(tmp_path)
    document = run("gc", "--directory", tmp_path, "--json").document
    assert (document["dry_run"], document["refused"]) == (False, [])
    (removed,) = document["removed"]
    assert (removed["kind"], removed["path"]) == (kind, str(path))
    assert removed["size"] > 0
    assert not path.exists()


def test_a_dry_run_removes_nothing(tmp_path: Path) -> None:
    path = half_finished(tmp_path)
    dry = run("gc", "--directory", tmp_path, "--dry-run")
    assert dry.code == 0
    assert dry.lines[0].startswith(f"would remove {path} ")
    assert path.exists()


def test_a_region_that_somebody_is_making_stays(tmp_path: Path) -> None:
    path = half_finished(tmp_path)
    with path.open("r+b") as file:
        lock(file)
        assert run("gc", "--directory", tmp_path).out == "nothing to remove\n"
    assert path.exists()
    assert run("gc", "--directory", tmp_path).code == 0
    assert not path.exists()


def test_a_lock_counts_even_where_no_process_is_seen(tmp_path: Path) -> None:
    nobody = tmp_path / "proc"
    nobody.mkdir()
    path = half_finished(tmp_path)
    with path.open("r+b") as file:
        assert not leftover.is_in_use(path, nobody)
        lock(file)
        assert leftover.is_in_use(path, nobody)


def test_an_open_file_counts_even_without_a_lock(tmp_path: Path) -> None:
    path = half_finished(tmp_path)
    with path.open("rb"):
        assert run("gc", "--directory", tmp_path).out == "nothing to remove\n"
    assert path.exists()


def test_an_unused_space_goes_only_when_that_is_asked_for(tmp_path: Path) -> None:
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    assert run("gc", "--directory", tmp_path).out == "nothing to remove\n"
    document = run("gc", "--directory", tmp_path, "--unused", "--json").document
    assert [(found["kind"], found["name"]) for found in document["removed"]] == [("unused", "idle")]
    assert list(tmp_path.iterdir()) == []


def test_a_space_with_a_living_member_stays(tmp_path: Path) -> None:
    with shmspace.open("busy", size="1M", directory=tmp_path) as space:
        assert run("gc", "--directory", tmp_path, "--unused").out == "nothing to remove\n"
        assert shmspace.list_spaces(tmp_path) == ["busy"]
        space.destroy()


def test_a_space_that_got_a_member_meanwhile_stays(tmp_path: Path) -> None:
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    (found,) = leftover.find_leftovers(tmp_path, unused=True)
    with shmspace.open("idle", directory=tmp_path) as space:
        assert not leftover.remove_leftover(found)
        assert shmspace.list_spaces(tmp_path) == ["idle"]
        space.destroy()


def test_another_file_under_the_same_name_stays(tmp_path: Path) -> None:
    half_finished(tmp_path)
    (found,) = leftover.find_leftovers(tmp_path, unused=False)
    newer = tmp_path / "newer"
    newer.write_bytes(b"somebody else's")
    newer.rename(found.path)
    assert not leftover.remove_leftover(found)
    assert found.path.read_bytes() == b"somebody else's"


def test_strangers_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "shmspace.junk").write_bytes(b"junk" * 5000)
    (tmp_path / "other").write_bytes(bytes(100))
    (tmp_path / ".shmspace.d.x.tmp").mkdir()
    (tmp_path / ".shmspace.l.x.tmp").symlink_to("other")
    assert run("gc", "--directory", tmp_path, "--unused").out == "nothing to remove\n"
    assert len(list(tmp_path.iterdir())) == 4


def test_what_cannot_be_removed_is_told_and_the_exit_code_is_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def refuse(found: leftover.Leftover) -> bool:
        raise PermissionError("not yours")

    path = half_finished(tmp_path)
    monkeypatch.setattr("shmspace.cli.gc.remove_leftover", refuse)
    assert main(["gc", "--directory", str(tmp_path)]) == 1
    assert f"could not remove {path}: not yours" in capsys.readouterr().out
    assert main(["gc", "--directory", str(tmp_path), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert [(found["path"], found["error"]) for found in document["refused"]] == [(str(path), "not yours")]
