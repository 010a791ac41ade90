"""`shmspace members`."""

from __future__ import annotations

import os
from pathlib import Path

import shmspace
from tests.cli.shell import run


def test_the_processes_attached_are_shown_but_not_the_one_that_looks(space: shmspace.Space) -> None:
    looked = run("members", space.name, "--json")
    assert (looked.code, looked.err) == (0, "")
    (member,) = looked.document
    assert set(member) == {"pid", "alive", "since", "holds", "waits", "command"}
    assert (member["pid"], member["alive"], member["holds"], member["waits"]) == (os.getpid(), True, [], [])
    assert member["since"] > 0


def test_people_get_a_line_per_member(space: shmspace.Space) -> None:
    headings, row = run("members", space.name).lines
    assert headings.split() == ["pid", "alive", "since", "holds", "waits", "command"]
    assert row.split()[:2] == [str(os.getpid()), "yes"]


def test_what_a_member_holds_is_named(space: shmspace.Space) -> None:
    with space.lock("the-build"):
        assert "the-build" in run("members", space.name).out
        assert "the-build" in str(run("members", space.name, "--json").document[0]["holds"])


def test_a_space_without_members_has_an_empty_list(tmp_path: Path) -> None:
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    assert run("members", "idle", "--directory", tmp_path, "--json").document == []
