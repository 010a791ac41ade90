"""The command line as a whole: exit codes, errors in one line, signals, pipes, the missing extra."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import shmspace
from shmspace.cli.app import main
from tests.cli.shell import ended, environment, run, start
from tests.helpers.peer_wait import until

COMMANDS = ["check", "demo", "doctor", "gc", "ls", "members", "recv", "rm", "send", "stat", "tail"]


def attached(space: shmspace.Space, process: subprocess.Popen[str]) -> bool:
    return any(member.pid == process.pid for member in space.members())


def test_help_names_every_command_and_the_exit_codes() -> None:
    helped = run("--help")
    assert helped.code == 0
    assert [name for name in COMMANDS if f"  {name} " not in helped.out] == []
    assert "0 done, 1 refused or found problems, 2 misuse" in " ".join(helped.out.split())


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str) -> None:
    helped = run(command, "--help")
    assert (helped.code, helped.err) == (0, "")
    assert "--json" in helped.out


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("nonsense",),
        ("ls", "--nonsense"),
        ("ls", "extra"),
        ("ls", "--directory", "/nonexistent"),
        ("stat",),
        ("members",),
        ("check",),
        ("rm",),
        ("rm", "a", "b"),
        ("gc", "--older"),
        ("send", "space"),
        ("send", "space", "channel", "--timeout", "soon"),
        ("send", "space", "channel", "--timeout", "-1"),
        ("send", "space", "channel", "--timeout", "nan"),
        ("recv", "space", "channel", "--timeout", "inf"),
        ("recv", "space", "channel", "-n", "0"),
        ("recv", "space", "channel", "-n", "some"),
        ("tail", "space"),
        ("tail", "space", "channel", "-n", "-1"),
        ("doctor", "--want", "plenty"),
        ("demo", "--workers", "0"),
        ("demo", "--path", "/nonexistent"),
    ],
)
def test_misuse_is_one_line_and_exit_code_2(arguments: tuple[str, ...]) -> None:
    misused = run(*arguments)
    assert (misused.code, misused.out) == (2, "")
    assert "--help" in misused.error


@pytest.mark.parametrize("command", [("stat",), ("members",), ("check",), ("rm",)])
def test_a_name_that_no_space_can_have_is_misuse(command: tuple[str, ...]) -> None:
    misused = run(*command, "../etc/passwd")
    assert misused.code == 2
    assert "../etc/passwd" in misused.error


@pytest.mark.parametrize(
    "command",
    [("stat",), ("members",), ("check",), ("rm",), ("send", "jobs", "x"), ("recv", "jobs"), ("tail", "jobs")],
)
def test_a_space_that_is_not_there_is_refused(command: tuple[str, ...], space_name: str) -> None:
    refused = run(command[0], space_name, *command[1:])
    assert (refused.code, refused.out) == (1, "")
    assert space_name in refused.error
    assert space_name not in shmspace.list_spaces()


@pytest.mark.parametrize("command", [("stat",), ("members",), ("check",), ("send", "jobs", "x"), ("recv", "jobs")])
def test_a_file_that_is_no_space_is_refused(command: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "shmspace.junk").write_bytes(b"junk" * 5000)
    refused = run(command[0], "junk", *command[1:], "--directory", tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert "junk" in refused.error


def test_our_own_mistake_is_one_line_unless_the_traceback_is_asked_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(directory: object) -> object:
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr("shmspace.cli.ls.read_spaces", broken)
    monkeypatch.delenv("SHMSPACE_DEBUG", raising=False)
    assert main(["ls"]) == 1
    assert capsys.readouterr().err.startswith("shmspace: internal error: ZeroDivisionError: two lines (SHMSPACE_DEBUG")
    monkeypatch.setenv("SHMSPACE_DEBUG", "1")
    with pytest.raises(ZeroDivisionError):
        main(["ls"])


def test_without_the_extra_one_line_names_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "click.py").write_text("raise ModuleNotFoundError('no click', name='click')\n")
    path = environment()["PYTHONPATH"]
    refused = run("ls", env=environment(PYTHONPATH=f"{tmp_path}{os.pathsep}{path}"))
    assert (refused.code, refused.out) == (1, "")
    assert "pip install shmspace[cli]" in refused.error


def test_ctrl_c_ends_a_waiting_command_quietly_with_130(space: shmspace.Space) -> None:
    jobs = space.channel("jobs")
    jobs.reader().close()
    with start("recv", space.name, "jobs") as process:
        until(lambda: attached(space, process), "recv to attach")
        process.send_signal(signal.SIGINT)
        interrupted = ended(process)
    assert (interrupted.code, interrupted.out, interrupted.err) == (130, "", "")
    jobs.send("still here")
    assert jobs.recv(timeout=0) == "still here"


def test_a_reader_that_leaves_the_pipe_is_no_error(space: shmspace.Space) -> None:
    jobs = space.channel("jobs", capacity=1000)
    jobs.send_many(["x" * 1000] * 1000)
    with start("recv", space.name, "jobs", "-n", 1000) as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
        assert process.wait(60) == 141


def test_output_that_cannot_be_written_is_an_error_in_one_line(tmp_path: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "shmspace", "ls", "--directory", str(tmp_path)],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment(),
            timeout=60,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.startswith(b"shmspace: ")
    assert done.stderr.count(b"\n") == 1


def test_a_closed_standard_output_is_no_error(tmp_path: Path) -> None:
    command = f"exec {sys.executable} -m shmspace ls --directory {tmp_path} >&-"
    done = subprocess.run(["sh", "-c", command], stderr=subprocess.PIPE, env=environment(), timeout=60, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
