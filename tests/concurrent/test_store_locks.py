"""Locks of keys among many processes: holders, waiters, deletes of globs, kills and stops.

Properties: while a key is locked nobody else writes it, reads go on, and whoever waits gets on when it is unlocked; the
lock of a dead holder passes on, and the next one is told so; that of a stopped one stays its own; no order of holders,
writers and deletes of globs ends with all of them waiting.

SHMSPACE_KILLS is the number of kills in all (default 100), SHMSPACE_SEED the seed to replay.
"""

from __future__ import annotations

import contextlib
import os
import random
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shmspace
from tests.helpers import scenario_store_work as work
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import Call, blocked
from tests.helpers.scenario_kills import Fleet, kill_while_working
from tests.helpers.store_model import drained

ALL_KILLS = int(os.environ.get("SHMSPACE_KILLS", "100"))
KILLS = max(1, ALL_KILLS // 5)
SHORT_S = 0.3
THREADS = 4


@pytest.fixture(params=[1, 16], ids=["one shard", "many shards"])
def store(space: shmspace.Space, request: pytest.FixtureRequest) -> shmspace.Store:
    store = space.store("l", shards=request.param)
    store.update({"k/1": "one", "k/2": "two", "other": "other"})
    return store


@contextlib.contextmanager
def puppets(space: shmspace.Space, count: int) -> Iterator[list[Puppet]]:
    """Processes that have the store as `store`."""
    with contextlib.ExitStack() as stack:
        found = [stack.enter_context(Puppet(space.name)) for _ in range(count)]
        for far in found:
            far.do("space.store", "l", keep="store")
        yield found


def take(store: shmspace.Store, key: str, timeout: float | None = None) -> tuple[Any, bool]:
    """What a holder finds: the value, and whether the previous one had died."""
    with store.lock(key, timeout) as held:
        return held.entry and held.entry.value, held.owner_died


# Everything finishes


def test_a_holder_a_writer_and_a_delete_of_a_glob_all_finish(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 3) as (holder, writer, deleter):
        holder.enter("store.lock", "k/1", keep="held")
        writer.begin("store.set", "k/1", "written").until_blocked()
        deleter.begin("store.delete", "k/*").until_blocked()
        holder.do("held.set", "held")
        holder.leave("held")
        writer.result()
        assert deleter.result() == 2
    assert store.get("k/2", None) is None
    assert store.pop("k/1", "written") == "written"  # or it was deleted after it was written
    assert list(store) == ["other"]


@pytest.mark.parametrize("call", ["store.set", "held.set"])
def test_a_holder_writes_while_a_delete_of_a_glob_waits_for_it(
    space: shmspace.Space, store: shmspace.Store, call: str
) -> None:
    with puppets(space, 2) as (holder, deleter):
        holder.enter("store.lock", "k/1", keep="held")
        deleter.begin("store.delete", "k/*").until_blocked()
        for number in range(10):
            holder.do(call, *([] if call == "held.set" else ["k/1"]), number)
        holder.leave("held")
        assert deleter.result() == 2
    assert list(store) == ["other"]


@pytest.mark.parametrize("glob", ["k/*", "*/2", None])
def test_a_holder_writes_other_keys_while_the_rest_waits_for_it(
    space: shmspace.Space, store: shmspace.Store, glob: str | None
) -> None:
    """Keys that nobody has locked are in the way of nobody, whatever the delete has come to."""
    with puppets(space, 2) as (holder, deleter):
        for key in ("k/1", "k/9", "x/2"):
            holder.enter("store.lock", key, keep=key)
        deleter.begin(*(["store.delete", glob] if glob else ["store.clear"])).until_blocked()
        for key in ("k/0", "k/2", "other", "new"):
            holder.do("store.set", key, "by the holder", timeout=10)
        pushed = holder.do("store.push", "k/*", "by the holder")
        for key in ("x/2", "k/9", "k/1"):
            holder.leave(key)
        deleter.result()
    left = {"k/*": ["new", "other"], "*/2": ["k/0", "k/1", pushed, "new", "other"], None: []}[glob]
    assert sorted(store) == sorted(left)


def test_deletes_of_globs_and_locks_in_any_order_finish(space: shmspace.Space, store: shmspace.Store) -> None:
    _, chance = seeded()

    def work_at_random(seed: float) -> None:
        own = random.Random(seed)
        for _ in range(150):
            way, key = own.randrange(6), f"k/{own.randrange(3)}"
            if way == 0:
                store.delete("k/*")
            elif way == 1:
                store.delete("*/1")
            elif way == 2:
                store.set(key, "set")
            elif way == 3:
                store.clear()
            else:
                with store.lock(key) as held:
                    held.set("held")
                    store.set("other", "written by a holder")

    for call in [Call(work_at_random, chance.random()) for _ in range(THREADS)]:
        call.result()
    assert set(store.values()) <= {"set", "held", "written by a holder"}


# Who waits and who does not


READS: dict[str, Callable[[shmspace.Store], Any]] = {
    "get": lambda store: store.get("k/1").value,
    "subscript": lambda store: store["k/1"],
    "in": lambda store: "k/1" in store,
    "list": lambda store: [entry.value for entry in store.list("k/*")],
    "keys": lambda store: store.keys("k/*"),
    "iter": lambda store: list(store),
    "len": lambda store: len(store),
    "items": lambda store: list(store.items()),
    "stat": lambda store: store.stat().keys,
}


@pytest.mark.parametrize("look", READS)
def test_reads_pass_a_lock_and_whoever_waits_for_it(space: shmspace.Space, store: shmspace.Store, look: str) -> None:
    before = READS[look](store)
    with puppets(space, 3) as (holder, writer, deleter):
        holder.enter("store.lock", "k/1", keep="held")
        assert READS[look](store) == before
        writer.begin("store.set", "k/1", "written").until_blocked()
        deleter.begin("store.clear").until_blocked()
        assert READS[look](store) == before
        holder.leave("held")
        writer.result()
        deleter.result()


def test_watchers_see_what_a_holder_writes_before_it_unlocks(store: shmspace.Store) -> None:
    with store.watch("k/1") as watch, store.lock("k/1") as held:
        held.set("held")
        held.delete()
        assert [(event.op, event.entry.value) for event in drained(watch)] == [("set", "held"), ("del", "held")]


WRITES: dict[str, Callable[[shmspace.Store], Any]] = {
    "set": lambda store: store.set("k/1", "written"),
    "subscript": lambda store: store.__setitem__("k/1", "written"),
    "set if": lambda store: store.set("k/1", "written", if_version=store.get("k/1").version),
    "incr": lambda store: store.incr("k/1"),
    "patch": lambda store: store.patch("k/1", {"written": True}),
    "delete": lambda store: store.delete("k/1"),
    "del": lambda store: store.__delitem__("k/1"),
    "pop": lambda store: store.pop("k/1"),
    "update": lambda store: store.update({"k/1": "written"}),
    "delete of a glob": lambda store: store.delete("*/1"),
    "clear": lambda store: store.clear(),
    "lock": lambda store: take(store, "k/1"),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("far_away", [True, False], ids=["other process", "other thread"])
def test_writes_wait_until_the_key_is_unlocked(
    space: shmspace.Space, store: shmspace.Store, write: str, far_away: bool
) -> None:
    store["k/1"] = 1
    with contextlib.ExitStack() as stack:
        if far_away:
            (holder,) = stack.enter_context(puppets(space, 1))
            holder.enter("store.lock", "k/1", keep="held")
            call = blocked(WRITES[write], store)
            assert store["k/1"] == 1
            holder.leave("held")
        else:
            with store.lock("k/1"):
                call = blocked(WRITES[write], store)
                assert store["k/1"] == 1
        call.result()


def test_other_keys_and_globs_do_not_wait(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 1) as (holder,):
        holder.enter("store.lock", "k/1", keep="held")
        store.set("k/2", "written", timeout=0)
        assert take(store, "k/2", 0) == ("written", False)
        assert store.delete("*/2") == 1
        assert store.delete("*") == 1
        assert store.delete("none/*") == 0
        holder.leave("held")
    assert list(store) == ["k/1"]


def test_a_key_that_is_missing_can_be_locked(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 1) as (holder,):
        holder.enter("store.lock", "k/new", keep="held")
        assert holder.look("held.entry") is None
        call = blocked(store.set, "k/new", "written")
        assert "k/new" not in store
        holder.leave("held")
        call.result()
    assert store["k/new"] == "written"


@pytest.mark.parametrize("timeout", [0, SHORT_S])
def test_a_writers_own_timeout_ends_in_locked_that_names_the_holder(
    space: shmspace.Space, store: shmspace.Store, timeout: float
) -> None:
    with puppets(space, 1) as (holder,):
        holder.enter("store.lock", "k/1", keep="held")
        calls = (lambda: store.set("k/1", "written", timeout=timeout), lambda: take(store, "k/1", timeout))
        for call in calls:
            with pytest.raises(shmspace.Locked) as refusal:
                call()
            assert [(found.pid, found.alive) for found in refusal.value.holders] == [(holder.pid, True)]
        holder.leave("held")
    assert store["k/1"] == "one"


# Death


def test_the_lock_of_a_killed_holder_passes_on_at_once(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 2) as (holder, waiter):
        holder.enter("store.lock", "k/1", keep="held")
        holder.do("held.set", "last")
        waiter.begin_enter("store.lock", "k/1", keep="held").until_blocked()
        mine = blocked(take, store, "k/1")
        holder.kill()
        waiter.result()
        died = waiter.look("held.owner_died")
        assert waiter.look("held.entry").value == "last"
        waiter.leave("held")
        assert mine.result() == ("last", not died)  # whoever came first was told, and only that one
    assert take(store, "k/1", 0) == ("last", False)


@pytest.mark.parametrize("write", [name for name in WRITES if name != "lock"])
def test_who_writes_gets_on_when_the_holder_is_killed(space: shmspace.Space, store: shmspace.Store, write: str) -> None:
    store["k/1"] = 1
    with puppets(space, 1) as (holder,):
        holder.enter("store.lock", "k/1", keep="held")
        call = blocked(WRITES[write], store)
        holder.kill()
        call.result()


def test_who_comes_after_the_death_is_told(space: shmspace.Space, store: shmspace.Store) -> None:
    for key in ("k/1", "k/new"):
        with puppets(space, 1) as (holder,):
            holder.enter("store.lock", key, keep="held")
            holder.kill()
        assert [take(store, key, 0)[1] for _ in range(2)] == [True, False]


def test_a_killed_waiter_is_in_nobodys_way(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 2) as (waiter, deleter), store.lock("k/1"):
        waiter.begin_enter("store.lock", "k/1", keep="held").until_blocked()
        deleter.begin("store.delete", "k/*").until_blocked()
        call = blocked(take, store, "k/1")
        waiter.kill()
        deleter.kill()
        store.set("k/2", "written", timeout=0)
    assert call.result() == ("one", False)
    assert store["k/2"] == "written"


# Stops


def test_a_stopped_holder_is_not_robbed(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 2) as (holder, waiter):
        holder.enter("store.lock", "k/1", keep="held")
        holder.peer.stop()
        waiter.begin("store.set", "k/1", "written").until_blocked()
        for _ in range(3):
            with pytest.raises(shmspace.Locked) as refusal:
                take(store, "k/1", SHORT_S)
            assert [(found.pid, found.alive) for found in refusal.value.holders] == [(holder.pid, True)]
            assert store["k/1"] == "one"
        with pytest.raises(shmspace.Locked):
            store.set("k/1", "written", timeout=SHORT_S)
        holder.peer.resume()
        assert holder.look("held.entry").value == "one"
        holder.do("held.set", "still held")
        assert store["k/1"] == "still held"
        holder.leave("held")
        waiter.result()
    assert take(store, "k/1", 0) == ("written", False)


def test_a_stopped_waiter_takes_its_turn_when_it_goes_on(space: shmspace.Space, store: shmspace.Store) -> None:
    with puppets(space, 1) as (waiter,):
        with store.lock("k/1"):
            waiter.begin_enter("store.lock", "k/1", keep="held").until_blocked()
            waiter.peer.stop()
        waiter.peer.resume()
        waiter.result()
        with pytest.raises(shmspace.Locked):
            take(store, "k/1", 0)
        waiter.leave("held")


# Many kills


def test_holders_are_killed_many_times_and_nobody_else_notices(space: shmspace.Space, tmp_path: Path) -> None:
    """Sums are right only if nobody writes between a holder's reading and its writing."""
    _, chance = seeded()
    before, stop, mine = space.stat().used, tmp_path / "stop", [0] * THREADS
    store = space.store("l")

    def add(thread: int) -> None:
        while not stop.exists():
            work.add_one(store)
            mine[thread] += 1

    with Nursery() as nursery:
        fleet = Fleet(nursery, tmp_path)
        fleet.add("adder", lambda number, path: (work.add_under_lock, space.name, path, number), 3)
        fleet.add("passer", lambda number, path: (work.write_past_the_lock, space.name, path, number), 1)
        calls = [Call(add, thread) for thread in range(THREADS)]

        def progress() -> int:
            return sum(book.stat().st_size for book in tmp_path.glob("adder-*")) // 8

        kill_while_working(fleet, chance, KILLS, ("adder", "passer"), progress)
        stop.touch()
        for call in calls:
            call.result()
        fleet.finish("adder")
        fleet.finish("passer")
    noted = [became for number in fleet.numbers("adder") for _, became in fleet.entries("adder", number)]
    assert len(noted) == len(set(noted))
    assert 0 <= store["k/sum"] - len(noted) - sum(mine) <= len(fleet.numbers("adder", killed=True))
    for number in fleet.numbers("passer"):
        entries = fleet.entries("passer", number)
        assert [became for _, became in entries] == list(range(1, len(entries) + 1))
    store.drop()
    store.close()  # what was dropped goes with the last handle
    assert space.check() == []
    assert space.stat().used == before


def test_a_process_of_many_waiting_threads_is_killed_many_times(space: shmspace.Space) -> None:
    _, chance = seeded()
    store = space.store("l")
    with Nursery() as nursery:
        for _ in range(max(1, KILLS // 4)):
            pid = nursery.start(work.add_in_threads, space.name, THREADS)
            target = store.get("k/sum").value + chance.randrange(1, 50) if "k/sum" in store else 1
            threads = [threading.Thread(target=add_up_to, args=(store, target)) for _ in range(2)]
            for thread in threads:
                thread.start()
            add_up_to(store, target)
            nursery.kill(pid)
            for thread in threads:
                thread.join()
            before = store["k/sum"]
            assert work.add_one(store) == before + 1


def test_the_lock_goes_on_though_each_holder_is_killed_before_many_who_wait(space: shmspace.Space) -> None:
    """As many wait as holders are killed, at most a thousand: each of those that are left gets it once."""
    threads = 5 if ALL_KILLS < 1000 else 50
    store, ends = space.store("l"), space.tuples("ends")
    kills, processes = max(1, ALL_KILLS), max(2, min(ALL_KILLS, 1000) // threads)
    with Nursery() as nursery, store.watch("k/held") as holders, store.watch("standing") as standing:
        for _ in range(processes):
            nursery.start(work.stand_in_line, space.name, threads)
        while next(standing).entry.value < processes * threads:
            pass
        for number in range(kills):
            pid, owner_died = next(holders).entry.value
            assert owner_died == (number > 0)
            nursery.start(work.stand_in_line, space.name, threads)
            nursery.kill(pid)
        ends.out("over", True)
        assert nursery.all_ended() == [0] * processes
    assert store["passes"] == kills + processes * threads


def add_up_to(store: shmspace.Store, target: int) -> None:
    while work.add_one(store) < target:
        pass
