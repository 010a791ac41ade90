"""kill -9 for Python processes that append to a log and read it, at random moments.

Properties: what was appended before a call returned is there, at the offset that the call gave, whole, once and in the
order of its producer; of what was under way when its process died all is there or nothing. Who reads on sees every
record; nobody is held up; the indexes and the books agree with the records.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

import shmspace
from shmspace import OLDEST
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.scenario_kills import Fleet, kill_while_working
from tests.helpers.scenario_log import append, chase, follow, remove
from tests.helpers.scenario_traffic import BATCH, opened

KINDS_OF_WORK = 4
KILLS = max(1, int(os.environ.get("SHMSPACE_KILLS", "100")) // KINDS_OF_WORK)
ROUND = 10  # kills, before a new log is begun: this one must keep everything
ROOM = 200_000


def compare_books(fleet: Fleet, log: shmspace.Log, in_hand: int) -> None:
    """What the log has against what its producers noted; `in_hand`: how many records one call appends."""
    there: dict[int, tuple[int, int]] = {}
    for record in log.read_batch(0, ROOM):
        assert record.data is not None
        there[record.offset] = opened(record.data)
        assert record.key == b"%d" % there[record.offset][0]
    assert sorted(there) == list(range(log.next_offset))
    for producer in fleet.numbers("producer"):
        mine = [(offset, number) for offset, (who, number) in there.items() if who == producer]
        assert [number for _, number in mine] == list(range(len(mine)))
        noted = fleet.entries("producer", producer)
        assert mine[: len(noted)] == noted
        unnoted = in_hand if ("producer", producer) in fleet.killed else 0
        assert len(mine) - len(noted) <= unnoted
        if mine:
            assert log.offset_by_key(b"%d" % producer) == mine[-1][0]
    records = log.read_batch(0, ROOM)
    assert log.stat().nbytes == sum(log.size(record.data, record.key) for record in records)


@pytest.mark.parametrize("style", ["append", "publish"])
def test_no_record_is_lost_doubled_or_torn_when_appenders_are_killed(
    space_name: str, tmp_path: Path, style: str
) -> None:
    _, chance = seeded()
    for turn in range(0, KILLS, ROUND):
        place = tmp_path / str(turn)
        place.mkdir()
        with shmspace.open(space_name, size="1G") as space:
            kill_appenders(space, place, style, chance, min(ROUND, KILLS - turn))
            space.destroy()


def kill_appenders(space: shmspace.Space, place: Path, style: str, chance: random.Random, kills: int) -> None:
    """Let three append to a log that keeps everything, kill some, look at the log, compare the books."""
    log, name = space.log("traffic", segment_size=ROOM, key_index=True, time_index=True), space.name
    with Nursery() as nursery:
        fleet = Fleet(nursery, place)
        fleet.add("producer", lambda number, path: (append, name, path, number, -1, style), 3)
        kill_while_working(fleet, chance, kills, ("producer",), lambda: log.next_offset)
        (place / "stop").touch()
        fleet.finish("producer")
        total = log.next_offset
        assert 0 < total < ROOM
        for way in ("read_batch", "stream"):
            assert nursery.ended(nursery.start(follow, name, place / way, way, total)) == 0
    compare_books(fleet, log, BATCH if style == "publish" else 1)
    assert space.check() == []


def test_appenders_readers_and_those_who_delete_are_killed_and_the_log_goes_on(
    space: shmspace.Space, tmp_path: Path
) -> None:
    _, chance = seeded()
    log, name = space.log("traffic", segment_size=64, key_index=True, time_index=True), space.name
    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (append, name, path, number, -1, "publish"), 2)
        fleet.add("reader", lambda _, path: (chase, name, path, "among deletions", 1 << 62), 1)
        fleet.add("remover", lambda number, path: (remove, name, path, number), 1)
        kill_while_working(fleet, chance, KILLS, ("producer", "reader", "remover"), lambda: log.next_offset)
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        fleet.finish("remover")
        (reader,) = (pid for pid, (role, _) in fleet.alive.items() if role == "reader")
        nursery.kill(reader)
    log.append(b"alive", key=b"k", time=1 << 62)
    assert (log.read_by_key("k").data, log.read_by_time(1 << 62).data) == (b"alive", b"alive")
    records = log.consume(OLDEST, 1000)[1]
    numbers = log.stat()
    assert (numbers.records, numbers.nbytes) == (len(records), sum(log.size(one.data, one.key) for one in records))
    before = space.stat().used
    for turn in range(4):
        log.publish([bytes(20_000)] * 64)
        assert len(log.trim(count=1 if turn % 2 else 0).offsets) > 60
    assert log.trim(count=0).nbytes > 0 or log.range() is None
    assert space.stat().used <= before
    assert space.check() == []


def test_an_overtaken_reader_is_told_so_when_appenders_are_killed(space: shmspace.Space, tmp_path: Path) -> None:
    _, chance = seeded()
    log, name = space.log("traffic", segment_size=4, key_index=True), space.name
    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (append, name, path, number, -1, "publish"), 2)
        enough = 20 * KILLS
        for style in ("stream", "read", "consume"):
            fleet.add(style, lambda _, path, style=style: (chase, name, path, style, enough), 1)  # type: ignore[misc]
        kill_while_working(fleet, chance, KILLS, ("producer",), lambda: log.next_offset)
        for style in ("stream", "read", "consume"):
            fleet.finish(style)
        (tmp_path / "stop").touch()
        fleet.finish("producer")
    assert space.check() == []
