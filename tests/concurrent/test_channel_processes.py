"""Many processes on one channel.

Properties: with delivery to one, every message that was sent comes out exactly once, whole, and a
consumer sees the messages of one producer in the order they were sent. With delivery to all, every
reader sees every message once, all in one and the same order. What is dropped is counted exactly.
"""

from __future__ import annotations

from pathlib import Path

import pytest

import shmspace
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_traffic import (
    STYLES,
    consume,
    consume_and_count_the_lost,
    entries,
    in_order,
    join_late,
    options_for,
    pass_on,
    per_producer,
    produce,
)

EACH = 4000


def ledgers(tmp_path: Path, kind: str, count: int) -> list[Path]:
    return [tmp_path / f"{kind}-{number}" for number in range(count)]


def run_producers(
    nursery: Nursery, channel: shmspace.Channel, books: list[Path], style: str
) -> list[tuple[int, int]]:
    """Let every producer send its share, then end the stream; what they sent, in all."""
    with channel.writer():
        pids = [
            nursery.start(produce, channel.space.name, book, number, EACH, style)
            for number, book in enumerate(books)
        ]
        assert [nursery.ended(pid) for pid in pids] == [0] * len(pids)
    return [entry for book in books for entry in entries(book)]


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(("producers", "consumers"), [(1, 1), (4, 1), (1, 4), (3, 3)])
def test_every_message_comes_out_exactly_once_and_in_its_producers_order(
    space: shmspace.Space, tmp_path: Path, producers: int, consumers: int, style: str
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", **options_for(chance))
    outs, ins = ledgers(tmp_path, "out", producers), ledgers(tmp_path, "in", consumers)
    with Nursery() as nursery, channel.writer():
        readers = [nursery.start(consume, space.name, book, style) for book in ins]
        sent = run_producers(nursery, channel, outs, style)
        channel.shutdown()
        assert [nursery.ended(pid) for pid in readers] == [0] * consumers
    taken = [entries(book) for book in ins]
    assert sorted(entry for book in taken for entry in book) == sorted(sent)
    assert len(sent) == producers * EACH
    assert all(in_order(book) for book in taken)


@pytest.mark.parametrize("style", STYLES)
def test_every_reader_of_all_sees_everything_in_one_order(
    space: shmspace.Space, tmp_path: Path, style: str
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", delivery="all", **options_for(chance))
    outs, ins = ledgers(tmp_path, "out", 3), ledgers(tmp_path, "in", 3)
    with Nursery() as nursery:
        readers = [nursery.start(consume, space.name, book, style) for book in ins]
        until(lambda: channel.stat().readers == 3, "the readers to open")
        sent = run_producers(nursery, channel, outs, style)
        assert [nursery.ended(pid) for pid in readers] == [0] * 3
    first, *others = [entries(book) for book in ins]
    assert sorted(first) == sorted(sent)
    assert in_order(first)
    assert all(other == first for other in others)


def test_a_reader_that_is_overtaken_knows_exactly_what_it_lost(
    space: shmspace.Space, tmp_path: Path
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", delivery="all", overflow="oldest", **options_for(chance))
    outs, ins = ledgers(tmp_path, "out", 2), ledgers(tmp_path, "in", 2)
    with Nursery() as nursery:
        readers = [nursery.start(consume_and_count_the_lost, space.name, book) for book in ins]
        until(lambda: channel.stat().readers == 2, "the readers to open")
        sent = run_producers(nursery, channel, outs, "single")
        assert [nursery.ended(pid) for pid in readers] == [0] * 2
    for book in map(entries, ins):
        seen = [entry for entry in book if entry[0] >= 0]
        assert in_order(seen)
        assert len(seen) + sum(per_producer(book).get(-1, [])) == len(sent)


def test_what_competing_readers_did_not_get_was_counted_as_dropped(
    space: shmspace.Space, tmp_path: Path
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", overflow="oldest", **options_for(chance))
    outs, ins = ledgers(tmp_path, "out", 3), ledgers(tmp_path, "in", 2)
    with Nursery() as nursery, channel.writer():
        readers = [nursery.start(consume, space.name, book, "single") for book in ins]
        sent = run_producers(nursery, channel, outs, "single")
        channel.shutdown()
        assert [nursery.ended(pid) for pid in readers] == [0] * 2
    taken = [entry for book in ins for entry in entries(book)]
    assert len(set(taken)) == len(taken)
    assert set(taken) <= set(sent)
    assert len(taken) + channel.stat().dropped == len(sent)


def test_a_latecomer_gets_the_last_ones_and_what_follows_without_gap_or_double(
    space: shmspace.Space, tmp_path: Path
) -> None:
    channel = space.channel("traffic", capacity=20, replay=5)
    out, late = tmp_path / "out", tmp_path / "late"
    with Nursery() as nursery:
        producer = nursery.start(produce, space.name, out, 0, -1, "single")
        until(lambda: channel.stat().sent > 10, "some history")
        assert nursery.ended(nursery.start(join_late, space.name, late, 100)) == 0
        (tmp_path / "stop").touch()
        assert nursery.ended(producer) == 0
    for seen in per_producer(entries(late)).values():
        assert seen == list(range(seen[0], seen[0] + 10))


def test_one_message_at_a_time_goes_round_a_ring_of_processes(space: shmspace.Space) -> None:
    """Hand-over between processes that all sleep most of the time: no wake-up is ever lost."""
    size, rounds = 4, 200
    with Nursery() as nursery:
        pids = [nursery.start(pass_on, space.name, place, size, rounds) for place in range(size)]
        space.channel("place-0").send(0)
        assert [nursery.ended(pid) for pid in pids] == [0] * size
    assert space.channel("place-0").recv(timeout=0) == size * rounds
