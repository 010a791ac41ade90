"""`shmspace check`."""

from __future__ import annotations

import json
from typing import NamedTuple

import pytest

import shmspace
from shmspace.cli.app import main
from tests.cli.shell import run


class Found(NamedTuple):
    structure: str
    what: str
    where: str


def damage(monkeypatch: pytest.MonkeyPatch) -> None:
    problems = [Found("jobs", "a block has two owners", "block 7"), Found("", "the tail is before the head", "header")]
    monkeypatch.setattr(shmspace.Space, "check", lambda self: problems)


def test_a_healthy_space_has_no_problems(space: shmspace.Space) -> None:
    space.channel("jobs").send("x")
    checked = run("check", space.name)
    assert (checked.code, checked.out, checked.err) == (0, f"{space.name}: no problems\n", "")
    assert run("check", space.name, "--json").document == {"name": space.name, "problems": []}


def test_each_problem_is_a_line_and_the_exit_code_is_1(
    space: shmspace.Space, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(monkeypatch)
    assert main(["check", space.name]) == 1
    printed = capsys.readouterr()
    assert printed.out.splitlines() == [
        "jobs: a block has two owners (block 7)",
        f"{space.name}: the tail is before the head (header)",
    ]
    assert printed.err == ""


def test_problems_as_a_document(
    space: shmspace.Space, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    damage(monkeypatch)
    assert main(["check", space.name, "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["problems"][0] == {"structure": "jobs", "what": "a block has two owners", "where": "block 7"}
