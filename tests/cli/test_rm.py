"""`shmspace rm`."""

from __future__ import annotations

from pathlib import Path

import pytest

import shmspace
from tests.cli.shell import run
from tests.helpers.peer_wait import blocked


def test_a_space_is_removed_for_everybody(space: shmspace.Space) -> None:
    waiting = blocked(space.channel("jobs").recv)
    removed = run("rm", space.name)
    assert (removed.code, removed.err) == (0, "")
    assert removed.out == f"{space.name}: removed while 1 member was attached\n"
    with pytest.raises(shmspace.Closed):
        waiting.result()
    assert space.name not in shmspace.list_spaces()


def test_a_space_that_nobody_uses_is_removed(tmp_path: Path) -> None:
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    removed = run("rm", "idle", "--directory", tmp_path, "--json")
    assert (removed.code, removed.document) == (0, {"name": "idle", "members": 0})
    assert list(tmp_path.iterdir()) == []


def test_removing_twice_is_refused(tmp_path: Path) -> None:
    shmspace.open("idle", size="1M", directory=tmp_path).close()
    assert run("rm", "idle", "--directory", tmp_path).code == 0
    assert run("rm", "idle", "--directory", tmp_path).code == 1
