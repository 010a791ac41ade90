"""`shmspace get`, `set`, `list`, `del` and `watch` on stores."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import shmspace
from tests.cli.shell import ended, run, start
from tests.helpers.peer_wait import until


@pytest.fixture
def space(tmp_path: Path) -> str:
    with shmspace.open("jobs", size="2M", directory=str(tmp_path)) as space:
        st = space.store("conf")
        st["users/1"] = {"name": "Ada"}
        st["users/2"] = "ü"
        st["raw"] = b"\xff"
    return "jobs"


def test_get_prints_the_values_of_keys(space: str, tmp_path: Path) -> None:
    shown = run("get", space, "conf", "users/1", "users/2", "raw", "--directory", tmp_path)
    assert (shown.code, shown.lines, shown.err) == (0, ['{"name": "Ada"}', "ü", '{"base64": "/w=="}'], "")
    entry = json.loads(run("get", space, "conf", "users/1", "--json", "--directory", tmp_path).out)
    assert (entry["key"], entry["value"], entry["updated"]) == ("users/1", {"name": "Ada"}, 0)
    assert sorted(entry) == ["created", "key", "updated", "value", "version"]


def test_set_takes_the_value_from_the_argument_or_standard_input(space: str, tmp_path: Path) -> None:
    assert run("set", space, "conf", "a", "text", "--directory", tmp_path).code == 0
    assert run("set", space, "conf", "b", '{"n": 1}', "--json", "--directory", tmp_path).code == 0
    assert run("set", space, "conf", "c", "--directory", tmp_path, stdin="two\nlines\n").code == 0
    assert run("set", space, "conf", "d", "--directory", tmp_path, stdin=b"\xff\xfe").code == 0
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        st = opened.store("conf")
        assert [st[key] for key in "abcd"] == ["text", {"n": 1}, "two\nlines", b"\xff\xfe"]


def test_set_can_be_conditional_and_brief(space: str, tmp_path: Path) -> None:
    assert run("set", space, "conf", "new", "1", "--if-version", 0, "--directory", tmp_path).code == 0
    shown = run("set", space, "conf", "new", "2", "--if-version", 0, "--directory", tmp_path)
    assert (shown.code, "version" in shown.error) == (1, True)
    assert run("set", space, "conf", "brief", "2", "--ttl", 0.01, "--directory", tmp_path).code == 0
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        st = opened.store("conf")
        assert st["new"] == "1"
        until(lambda: "brief" not in st)


def test_list_prints_keys_and_values(space: str, tmp_path: Path) -> None:
    shown = run("list", space, "conf", "--directory", tmp_path)
    assert shown.lines == ['raw  {"base64": "/w=="}', 'users/1  {"name": "Ada"}', "users/2  ü"]
    assert run("list", space, "conf", "users/*", "--limit", 1, "--directory", tmp_path).lines == [shown.lines[1]]
    newest = run("list", space, "conf", "users/*", "--order", "desc", "--json", "--directory", tmp_path)
    assert [json.loads(line)["key"] for line in newest.lines] == ["users/2", "users/1"]
    oldest = run("list", space, "conf", "--order", "asc", "--json", "--directory", tmp_path)
    assert [json.loads(line)["key"] for line in oldest.lines] == ["users/1", "users/2", "raw"]
    assert run("list", space, "conf", "none/*", "--directory", tmp_path).lines == []


def test_del_removes_keys_and_what_a_glob_matches(space: str, tmp_path: Path) -> None:
    assert run("del", space, "conf", "users/*", "none/*", "--directory", tmp_path).lines == ["2 keys removed"]
    assert run("del", space, "conf", "raw", "--json", "--directory", tmp_path).document == {"removed": 1}
    shown = run("del", space, "conf", "raw", "--directory", tmp_path)
    assert (shown.code, "has no key 'raw'" in shown.error) == (1, True)


def test_watch_prints_events_as_they_come(space: str, tmp_path: Path) -> None:
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        st = opened.store("conf")
        seq = next(st.watch(start=0, timeout=9)).seq
        with start("watch", space, "conf", "users/*", "-n", 3, "--start", seq, "--directory", tmp_path) as process:
            st["other"] = st["users/3"] = 1
            st.delete("users/3")
            shown = ended(process)
        assert shown.code == 0
        assert [line.split("  ")[1:] for line in shown.lines] == [
            ["set", "users/2", "ü"],
            ["set", "users/3", "1"],
            ["del", "users/3", "1"],
        ]
    shown = run("watch", space, "conf", "--start", 0, "-n", 1, "--json", "--directory", tmp_path)
    event = json.loads(shown.out)
    assert (event["op"], event["key"], event["entry"]["value"]) == ("set", "users/1", {"name": "Ada"})


def test_a_watch_that_waits_in_vain_is_a_refusal(space: str, tmp_path: Path) -> None:
    shown = run("watch", space, "conf", "-n", 2, "--timeout", 0.05, "--directory", tmp_path)
    assert (shown.code, shown.lines) == (1, [])
    assert "store 'conf' gave nothing more within 0.05 s, after 0 of 2 events" in shown.error


@pytest.mark.parametrize(
    ("arguments", "code", "text"),
    [
        (("get", "jobs", "conf", "none"), 1, "has no key 'none'"),
        (("get", "jobs", "conv", "users/1"), 1, "has no store 'conv': it has 'conf'"),
        (("set", "jobs", "conv", "k", "v"), 1, "has no store 'conv'"),
        (("list", "jobs", "conv"), 1, "has no store 'conv'"),
        (("del", "jobs", "conv", "k"), 1, "has no store 'conv'"),
        (("watch", "jobs", "conv"), 1, "has no store 'conv'"),
        (("set", "jobs", "conf", "a//b", "v"), 1, "empty segment"),
        (("set", "jobs", "conf", "a*", "v"), 1, "is a glob"),
        (("list", "jobs", "conf", "plain"), 1, "no '*'"),
        (("set", "jobs", "conf", "k", "{", "--json"), 2, "is not JSON"),
        (("set", "jobs", "conf", "k", "v", "--ttl", "-1"), 2, "ttl"),
        (("del", "jobs", "conf"), 2, "KEY_OR_GLOB"),
        (("watch", "jobs", "conf", "-n", "0"), 2, "-n"),
    ],
)
def test_what_cannot_be_done_is_told_in_one_line(
    space: str, tmp_path: Path, arguments: tuple[str, ...], code: int, text: str
) -> None:
    shown = run(*arguments, "--directory", tmp_path)
    assert (shown.code, text in shown.error) == (code, True), shown.err
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened:
        assert (opened.names(), len(opened.store("conf"))) == (["conf"], 3)


def test_create_makes_what_is_missing(tmp_path: Path) -> None:
    assert run("set", "new", "conf", "k", "v", "--create", "--directory", tmp_path).code == 0
    assert run("get", "new", "conf", "k", "--directory", tmp_path).lines == ["v"]


def test_a_locked_key_is_a_refusal_after_the_timeout(space: str, tmp_path: Path) -> None:
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened, opened.store("conf").lock("raw"):
        for arguments in (("set", space, "conf", "raw", "x"), ("del", space, "conf", "*")):
            shown = run(*arguments, "--timeout", 0.05, "--directory", tmp_path)
            assert (shown.code, "lock was not free" in shown.error) == (1, True)


def test_stat_shows_the_numbers_of_a_store(space: str, tmp_path: Path) -> None:
    with shmspace.open(space, create=False, directory=str(tmp_path)) as opened, opened.store("conf").watch():
        document = run("stat", space, "conf", "--json", "--directory", tmp_path).document
        (structure,) = document["structures"]
        told = opened.store("conf").stat()
        assert structure["kind"] == "store"
        assert structure["stat"] == {**told._asdict(), "shards": len(told.shards)}
    assert "watchers" in run("stat", space, "--directory", tmp_path).out
