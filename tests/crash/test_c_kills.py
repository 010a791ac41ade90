"""Working processes are killed at random moments: what they did is in the books, and nobody else is held up.

Four processes of C send to and receive from a channel of small capacity, or put into and take from a queue or a
tuple space with little room, in every style, or append to a log and read it, or change a store and watch it, and
one of them is killed and replaced again and again. SHMSPACE_KILLS says how often; SHMSPACE_SEED repeats a run's
choices (not its timing).
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.helpers.cbuild import crash_program, figures, run_crash_program

QUICK_KILLS = 150
LONG_KILLS = 1000
HANGS_US = 5_000_000


@pytest.fixture(scope="session")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return crash_program("kills", tmp_path_factory)


def kill_workers(program: Path, work: str, kills: int) -> None:
    """Kill that many of them; each call of the others must end long before it would count as hanging."""
    seed = os.environ.get("SHMSPACE_SEED", str(random.randrange(1 << 32)))
    print(f"SHMSPACE_SEED={seed}")
    report = run_crash_program(program, work, str(kills), seed)[-1]
    print(report)
    found = figures(report)
    assert found["kills"] == kills
    assert found["messages"] > kills
    assert found["recoveries"] > kills / 2
    assert found["blocked_us"] < HANGS_US


def test_each_message_is_taken_once_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "one", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


def test_each_reader_gets_all_messages_in_order_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "all", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


def test_each_value_of_a_queue_is_taken_once_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "queue", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


def test_each_value_of_a_tuple_space_is_taken_once_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "tuples", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


def test_each_record_of_a_log_is_read_in_order_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "log", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


def test_each_change_of_a_store_is_seen_once_whoever_is_killed(program: Path) -> None:
    kill_workers(program, "store", int(os.environ.get("SHMSPACE_KILLS", QUICK_KILLS)))


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("work", ["one", "all", "queue", "tuples", "log", "store"])
def test_the_books_balance_after_a_thousand_kills(work: str, program: Path) -> None:
    kill_workers(program, work, int(os.environ.get("SHMSPACE_KILLS", LONG_KILLS)))
