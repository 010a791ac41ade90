"""`shmspace demo`: the index by a pool of workers agrees with a plain count, whatever dies, and leaves nothing."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

import shmspace
from shmspace.layout import read_spaces
from tests.cli.shell import ended, run, start
from tests.cli.trees import grow, words_of
from tests.helpers.peer_wait import until, until_stopped


@pytest.fixture
def shm(tmp_path: Path) -> Path:
    """A directory for the region, so that leftovers are seen whoever else is at work."""
    path = tmp_path / "shm"
    path.mkdir()
    return path


@pytest.fixture
def small(tmp_path: Path) -> Path:
    return grow(tmp_path / "small", files=12, words=500)


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Enough to still be at work while a test does something to it."""
    return grow(tmp_path / "large", files=120, words=40_000)


def at_work(shm: Path) -> bool:
    """Tell whether results have begun to come."""
    for info in read_spaces(shm):
        for structure in info.structures:
            if structure.name == "results" and structure.stat["sent"] > 10:
                return True
    return False


@contextlib.contextmanager
def stopped(process: subprocess.Popen[str], shm: Path) -> Iterator[None]:
    """Stop the collector once results come: its workers soon wait for it, so nothing is over before the test acts."""
    until(lambda: at_work(shm), "results to come")
    process.send_signal(signal.SIGSTOP)
    try:
        until_stopped(process.pid)
        yield
    finally:
        process.send_signal(signal.SIGCONT)


def workers_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def test_both_counts_agree(small: Path, shm: Path) -> None:
    shown = run("demo", "--path", small, "--workers", 2, "--directory", shm, "--json")
    document = shown.document
    assert (shown.code, shown.err) == (0, "")
    assert (document["equal"], document["problems"], document["casualties"], document["lost"]) == (True, [], [], [])
    assert (document["files"], document["workers"], document["words"]) == (12, 2, 12 * 500)
    words = words_of(small)
    assert document["different_words"] == len(words)
    assert [count for _, count in document["most"]] == [count for _, count in words.most_common(5)]
    # For each file: its name, that it is begun, that it is done; and each worker says that it is ready.
    assert document["messages"] == 12 * 3 + 2
    assert list(shm.iterdir()) == []


def test_people_get_both_times_and_the_speed_up_in_plain_lines(small: Path, shm: Path) -> None:
    shown = run("demo", "--path", small, "--workers", 1, "--directory", shm)
    assert (shown.code, shown.err) == (0, "")
    assert shown.lines[0].startswith("counting the words of 12 files")
    assert [
        word
        for word in ("pool", "plain", "speed-up", "equal")
        if not any(line.startswith(f"{word} ") for line in shown.lines)
    ] == []
    assert "\x1b" not in shown.out


def test_more_workers_than_files_is_fine(tmp_path: Path, shm: Path) -> None:
    tree = grow(tmp_path / "tiny", files=1, words=10)
    document = run("demo", "--path", tree, "--workers", 6, "--directory", shm, "--json").document
    assert (document["equal"], document["words"]) == (True, 10)


def test_a_file_with_many_words_is_counted_whole(tmp_path: Path, shm: Path) -> None:
    tree = tmp_path / "wide"
    tree.mkdir()
    (tree / "wide.txt").write_text(" ".join(f"w{n}" for n in range(30_000)) + " " + "long" * 5000)
    document = run("demo", "--path", tree, "--workers", 1, "--directory", shm, "--json").document
    assert document["equal"]
    assert document["different_words"] >= 30_000


def test_a_killed_worker_is_replaced_and_nothing_is_lost(large: Path, shm: Path) -> None:
    shown = run("demo", "--path", large, "--workers", 2, "--directory", shm, "--kill", "--json")
    document = shown.document
    assert (shown.code, shown.err) == (0, "")
    assert (document["equal"], document["problems"]) == (True, [])
    (death,) = document["casualties"]
    assert death["asked"]
    assert death["successor"] == 3
    assert death["file"]
    assert document["lost"] == []
    assert document["words"] == 120 * 40_000
    assert list(shm.iterdir()) == []


