"""`shmspace recv`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import shmspace
from tests.cli.shell import ended, run, start
from tests.helpers.peer_wait import until


@pytest.fixture
def jobs(space: shmspace.Space) -> shmspace.Channel:
    channel = space.channel("jobs")
    channel.reader().close()
    return channel


def test_one_message_is_taken_and_printed(jobs: shmspace.Channel) -> None:
    jobs.send_many(["one", "two"])
    taken = run("recv", jobs.space.name, "jobs")
    assert (taken.code, taken.out, taken.err) == (0, "one\n", "")
    assert jobs.stat().waiting == 1


def test_as_many_as_asked_for_are_taken_in_order(jobs: shmspace.Channel) -> None:
    jobs.send_many(["a", b"b", b"\xff", [1, None], 7])
    taken = run("recv", jobs.space.name, "jobs", "-n", 5)
    assert taken.lines == ["a", "b", '{"base64": "/w=="}', "[1, null]", "7"]


def test_each_message_is_a_line_of_json_on_request(jobs: shmspace.Channel) -> None:
    jobs.send_many(["two\nlines", b"\xff", {"a": [1]}, b""])
    taken = run("recv", jobs.space.name, "jobs", "-n", 4, "--json")
    assert list(map(json.loads, taken.lines)) == ["two\nlines", {"base64": "/w=="}, {"a": [1]}, ""]


def test_what_recv_writes_as_json_send_reads(jobs: shmspace.Channel) -> None:
    values = ["two\nlines", b"\xff", {"a": [1, b"\xfe"]}, None]
    jobs.send_many(values)
    lines = run("recv", jobs.space.name, "jobs", "-n", 4, "--json").out
    assert run("send", jobs.space.name, "jobs", "--json", stdin=lines).code == 0
    assert [jobs.recv(timeout=0) for _ in values] == values


def test_an_empty_channel_is_refused_after_the_timeout(jobs: shmspace.Channel) -> None:
    refused = run("recv", jobs.space.name, "jobs", "--timeout", "0")
    assert (refused.code, refused.out) == (1, "")
    assert "nothing more within 0 s, after 0 of 1 message" in refused.error


def test_what_came_before_the_timeout_is_printed(jobs: shmspace.Channel) -> None:
    jobs.send("only")
    refused = run("recv", jobs.space.name, "jobs", "-n", 3, "--timeout", "0.05")
    assert (refused.code, refused.out) == (1, "only\n")
    assert "after 1 of 3 messages" in refused.error


def test_a_stream_that_ends_too_early_is_refused(jobs: shmspace.Channel) -> None:
    with jobs.writer() as writer:
        writer.send("only")
    refused = run("recv", jobs.space.name, "jobs", "-n", 3)
    assert (refused.code, refused.out) == (1, "only\n")
    assert "ended after 1 of 3 messages" in refused.error


def test_everything_up_to_the_end_of_the_stream(jobs: shmspace.Channel) -> None:
    with jobs.writer() as writer:
        writer.send_many(["a", "b", "c"])
    taken = run("recv", jobs.space.name, "jobs", "--all")
    assert (taken.code, taken.out, taken.err) == (0, "a\nb\nc\n", "")


def test_a_message_that_comes_later_is_waited_for_and_printed_at_once(jobs: shmspace.Channel) -> None:
    with start("recv", jobs.space.name, "jobs", "-n", 2) as process:
        until(lambda: jobs.stat().readers == 1, "recv to open its reader")
        jobs.send("first")
        assert process.stdout is not None
        assert process.stdout.readline() == "first\n"
        jobs.send("second")
        taken = ended(process)
    assert (taken.code, taken.out, taken.err) == (0, "second\n", "")


def test_a_missing_channel_is_refused_and_not_made(jobs: shmspace.Channel) -> None:
    refused = run("recv", jobs.space.name, "jbos", "--timeout", "0")
    assert refused.code == 1
    assert "'jbos'" in refused.error
    assert jobs.space.names("channel") == ["jobs"]


def test_space_and_channel_are_made_on_request(tmp_path: Path) -> None:
    assert run("recv", "new", "jobs", "--create", "--timeout", "0", "--directory", tmp_path).code == 1
    with shmspace.open("new", create=False, directory=tmp_path) as space:
        assert space.names("channel") == ["jobs"]
        space.destroy()


def test_a_channel_to_all_gives_what_is_sent_from_now_on(space: shmspace.Space) -> None:
    news = space.channel("news", delivery="all")
    news.send("before")
    with start("recv", space.name, "news") as process:
        until(lambda: news.stat().readers == 1, "recv to open its reader")
        news.send("after")
        assert ended(process).out == "after\n"
