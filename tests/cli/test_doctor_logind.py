"""The doctor's probe of what systemd-logind removes at logout."""

from __future__ import annotations

from pathlib import Path

import pytest

from shmspace.cli.doctor.finding import Level
from shmspace.cli.doctor.logind import probe_remove_ipc, remove_ipc, system_uid_max

UID = 1000


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The tree of a machine that runs systemd."""
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    return tmp_path


def write(root: Path, path: str, text: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


def test_by_default_the_spaces_of_a_user_are_removed_at_logout(root: Path) -> None:
    found = probe_remove_ipc(root, UID, "ann")
    assert (found.level, found.remedy) == (Level.WARN, "loginctl enable-linger ann")


def test_a_machine_without_systemd_is_ok(tmp_path: Path) -> None:
    assert probe_remove_ipc(tmp_path, UID, "ann").level == Level.OK


def test_system_users_are_not_concerned(root: Path) -> None:
    assert probe_remove_ipc(root, 0, "root").level == Level.OK
    assert probe_remove_ipc(root, 999, "daemon").level == Level.OK


def test_who_is_a_system_user_is_told_by_login_defs(root: Path) -> None:
    write(root, "etc/login.defs", "# SYS_UID_MAX 5\nUID_MIN 500\nSYS_UID_MAX   499\n")
    assert system_uid_max(root) == 499
    assert probe_remove_ipc(root, 500, "ann").level == Level.WARN


def test_a_user_who_lingers_is_ok(root: Path) -> None:
    write(root, "var/lib/systemd/linger/ann", "")
    assert probe_remove_ipc(root, UID, "ann").level == Level.OK
    assert probe_remove_ipc(root, UID, "bob").level == Level.WARN


def test_the_setting_off_is_ok(root: Path) -> None:
    write(root, "etc/systemd/logind.conf", "[Login]\nRemoveIPC=no\n")
    assert probe_remove_ipc(root, UID, "ann").level == Level.OK


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("[Login]\n#RemoveIPC=no\n", True),
        ("[Login]\n;RemoveIPC=no\n", True),
        ("[Login]\nRemoveIPC=no\n", False),
        ("[Login]\n  RemoveIPC = Off  \n", False),
        ("[Login]\nRemoveIPC=0\n", False),
        ("[Login]\nRemoveIPC=no\nRemoveIPC=yes\n", True),
        ("[Login]\nRemoveIPC=no\nRemoveIPC=\n", True),
        ("[Login]\nRemoveIPC=no\nRemoveIPC=perhaps\n", False),
        ("[Other]\nRemoveIPC=no\n", True),
        ("RemoveIPC=no\n", True),
        ("[Login]\nRemoveIPCs=no\n", True),
    ],
)
def test_a_file_is_read_as_systemd_reads_it(text: str, expected: bool, root: Path) -> None:
    write(root, "etc/systemd/logind.conf", text)
    assert remove_ipc(root) is expected


def test_a_drop_in_wins_over_the_main_file(root: Path) -> None:
    write(root, "etc/systemd/logind.conf", "[Login]\nRemoveIPC=yes\n")
    write(root, "usr/lib/systemd/logind.conf.d/50-x.conf", "[Login]\nRemoveIPC=no\n")
    assert remove_ipc(root) is False


def test_drop_ins_count_in_the_order_of_their_names_wherever_they_are(root: Path) -> None:
    write(root, "etc/systemd/logind.conf.d/10-a.conf", "[Login]\nRemoveIPC=no\n")
    write(root, "usr/lib/systemd/logind.conf.d/90-z.conf", "[Login]\nRemoveIPC=yes\n")
    assert remove_ipc(root) is True


def test_a_drop_in_hides_one_of_the_same_name_in_a_lower_place(root: Path) -> None:
    write(root, "usr/lib/systemd/logind.conf.d/50-x.conf", "[Login]\nRemoveIPC=no\n")
    write(root, "etc/systemd/logind.conf.d/50-x.conf", "")
    assert remove_ipc(root) is True


def test_only_the_highest_main_file_counts(root: Path) -> None:
    write(root, "usr/lib/systemd/logind.conf", "[Login]\nRemoveIPC=no\n")
    assert remove_ipc(root) is False
    write(root, "etc/systemd/logind.conf", "[Login]\n")
    assert remove_ipc(root) is True