def test_people_are_told_who_was_killed_and_that_nothing_is_lost(large: Path, shm: Path) -> None:
    shown = run("demo", "--path", large, "--workers", 2, "--directory", shm, "--kill")
    assert shown.code == 0
    (death,) = [line for line in shown.lines if line.startswith("death ")]
    (lost,) = [line for line in shown.lines if line.startswith("lost ")]
    assert "killed with SIGKILL while it counted folder" in death
    assert lost.split()[1].rstrip(":") == "nothing"
    assert any(line.startswith("equal ") and "left out" not in line for line in shown.lines)


def test_a_kill_that_found_nobody_at_work_is_a_problem(tmp_path: Path, shm: Path) -> None:
    tree = grow(tmp_path / "tiny", files=1, words=1)
    shown = run("demo", "--path", tree, "--workers", 1, "--directory", shm, "--kill", "--json")
    document = shown.document
    assert document["equal"]
    assert (shown.code, bool(document["problems"])) == ((1, True) if not document["casualties"] else (0, False))


def test_workers_that_die_unasked_are_replaced_and_that_is_a_problem(large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        with stopped(process, shm):
            for worker in workers_of(process):
                worker.kill()
        shown = ended(process)
    document = shown.document
    assert shown.code == 1
    assert document["equal"]
    assert len(document["casualties"]) == 2
    assert not any(death["asked"] for death in document["casualties"])
    assert document["lost"] == []
    assert document["words"] == 120 * 40_000


def test_it_ends_even_if_every_worker_is_killed_again_and_again(large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        until(lambda: at_work(shm), "results to come")
        while process.poll() is None:
            try:
                for worker in workers_of(process):
                    worker.kill()
            except psutil.NoSuchProcess:
                continue
            if not read_spaces(shm):
                break
            time.sleep(0.01)
        shown = ended(process)
    assert shown.code == 1
    document = shown.document
    assert document["equal"]
    assert len(document["casualties"]) == 2 + 4
    assert document["casualties"][-1]["successor"] is None


def test_a_file_that_somebody_else_took_is_found_to_be_lost(large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        with stopped(process, shm):
            (name,) = shmspace.list_spaces(shm)
            with shmspace.open(name, create=False, directory=shm) as space:
                stolen = space.queue("files").get(timeout=5)
        shown = ended(process)
    document = shown.document
    assert shown.code == 1
    assert document["lost"] == [stolen]
    assert document["equal"]


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
    ids=lambda value: str(value),
)
def test_a_signal_ends_it_quietly_and_leaves_nothing(number: signal.Signals, code: int, large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        with stopped(process, shm):
            workers = workers_of(process)
            if number == signal.SIGINT:
                os.killpg(process.pid, number)  # as a terminal does it: to the whole group
            else:
                process.send_signal(number)
        shown = ended(process)
    assert (shown.code, shown.out, shown.err) == (code, "", "")
    assert psutil.wait_procs(workers, timeout=10)[1] == []
    assert list(shm.iterdir()) == []


def test_workers_whose_collector_is_killed_leave_and_remove_the_space(large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        with stopped(process, shm):
            workers = workers_of(process)
            process.kill()
        shown = ended(process)
    assert (shown.code, shown.err) == (-signal.SIGKILL, "")
    assert psutil.wait_procs(workers, timeout=30)[1] == []
    assert list(shm.iterdir()) == []


def test_removing_its_space_ends_it_with_an_error_in_one_line(large: Path, shm: Path) -> None:
    with start("demo", "--path", large, "--workers", 2, "--directory", shm, "--json") as process:
        with stopped(process, shm):
            (name,) = shmspace.list_spaces(shm)
            shmspace.destroy(name, directory=shm)
        shown = ended(process)
    assert (shown.code, shown.out) == (1, "")
    assert shown.error
    assert list(shm.iterdir()) == []


def test_a_tree_without_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / "picture.png").write_bytes(b"\x89PNG\0\0")
    (tmp_path / "empty.txt").touch()
    refused = run("demo", "--path", tmp_path)
    assert (refused.code, refused.out) == (1, "")
    assert "no text" in refused.error
