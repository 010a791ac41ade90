"""Many processes on one log.

Properties: every record is seen whole, once, in the order of the offsets, which is the order of each producer; nothing
is missing for who keeps up. Who is overtaken is told so, or told how many were lost, and never sees a torn record, one
that is mixed from two, or a purge in the middle of a batch.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

import shmspace
from shmspace import NEWEST, OLDEST
from tests.helpers.peer import Peer
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_log import STYLES, append, append_long, chase, fill_and_empty, follow
from tests.helpers.scenario_traffic import entries, opened

EACH = 1500


def run_appenders(nursery: Nursery, space: shmspace.Space, books: list[Path], each: int) -> dict[int, tuple[int, int]]:
    """Let every producer append its share; offset -> (producer, number), as they noted it."""
    pids = [
        nursery.start(append, space.name, book, number, each, ("append", "publish")[number % 2])
        for number, book in enumerate(books)
    ]
    assert [nursery.ended(pid) for pid in pids] == [0] * len(pids)
    noted = [(offset, (producer, number)) for producer, book in enumerate(books) for offset, number in entries(book)]
    assert len(noted) == len(dict(noted)) == len(books) * each
    assert sorted(dict(noted)) == list(range(len(noted)))
    return dict(noted)


@pytest.mark.parametrize("producers", [1, 3])
def test_every_record_is_seen_whole_in_order_without_gaps(space_name: str, tmp_path: Path, producers: int) -> None:
    total = producers * EACH
    with shmspace.open(space_name, size="64M") as space, Nursery() as nursery:
        log = space.log("traffic", segment_size=total, key_index=producers > 1)
        books = {style: tmp_path / style for style in STYLES}
        readers = [nursery.start(follow, space.name, book, style, total) for style, book in books.items()]
        noted = run_appenders(nursery, space, [tmp_path / f"out-{n}" for n in range(producers)], EACH)
        assert [nursery.ended(pid) for pid in readers] == [0] * len(readers)
        assert log.range() == (0, total - 1)
        for book in books.values():
            assert entries(book) == [(offset, noted[offset][1]) for offset in range(total)]


@pytest.mark.parametrize("segment_size", [1, 4, 50])
def test_who_is_overtaken_never_sees_a_torn_record(space_name: str, tmp_path: Path, segment_size: int) -> None:
    total = 3 * EACH
    with shmspace.open(space_name, size="64M") as space, Nursery() as nursery:
        log = space.log("traffic", segment_size=segment_size, key_index=True)
        books = [tmp_path / style for style in STYLES]
        # Those who publish append up to eight at once: more than two segments of the shortest.
        readers = [nursery.start(chase, space.name, book, book.name, total) for book in books]
        run_appenders(nursery, space, [tmp_path / f"out-{n}" for n in range(3)], EACH)
        assert [nursery.ended(pid) for pid in readers] == [0] * len(readers)
        assert log.range() == (((total - 1) // segment_size - 1) * segment_size, total - 1)
        for book in books:
            seen = entries(book)
            assert seen[-1][0] == total - 1
            assert len(seen) + sum(missed for _, missed in seen) == total


def test_the_newest_of_a_key_and_time_are_found_among_appends(space_name: str, tmp_path: Path) -> None:
    with shmspace.open(space_name, size="64M") as space, Nursery() as nursery:
        log = space.log("traffic", segment_size=8, key_index=True, time_index=True)
        pids = [nursery.start(append, space.name, tmp_path / f"out-{n}", n, -1, "publish") for n in range(2)]
        latest = {b"0": -1, b"1": -1}
        while min(latest.values()) < 500:
            for key, known in latest.items():
                try:
                    record = log.read_by_key(key)
                except shmspace.NotFound:  # the other one is faster
                    continue
                assert (record.key, record.offset >= known) == (key, True)
                try:
                    assert log.read_by_time(record.time).offset >= record.offset
                except shmspace.NotFound:
                    raise AssertionError("the log has younger ones, or this one") from None
                latest[key] = record.offset
        (tmp_path / "stop").touch()
        assert [nursery.ended(pid) for pid in pids] == [0, 0]


LOOKS: dict[str, Callable[[shmspace.Log], list[shmspace.Record]]] = {
    "read": lambda log: [log.read(OLDEST)],
    "read_batch": lambda log: log.read_batch(log.stat().first, 2),
    "consume": lambda log: log.consume(OLDEST, 2)[1],
    "stream": lambda log: [log.stream(OLDEST).next()],
    "time": lambda log: [log.read_by_time(0)],
}


@pytest.mark.parametrize("way", LOOKS)
def test_the_oldest_record_is_whole_or_gone(space: shmspace.Space, tmp_path: Path, way: str) -> None:
    """Its memory is used again while it is looked at, all the time."""
    log = space.log("traffic", segment_size=1, key_index=True, time_index=True)
    with Nursery() as nursery:
        appender = nursery.start(append_long, space.name, tmp_path / "stop")
        log.consume(0, timeout=None)
        found, last = 0, -1
        while found < 1500:
            with contextlib.suppress(shmspace.OutOfRange):
                for record in LOOKS[way](log):
                    assert record.data is not None
                    assert (opened(record.data), record.key) == ((0, record.offset % 16), b"0")
                    last, found = max(last, record.offset), found + 1
        (tmp_path / "stop").touch()
        assert nursery.ended(appender) == 0
    assert log.next_offset > last > 0


def test_who_is_stopped_while_it_deletes_holds_up_no_reader(space_name: str) -> None:
    """Wherever it stands: the ends of the log are records, or there is none."""
    _, chance = seeded()
    with shmspace.open(space_name, size="64M") as space:
        log = space.log("traffic", segment_size=20_000)
        with Peer(fill_and_empty, space_name) as peer, Puppet(space_name) as far:
            far.do("space.log", "traffic", keep="log")
            assert peer.said() == "ready"
            for _ in range(40):
                target = log.next_offset + chance.randrange(1, 10_000)
                until(partial(has_come_to, log, target), "work to go on")
                peer.stop()
                for end in (OLDEST, NEWEST):
                    with contextlib.suppress(shmspace.InvalidOffset):
                        assert far.do("log.read", end).data == b"x"
                assert {record.data for record in far.do("log.consume", OLDEST, 9)[1]} <= {b"x"}
                peer.resume()
            peer.tell("leave")


def has_come_to(log: shmspace.Log, offset: int) -> bool:
    return log.next_offset >= offset
