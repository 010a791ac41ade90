"""kill -9 of working processes at random instants.

Properties, whoever is killed wherever: a message whose send had returned comes out exactly once,
unless whoever took it was killed (then at most what one call had in hand is missing); no message
comes out twice, out of its producer's order, or torn; survivors are never held up and end well; a
lock has one holder at a time and tells the next one of a death; nothing is left behind.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import pytest

import shmspace
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_kills import (
    Fleet,
    create_and_destroy,
    has_reached,
    kill_while_working,
    lock_and_log,
)
from tests.helpers.scenario_traffic import (
    BATCH,
    STYLES,
    consume,
    entries,
    in_order,
    options_for,
    per_producer,
    produce,
)

KINDS_OF_WORK = 6
KILLS = max(1, int(os.environ.get("SHMSPACE_KILLS", "100")) // KINDS_OF_WORK)


def in_hand(style: str) -> int:
    """How many messages one call has in hand."""
    return BATCH if style == "many" else 1


def lines(log: Path) -> int:
    """About how many entries a ledger has, without reading it."""
    return log.stat().st_size // 8 if log.exists() else 0


def compare_books(fleet: Fleet, style: str) -> None:
    """The conservation of messages, as far as the guarantee goes."""
    taken = [fleet.entries("consumer", number) for number in fleet.numbers("consumer")]
    received = [entry for book in taken for entry in book]
    assert len(set(received)) == len(received), "a message came out twice"
    assert all(in_order(book) for book in taken)
    sent: set[tuple[int, int]] = set()
    got = {producer: set(numbers) for producer, numbers in per_producer(received).items()}
    for producer in fleet.numbers("producer"):
        noted = {number for _, number in fleet.entries("producer", producer)}
        sent |= {(producer, number) for number in noted}
        unnoted = in_hand(style) if ("producer", producer) in fleet.killed else 0
        assert got.pop(producer, set()) <= set(range(len(noted) + unnoted))
    assert got == {}, "messages of nobody came out"
    missing = sent - set(received)
    assert len(missing) <= in_hand(style) * len(fleet.numbers("consumer", killed=True)), missing


@pytest.mark.parametrize("style", STYLES)
def test_no_message_is_lost_doubled_or_torn_when_workers_are_killed(
    space: shmspace.Space, tmp_path: Path, style: str
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", **options_for(chance))
    name = space.name
    with Nursery() as nursery, channel.writer() as guard:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("producer", lambda number, path: (produce, name, path, number, -1, style), 2)
        fleet.add("consumer", lambda _, path: (consume, name, path, style), 2)
        kill_while_working(
            fleet, chance, KILLS, ("producer", "consumer"), lambda: channel.stat().received
        )
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        guard.close()
        fleet.finish("consumer")
    compare_books(fleet, style)
    assert space.check() == []


def test_every_surviving_reader_of_all_sees_everything_when_others_are_killed(
    space: shmspace.Space, tmp_path: Path
) -> None:
    _, chance = seeded()
    channel = space.channel("traffic", delivery="all", **options_for(chance))
    name = space.name
    with Nursery() as nursery, channel.writer() as guard:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("witness", lambda _, path: (consume, name, path, "single"), 1)
        until(lambda: channel.stat().readers == 1, "the witness to open its reader")
        fleet.add("reader", lambda _, path: (consume, name, path, "single"), 2)
        fleet.add("producer", lambda number, path: (produce, name, path, number, -1, "single"), 2)
        kill_while_working(
            fleet, chance, KILLS, ("producer", "reader"), lambda: channel.stat().sent
        )
        (tmp_path / "stop").touch()
        fleet.finish("producer")
        guard.close()
        fleet.finish("reader")
        fleet.finish("witness")
    (witness,) = fleet.numbers("witness")
    everything = fleet.entries("witness", witness)
    assert in_order(everything)
    for producer in fleet.numbers("producer"):
        assert set(fleet.entries("producer", producer)) <= set(everything)
    for number in fleet.numbers("reader", killed=False):
        seen = fleet.entries("reader", number)
        assert seen == everything[len(everything) - len(seen) :]
    for number in fleet.numbers("reader", killed=True):
        seen = fleet.entries("reader", number)
        start = everything.index(seen[0]) if seen else 0
        assert seen == everything[start : start + len(seen)]


def test_a_killed_holder_passes_its_lock_on_and_the_next_one_is_told(
    space: shmspace.Space, tmp_path: Path
) -> None:
    _, chance = seeded()
    log, stop, name = tmp_path / "log", tmp_path / "stop", space.name
    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("holder", lambda _, __: (lock_and_log, name, log, stop), 3)
        kill_while_working(fleet, chance, KILLS, ("holder",), lambda: lines(log))
        stop.touch()
        fleet.finish("holder")
    inside, deaths = 0, 0
    for pid, what in entries(log):
        if what == 0:
            assert inside == pid, "somebody left who was not inside"
            inside = 0
        else:
            assert not inside or what == 2, "two were inside, or the next one was not told"
            deaths += what == 2
            inside = pid
    assert deaths <= KILLS


def test_a_creator_killed_half_way_leaves_nothing_in_the_way(tmp_path: Path) -> None:
    _, chance = seeded()
    directory, log = tmp_path / "spaces", tmp_path / "log"
    directory.mkdir()
    with Nursery() as nursery:
        for _ in range(KILLS):
            pid = nursery.start(create_and_destroy, directory, log)
            target = lines(log) + chance.randrange(12)
            until(partial(has_reached, partial(lines, log), target), "some work to be done")
            nursery.kill(pid)
            with shmspace.open("s", size="1M", directory=directory) as space:
                space.channel("mine").send(b"x", timeout=0)
                assert space.check() == []
                space.destroy()
            assert os.listdir(directory) == []
