"""`shmspace send`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import shmspace
from tests.cli.shell import run


def everything(channel: shmspace.Channel) -> list[Any]:
    """Take all that waits."""
    found = []
    while channel.stat().waiting:
        found.append(channel.recv(timeout=0))
    return found


@pytest.fixture
def jobs(space: shmspace.Space) -> shmspace.Channel:
    channel = space.channel("jobs")
    channel.reader().close()
    return channel


def test_each_argument_is_a_message_of_text(jobs: shmspace.Channel) -> None:
    sent = run("send", jobs.space.name, "jobs", "one", "", "two words", "grün")
    assert (sent.code, sent.out, sent.err) == (0, "", "")
    assert everything(jobs) == ["one", "", "two words", "grün"]


def test_each_line_of_standard_input_is_a_message(jobs: shmspace.Channel) -> None:
    sent = run("send", jobs.space.name, "jobs", stdin=b"one\n\ntwo words \n\xff\nlast")
    assert (sent.code, sent.out, sent.err) == (0, "", "")
    assert everything(jobs) == ["one", "", "two words ", b"\xff", "last"]


def test_a_value_may_begin_with_a_dash_after_two_dashes(jobs: shmspace.Channel) -> None:
    assert run("send", jobs.space.name, "jobs", "--", "--json", "-1").code == 0
    assert everything(jobs) == ["--json", "-1"]


def test_a_channel_of_bytes_gets_the_bytes_of_the_text(space: shmspace.Space) -> None:
    raw = space.channel("raw", codec="raw")
    raw.reader().close()
    assert run("send", space.name, "raw", "grün").code == 0
    assert everything(raw) == ["grün".encode()]


def test_values_are_parsed_as_json_on_request(jobs: shmspace.Channel) -> None:
    values = ["null", "1", '"text"', '[1, {"a": 2.5}]', '{"base64": "/wA="}']
    assert run("send", jobs.space.name, "jobs", "--json", *values).code == 0
    assert run("send", jobs.space.name, "jobs", "--json", stdin="[1]\n[2]\n").code == 0
    assert everything(jobs) == [None, 1, "text", [1, {"a": 2.5}], b"\xff\x00", [1], [2]]


def test_an_argument_that_is_not_json_is_misuse_and_nothing_is_sent(jobs: shmspace.Channel) -> None:
    misused = run("send", jobs.space.name, "jobs", "--json", "1", "nonsense")
    assert misused.code == 2
    assert "value 2 is not JSON" in misused.error
    assert everything(jobs) == []


def test_a_line_that_is_not_json_is_misuse_and_what_stood_before_it_is_sent(jobs: shmspace.Channel) -> None:
    misused = run("send", jobs.space.name, "jobs", "--json", stdin="1\nnonsense\n2\n")
    assert misused.code == 2
    assert "line 2 is not JSON" in misused.error
    assert everything(jobs) == [1]


def test_a_missing_channel_is_refused_and_not_made(jobs: shmspace.Channel) -> None:
    refused = run("send", jobs.space.name, "jbos", "x")
    assert refused.code == 1
    assert "'jbos'" in refused.error
    assert "'jobs'" in refused.error
    assert jobs.space.names("channel") == ["jobs"]


def test_space_and_channel_are_made_on_request(tmp_path: Path) -> None:
    assert run("send", "new", "jobs", "x", "--create", "--directory", tmp_path).code == 0
    with shmspace.open("new", create=False, directory=tmp_path) as space:
        assert everything(space.channel("jobs")) == ["x"]
        space.destroy()


def test_a_full_channel_is_refused_after_the_timeout_and_tells_how_far_it_came(space: shmspace.Space) -> None:
    small = space.channel("small", capacity=2)
    small.reader().close()
    refused = run("send", space.name, "small", "a", "b", "c", "--timeout", "0")
    assert refused.code == 1
    assert "2 messages before it went out" in refused.error
    assert everything(small) == ["a", "b"]


def test_a_message_that_is_too_large_is_refused(space: shmspace.Space) -> None:
    space.channel("small", max_message=100).reader().close()
    assert run("send", space.name, "small", stdin="x" * 1000).error


def test_a_channel_that_was_shut_down_is_refused(jobs: shmspace.Channel) -> None:
    jobs.shutdown()
    refused = run("send", jobs.space.name, "jobs", "x")
    assert (refused.code, refused.out) == (1, "")
    assert refused.error


def test_sending_ends_no_stream(jobs: shmspace.Channel) -> None:
    assert run("send", jobs.space.name, "jobs", "x").code == 0
    assert everything(jobs) == ["x"]
    with pytest.raises(shmspace.Empty):
        jobs.recv(timeout=0)
