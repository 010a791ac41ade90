"""`shmspace doctor` as a whole, and its probe of leftovers."""

from __future__ import annotations

from pathlib import Path

import pytest

import shmspace
from shmspace.cli.app import main
from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.leftovers import probe_leftovers
from tests.cli.shell import run
from tests.helpers.peer_puppet import Puppet

PROC = Path("/proc")


def test_every_finding_has_a_level_and_a_text() -> None:
    looked = run("doctor", "--want", "1M", "--json")
    document = looked.document
    assert looked.err == ""
    assert document["level"] in ("ok", "warn", "fail")
    assert looked.code == (1 if document["level"] == "fail" else 0)
    probes = {finding["probe"] for finding in document["findings"]}
    assert probes >= {
        *("size", "file system", "memory", "cgroup", "container", "directory", "files", "leftovers"),
        *("PID namespace", "kernel", "locks", "limits", "python", "start method", "RemoveIPC"),
    }
    for finding in document["findings"]:
        assert set(finding) == {"probe", "level", "found", "remedy"}
        assert finding["level"] in ("ok", "warn", "fail")
        assert finding["found"]


def test_people_get_a_line_per_finding_and_one_per_remedy() -> None:
    lines = run("doctor", "--want", "1M").lines
    assert all(line.startswith(("ok  ", "warn", "fail", "      ")) for line in lines)
    assert any(line.split()[:2] == ["ok", "kernel"] for line in lines)


def test_a_size_that_no_machine_has_fails_with_exit_code_1() -> None:
    looked = run("doctor", "--want", "3000T", "--json")
    assert looked.code == 1
    assert looked.document["level"] == "fail"
    size = next(finding for finding in looked.document["findings"] if finding["probe"] == "size")
    assert size["level"] == "fail"
    assert size["remedy"]


def test_another_directory_is_looked_at_instead(tmp_path: Path) -> None:
    document = run("doctor", "--want", "1M", "--directory", tmp_path, "--json").document
    size = next(finding for finding in document["findings"] if finding["probe"] == "size")
    assert str(tmp_path) in size["found"]
    assert "RemoveIPC" not in {finding["probe"] for finding in document["findings"]}


def test_a_probe_that_cannot_look_does_not_hide_the_others(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def broken(*arguments: object) -> object:
        raise OSError("nothing to see")

    monkeypatch.setattr("shmspace.cli.doctor.cgroup.probe_cgroup", broken)
    main(["doctor", "--want", "1M", "--directory", str(tmp_path)])
    lines = capsys.readouterr().out.splitlines()
    assert any("cgroup" in line and "could not be looked at: nothing to see" in line for line in lines)
    assert any(" kernel " in line for line in lines)


def test_a_clean_directory_has_no_leftovers(tmp_path: Path) -> None:
    (found,) = probe_leftovers(tmp_path, PROC)
    assert found.level == Level.OK


def test_half_made_regions_and_unused_spaces_are_told_with_what_removes_them(tmp_path: Path) -> None:
    (tmp_path / ".shmspace.jobs.a1b2c3.tmp").write_bytes(bytes(5000))
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    broken, unused = probe_leftovers(tmp_path, PROC)
    assert (broken.level, unused.level) == (Level.WARN, Level.WARN)
    assert broken.remedy == f"shmspace gc --directory {tmp_path}"
    assert unused.remedy == f"shmspace gc --unused --directory {tmp_path}"
    assert "idle" in unused.found
    assert run("gc", "--unused", "--directory", tmp_path).code == 0
    assert [found.level for found in probe_leftovers(tmp_path, PROC)] == [Level.OK]


def test_a_space_whose_member_is_stopped_is_no_leftover(tmp_path: Path) -> None:
    shmspace.open("busy", size="1M", directory=tmp_path).close()
    with Puppet("busy", directory=tmp_path) as far:
        far.peer.stop()
        assert [found.level for found in probe_leftovers(tmp_path, PROC)] == [Level.OK]
        far.kill()
    assert [found.level for found in probe_leftovers(tmp_path, PROC)] == [Level.WARN]
    shmspace.destroy("busy", directory=tmp_path)
