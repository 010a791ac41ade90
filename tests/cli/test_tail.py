"""`shmspace tail`: it looks at messages and takes none."""

from __future__ import annotations

import json
import os
import re
import signal

import pytest

import shmspace
from tests.cli.shell import ended, run, start
from tests.helpers.peer_wait import until_stopped


@pytest.fixture
def news(space: shmspace.Space) -> shmspace.Channel:
    channel = space.channel("news", capacity=20, replay=20)
    channel.send_many([f"item {n}" for n in range(15)])
    return channel


def test_the_last_messages_are_printed(news: shmspace.Channel) -> None:
    seen = run("tail", news.space.name, "news")
    assert (seen.code, seen.err) == (0, "")
    assert seen.lines == [f"item {n}" for n in range(5, 15)]
    assert run("tail", news.space.name, "news", "-n", 2).lines == ["item 13", "item 14"]
    assert run("tail", news.space.name, "news", "-n", 0).lines == []
    assert len(run("tail", news.space.name, "news", "-n", 99).lines) == 15


def test_messages_are_lines_of_json_on_request(news: shmspace.Channel) -> None:
    news.send({"a": b"\xff"})
    (line,) = run("tail", news.space.name, "news", "-n", 1, "--json").lines
    assert json.loads(line) == {"a": {"base64": "/w=="}}


def test_looking_takes_nothing(news: shmspace.Channel) -> None:
    run("tail", news.space.name, "news")
    with news.reader() as reader:
        assert [reader.recv(timeout=0) for _ in range(15)] == [f"item {n}" for n in range(15)]


def test_a_channel_without_replay_has_nothing_from_before(space: shmspace.Space) -> None:
    quiet = space.channel("quiet", delivery="all")
    quiet.send("gone")
    seen = run("tail", space.name, "quiet")
    assert (seen.code, seen.out, seen.err) == (0, "", "")


def test_following_goes_on_to_the_end_of_the_stream(news: shmspace.Channel) -> None:
    with start("tail", news.space.name, "news", "-n", 1, "--follow") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "item 14\n"
        news.send("new")
        assert process.stdout.readline() == "new\n"
        news.shutdown()
        seen = ended(process)
    assert (seen.code, seen.out, seen.err) == (0, "", "")


def test_a_follower_that_stands_still_holds_nobody_up_and_tells_what_it_missed(news: shmspace.Channel) -> None:
    with start("tail", news.space.name, "news", "-n", 1, "--follow") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "item 14\n"
        os.kill(process.pid, signal.SIGSTOP)
        until_stopped(process.pid)
        for n in range(100):
            news.send(f"late {n}", timeout=5)
        news.shutdown()
        os.kill(process.pid, signal.SIGCONT)
        seen = ended(process)
    assert seen.code == 0
    missed = sum(int(count) for count in re.findall(r"^shmspace: (\d+) messages? missed", seen.err, re.MULTILINE))
    assert missed > 0
    assert seen.lines == [f"late {n}" for n in range(missed, 100)]


def test_a_channel_to_one_reader_is_refused_and_keeps_its_message(space: shmspace.Space) -> None:
    jobs = space.channel("jobs")
    jobs.send("x")
    refused = run("tail", space.name, "jobs")
    assert (refused.code, refused.out) == (1, "")
    assert f"shmspace recv {space.name} jobs" in refused.error
    assert jobs.recv(timeout=0) == "x"


def test_a_missing_channel_is_refused_and_not_made(news: shmspace.Channel) -> None:
    refused = run("tail", news.space.name, "nwes")
    assert refused.code == 1
    assert "'news'" in refused.error
    assert news.space.names("channel") == ["news"]


def test_ctrl_c_ends_following_quietly(news: shmspace.Channel) -> None:
    with start("tail", news.space.name, "news", "-n", 1, "--follow") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        interrupted = ended(process)
    assert (interrupted.code, interrupted.err) == (130, "")
