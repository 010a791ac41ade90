"""The doctor's probes of the place where regions are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.machine import Mount, container_of, mount_of
from shmspace.cli.doctor.shm import probe_container, probe_filesystem, probe_memory, probe_size

GIB = 1 << 30


def mounted(folder: Path, *lines: str) -> Path:
    """Write a mountinfo: each line is "POINT OPTIONS TYPE"."""
    path = folder / "mountinfo"
    rows = []
    for number, line in enumerate(lines, 20):
        point, options, kind = line.split()
        rows.append(f"{number} 1 0:{number} / {point} {options} shared:1 - {kind} none rw\n")
    path.write_text("".join(rows))
    return path


def statvfs(monkeypatch: pytest.MonkeyPatch, total: int, free: int) -> None:
    """Let every file system have this size."""
    found = os.statvfs_result((4096, 4096, total // 4096, free // 4096, free // 4096, 0, 0, 0, 0, 255))
    monkeypatch.setattr(os, "statvfs", lambda path: found)


def test_room_for_the_wanted_size_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statvfs(monkeypatch, 4 * GIB, 2 * GIB)
    found = probe_size(tmp_path, GIB, mounted(tmp_path, f"{tmp_path} rw tmpfs"), None)
    assert (found.level, found.remedy) == (Level.OK, None)
    assert "2G free of 4G" in found.found


@pytest.mark.parametrize(
    ("container", "remedy"),
    [
        (None, "mount -o remount,size=1G {}"),
        ("docker", "docker run --shm-size=1g ..."),
        ("podman", "podman run --shm-size=1g ..."),
        ("kubernetes", "sizeLimit: 1Gi"),
    ],
)
def test_a_file_system_that_is_too_small_fails_with_the_remedy_of_its_place(
    container: str | None, remedy: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statvfs(monkeypatch, 64 << 20, 64 << 20)
    found = probe_size(tmp_path, GIB, mounted(tmp_path, f"{tmp_path} rw tmpfs"), container)
    assert found.level == Level.FAIL
    assert "64M free of 64M" in found.found
    assert found.remedy is not None
    assert remedy.format(tmp_path) in found.remedy


def test_a_file_system_that_is_big_enough_but_full_is_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    statvfs(monkeypatch, 4 * GIB, GIB // 2)
    mountinfo = mounted(tmp_path, f"{tmp_path} rw tmpfs")
    assert probe_size(tmp_path, GIB, mountinfo, None).level == Level.WARN
    statvfs(monkeypatch, 4 * GIB, 1 << 20)
    assert probe_size(tmp_path, GIB, mountinfo, None).level == Level.FAIL


def test_a_tmpfs_without_a_limit_is_ok(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    statvfs(monkeypatch, 0, 0)
    assert probe_size(tmp_path, GIB, mounted(tmp_path, f"{tmp_path} rw tmpfs"), None).level == Level.OK


def test_a_directory_that_is_not_there_fails(tmp_path: Path) -> None:
    found = probe_size(tmp_path / "shm", GIB, tmp_path / "mountinfo", None)
    assert found.level == Level.FAIL
    assert found.remedy is not None
    assert f"mount -t tmpfs -o size=1G,mode=1777 tmpfs {tmp_path / 'shm'}" in found.remedy


@pytest.mark.parametrize(
    ("line", "level"),
    [
        ("{} rw tmpfs", Level.OK),
        ("{} rw,relatime ext4", Level.WARN),
        ("{} ro,nosuid tmpfs", Level.FAIL),
        ("{} rw nfs4", Level.FAIL),
        ("{} rw fuse.sshfs", Level.FAIL),
        ("/elsewhere rw tmpfs", Level.WARN),
    ],
)
def test_the_kind_of_file_system_is_judged(line: str, level: Level, tmp_path: Path) -> None:
    found = probe_filesystem(tmp_path, mounted(tmp_path, line.format(tmp_path)))
    assert found.level == level


def test_a_path_is_on_the_innermost_mount_and_of_two_there_on_the_later(tmp_path: Path) -> None:
    mountinfo = mounted(tmp_path, "/ rw ext4", f"{tmp_path} rw ext4", f"{tmp_path}/a rw ext4", f"{tmp_path}/a ro tmpfs")
    (tmp_path / "a").mkdir()
    assert mount_of(tmp_path / "a", mountinfo) == Mount(f"{tmp_path}/a", "tmpfs", True)
    assert mount_of(tmp_path / "ab", mountinfo) == Mount(str(tmp_path), "ext4", False)
    assert mount_of(Path("/"), mountinfo) == Mount("/", "ext4", False)


def test_a_mount_point_with_a_blank_is_understood(tmp_path: Path) -> None:
    (tmp_path / "a b").mkdir()
    mountinfo = mounted(tmp_path, f"{tmp_path}/a\\040b rw tmpfs")
    assert mount_of(tmp_path / "a b", mountinfo) == Mount(f"{tmp_path}/a b", "tmpfs", False)


@pytest.mark.parametrize("text", ["", "nonsense\n", "1 2 3 - \n", "\0\n"])
def test_a_mountinfo_that_makes_no_sense_is_a_warning(text: str, tmp_path: Path) -> None:
    (tmp_path / "mountinfo").write_text(text)
    assert probe_filesystem(tmp_path, tmp_path / "mountinfo").level == Level.WARN


@pytest.mark.parametrize(("kib", "level"), [(1 << 20, Level.OK), ((1 << 20) - 1, Level.WARN)])
def test_available_memory_is_compared_with_the_wanted_size(kib: int, level: Level, tmp_path: Path) -> None:
    (tmp_path / "meminfo").write_text(f"MemTotal:  99999999 kB\nMemAvailable:   {kib} kB\n")
    assert probe_memory(tmp_path / "meminfo", GIB).level == level


def test_memory_that_is_not_told_is_a_warning(tmp_path: Path) -> None:
    assert probe_memory(tmp_path / "meminfo", GIB).level == Level.WARN


@pytest.mark.parametrize(
    ("mark", "kind"),
    [(".dockerenv", "docker"), ("run/.containerenv", "podman"), ("var/run/secrets/kubernetes.io/x", "kubernetes")],
)
def test_a_container_is_recognised_and_told_who_shares_its_memory(mark: str, kind: str, tmp_path: Path) -> None:
    assert container_of(tmp_path) is None
    (tmp_path / mark).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / mark).touch()
    assert container_of(tmp_path) == kind
    found = probe_container(kind, Path("/dev/shm"))
    assert found.level == Level.OK
    assert "only" in found.found


def test_outside_of_containers_there_is_nothing_to_tell() -> None:
    assert probe_container(None, Path("/dev/shm")).remedy is None
