"""`shmspace put`, `get`, `out` and `take`."""

from __future__ import annotations

from pathlib import Path

import pytest

import shmspace
from tests.cli.shell import run


@pytest.fixture
def space(tmp_path: Path) -> str:
    with shmspace.open("jobs", size="1M", directory=str(tmp_path)) as space:
        space.queue("files")
        space.tuples("answers")
    return "jobs"


def test_what_was_put_comes_out_in_order(space: str, tmp_path: Path) -> None:
    assert run("put", space, "files", "a", "b", "ü", "--directory", tmp_path).code == 0
    shown = run("get", space, "files", "-n", 3, "--directory", tmp_path)
    assert (shown.code, shown.lines, shown.err) == (0, ["a", "b", "ü"], "")
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        assert opened.queue("files").unfinished_tasks == 0


def test_lines_of_standard_input_are_put(space: str, tmp_path: Path) -> None:
    assert run("put", space, "files", "--json", "--directory", tmp_path, stdin='{"n": 1}\n[2]\n').code == 0
    shown = run("get", space, "files", "-n", 2, "--json", "--directory", tmp_path)
    assert shown.lines == ['{"n": 1}', "[2]"]


def test_an_empty_queue_is_a_refusal_after_the_timeout(space: str, tmp_path: Path) -> None:
    run("put", space, "files", "a", "--directory", tmp_path)
    shown = run("get", space, "files", "-n", 2, "--timeout", 0.05, "--directory", tmp_path)
    assert (shown.code, shown.lines) == (1, ["a"])
    assert "gave nothing more within 0.05 s, after 1 of 2 values" in shown.err


def test_a_full_queue_says_how_many_went_in(tmp_path: Path) -> None:
    with shmspace.open("jobs", size="1M", directory=str(tmp_path)) as opened:
        opened.queue("small", maxsize=2)
    shown = run("put", "jobs", "small", "a", "b", "c", "--timeout", 0, "--directory", tmp_path)
    assert shown.code == 1
    assert "2 values before it went out" in shown.err


def test_dead_letters_come_out_too(tmp_path: Path) -> None:
    with shmspace.open("jobs", size="1M", directory=str(tmp_path)) as opened:
        queue = opened.queue("risky", max_deliveries=1)
        queue.put("bad")
        queue.lease().nack()
    shown = run("get", "jobs", "risky", "--dead", "--timeout", 0, "--directory", tmp_path)
    assert shown.lines == ["bad"]


def test_a_shut_down_queue_is_a_refusal(space: str, tmp_path: Path) -> None:
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        opened.queue("files").shutdown()
    for arguments in (("put", space, "files", "a"), ("get", space, "files")):
        shown = run(*arguments, "--directory", tmp_path)
        assert shown.code == 1
        assert "shut down" in shown.err


def test_a_key_gives_its_values_and_can_be_looked_at(space: str, tmp_path: Path) -> None:
    assert run("out", space, "answers", "reply/1", "1", "[2]", "--json", "--directory", tmp_path).code == 0
    assert run("take", space, "answers", "reply/1", "--read", "--directory", tmp_path).lines == ["1"]
    assert run("take", space, "answers", "reply/1", "-n", 2, "--directory", tmp_path).lines == ["1", "[2]"]
    shown = run("take", space, "answers", "reply/1", "--timeout", 0, "--directory", tmp_path)
    assert (shown.code, shown.lines) == (1, [])
    assert "key 'reply/1' of 'answers' gave nothing more" in shown.err


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("get", "jobs", "fyles"), "has no queue 'fyles': it has 'files'"),
        (("put", "jobs", "fyles", "a"), "has no queue 'fyles'"),
        (("take", "jobs", "answer", "k"), "has no tuples 'answer': it has 'answers'"),
        (("out", "jobs", "answer", "k", "v"), "has no tuples 'answer'"),
    ],
)
def test_a_misspelt_name_makes_nothing(
    space: str, tmp_path: Path, arguments: tuple[str, ...], text: str
) -> None:
    shown = run(*arguments, "--directory", tmp_path)
    assert shown.code == 1
    assert text in shown.err
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        assert opened.names() == ["answers", "files"]


def test_create_makes_what_is_missing(tmp_path: Path) -> None:
    assert run("put", "new", "files", "a", "--create", "--directory", tmp_path).code == 0
    assert run("out", "new", "bag", "k", "v", "--create", "--directory", tmp_path).code == 0
    with shmspace.open("new", create=False, directory=str(tmp_path)) as opened:
        assert (opened.queue("files").get(), opened.tuples("bag").take("k")) == ("a", "v")


def test_stat_shows_the_numbers_of_both(space: str, tmp_path: Path) -> None:
    run("put", space, "files", "a", "b", "--directory", tmp_path)
    run("out", space, "answers", "k", "v", "--directory", tmp_path)
    document = run("stat", space, "--json", "--directory", tmp_path).document
    structures = {found["kind"]: found["stat"] for found in document["structures"]}
    assert structures["queue"] == {"ready": 2, "leased": 0, "dead": 0, "nbytes": 4, "waiting": 0}
    assert structures["tuples"] == {"keys": 1, "entries": 1, "nbytes": 2, "waiting": 0}
