"""`LogHandler`: lines of many processes in one log."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer

LINES = 300


@pytest.fixture
def log(space: shmspace.Space) -> shmspace.Log:
    return space.log("lines", segment_size=5000)


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    made = logging.getLogger("shmspace-test")
    made.setLevel(logging.DEBUG)
    made.propagate = False
    yield made
    for handler in list(made.handlers):
        made.removeHandler(handler)


def data(log: shmspace.Log) -> list[Any]:
    return [record.data for record in log.consume(shmspace.OLDEST, 100_000)[1]]


def test_a_line_has_its_text_its_name_and_its_time(log: shmspace.Log, logger: logging.Logger) -> None:
    handler = shmspace.LogHandler(log)
    handler.setFormatter(logging.Formatter("%(levelname)s %(message)s"))
    logger.addHandler(handler)
    before = time.time_ns() - 1000  # the clock of `logging` has microseconds
    logger.warning("disk %d %% full: %s", 93, "é")
    record = log.read(shmspace.NEWEST)
    assert (record.data, record.key) == ("WARNING disk 93 % full: é".encode(), b"shmspace-test")
    assert before <= record.time <= time.time_ns()


def test_tracebacks_are_part_of_the_line(log: shmspace.Log, logger: logging.Logger) -> None:
    logger.addHandler(shmspace.LogHandler(log))
    try:
        raise ValueError("odd")
    except ValueError:
        logger.exception("it failed")
    (line,) = data(log)
    assert line.startswith(b"it failed\nTraceback")
    assert line.endswith(b"ValueError: odd")


def test_levels_below_its_own_are_left_out(log: shmspace.Log, logger: logging.Logger) -> None:
    logger.addHandler(shmspace.LogHandler(log, logging.ERROR))
    logger.info("no")
    logger.error("yes")
    assert data(log) == [b"yes"]


@pytest.mark.parametrize("codec", ["raw", "auto", "msgpack", "json"])
def test_every_codec_that_takes_text_will_do(space: shmspace.Space, logger: logging.Logger, codec: str) -> None:
    log = space.log("coded", codec=codec)
    logger.addHandler(shmspace.LogHandler(log))
    logger.info("hello")
    assert log.read(0).value in ("hello", b"hello")


@pytest.mark.parametrize("longest", [20, 70, 100, 300])
def test_a_line_that_is_too_long_is_cut(space: shmspace.Space, logger: logging.Logger, longest: int) -> None:
    log = space.log("short", max_record=longest, segment_size=10)
    handler = shmspace.LogHandler(log)
    logger.addHandler(handler)
    logger.info("%s", "é" * 500)
    record = log.read(0)
    assert record.data is not None
    assert len(record.data) + len(record.key or b"") <= longest
    assert record.data.decode().endswith(" [cut]")
    assert handler.dropped == 0


@pytest.mark.parametrize("end", ["close", "drop", "destroy"])
def test_lines_after_the_end_are_counted_and_raise_nothing(
    space: shmspace.Space, log: shmspace.Log, logger: logging.Logger, end: str
) -> None:
    handler = shmspace.LogHandler(log)
    logger.addHandler(handler)
    logger.info("there")
    {"close": log.close, "drop": log.drop, "destroy": space.destroy}[end]()
    logger.info("not there")
    logger.info("nor this")
    assert handler.dropped == 2


def test_a_stopped_process_in_the_middle_holds_nobody_up_for_long(
    space: shmspace.Space, log: shmspace.Log, logger: logging.Logger
) -> None:
    handler = shmspace.LogHandler(log, timeout=0.05)
    logger.addHandler(handler)
    with Peer(append_for_ever, space.name) as peer:
        peer.said()
        for _ in range(200):  # until it is stopped while it has the lock
            peer.stop()
            logger.info("hello")
            peer.resume()
            if handler.dropped:
                break
        peer.kill()
    assert data(log)[-1] is not None


def append_for_ever(talk: Any, name: str) -> None:
    with shmspace.open(name) as space:
        log = space.log("lines")
        log.append(b"first")
        talk.send("ready")
        while True:
            log.publish([b"x"] * 50)


def test_a_message_with_wrong_arguments_is_told_as_by_every_handler(
    log: shmspace.Log, capsys: pytest.CaptureFixture[str]
) -> None:
    record = logging.LogRecord("name", logging.INFO, "file", 1, "%d", ("no number",), None)
    shmspace.LogHandler(log).handle(record)
    assert "--- Logging error ---" in capsys.readouterr().err
    assert data(log) == []


def write_lines(log: shmspace.Log, number: int, ready: Any) -> None:
    logger = logging.getLogger(f"worker.{number}")
    logger.setLevel(logging.INFO)
    logger.addHandler(shmspace.LogHandler(log))
    for line in range(LINES):
        logger.info("%d", line)
    ready.set()
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_lines_of_processes_are_all_there_also_of_one_that_was_killed(log: shmspace.Log, method: str) -> None:
    context: Any = multiprocessing.get_context(method)
    ready = [context.Event() for _ in range(3)]
    workers = [context.Process(target=write_lines, args=(log, number, ready[number])) for number in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    records = log.consume(shmspace.OLDEST, 100_000)[1]
    for number in range(3):
        mine = [int(record.data or b"") for record in records if record.key == f"worker.{number}".encode()]
        assert mine == list(range(LINES))
    assert workers[0].exitcode == -signal.SIGKILL


def test_threads_share_a_handler(log: shmspace.Log, logger: logging.Logger) -> None:
    logger.addHandler(shmspace.LogHandler(log))

    def write() -> None:
        for _ in range(LINES):
            logger.info("x")

    threads = [threading.Thread(target=write) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(data(log)) == 4 * LINES
