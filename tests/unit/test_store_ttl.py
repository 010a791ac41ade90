"""Keys with a time to live: there until then, gone afterwards, for everybody, in every way of looking.

Nothing here is about how soon a key is gone after its time, except that it is for whoever looks later than that.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked, until
from tests.helpers.store_model import by_key, drained, given

LONG_S = 3600.0
SOON_S = 0.05
GRAIN_S = 0.02  # clocks may be coarse


@pytest.fixture(params=[1, 16], ids=["one shard", "many shards"])
def store(space: shmspace.Space, request: pytest.FixtureRequest) -> shmspace.Store:
    return space.store("s", shards=request.param)


def let_pass(seconds: float) -> None:
    """Wait until so much time has passed, without looking at any key."""
    end = time.monotonic() + seconds + GRAIN_S
    until(lambda: time.monotonic() >= end, "time to pass")


def expired(store: shmspace.Store, key: str = "t/1", value: Any = 1) -> shmspace.Store:
    """A store in which the time of a key has come and nobody has looked since."""
    store.set(key, value, ttl=SOON_S)
    let_pass(SOON_S)
    return store


def is_gone(store: shmspace.Store, key: str) -> bool:
    return key not in store


# Before and after


def test_a_key_is_there_before_its_time(store: shmspace.Store) -> None:
    version = store.set("t/1", "value", ttl=LONG_S)
    entry = store.get("t/1")
    assert (entry.value, entry.version, entry.updated) == ("value", version, 0)
    assert (len(store), list(store), store.keys("t/*")) == (1, ["t/1"], ["t/1"])
    assert store.list("t/*") == [entry]


LOOKS: dict[str, tuple[Callable[[shmspace.Store], Any], Any]] = {
    "get": (lambda store: store.get("t/1", "absent"), "absent"),
    "in": (lambda store: "t/1" in store, False),
    "len": (len, 1),
    "iter": (list, ["stays"]),
    "keys": (lambda store: store.keys(), ["stays"]),
    "keys of a glob": (lambda store: store.keys("t/*"), []),
    "keys since": (lambda store: store.keys("t/*", since=0), []),
    "list": (lambda store: store.list("t/*"), []),
    "list the newest": (lambda store: store.list("t/*", order="desc", limit=1), []),
    "values": (lambda store: list(store.values()), ["stays"]),
    "items": (lambda store: list(store.items()), [("stays", "stays")]),
    "pop": (lambda store: store.pop("t/1", "absent"), "absent"),
    "setdefault": (lambda store: store.setdefault("t/1", "default"), "default"),
    "set if absent": (lambda store: store.set("t/1", "new", if_version=0) > 0, True),
    "delete of a glob": (lambda store: store.delete("t/*"), 0),
    "incr": (lambda store: store.incr("t/1", 5), 5),
    "patch": (lambda store: store.patch("t/1", {"a": 1}).value, {"a": 1}),
    "stat": (lambda store: (store.stat().keys, sum(store.stat().shards)), (1, 1)),
}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("value", [7, {"old": True}], ids=["number", "object"])
def test_whoever_looks_after_its_time_finds_no_key(store: shmspace.Store, look: str, value: Any) -> None:
    """Each way of looking is the first to look."""
    store["stays"] = "stays"
    call, expected = LOOKS[look]
    assert call(expired(store, value=value)) == expected


@pytest.mark.parametrize("look", ["get", "subscript", "delete", "del", "pop"])
def test_whoever_asks_for_it_after_its_time_is_refused(store: shmspace.Store, look: str) -> None:
    calls: dict[str, Callable[[str], Any]] = {
        "get": store.get,
        "subscript": store.__getitem__,
        "delete": store.delete,
        "del": store.__delitem__,
        "pop": store.pop,
    }
    expired(store)
    with pytest.raises(shmspace.NotFound):
        calls[look]("t/1")


def test_other_processes_find_no_key_either(space: shmspace.Space, store: shmspace.Store) -> None:
    with Puppet(space.name) as far:
        far.do("space.store", "s", keep="store")
        store.set("t/1", 1, ttl=SOON_S)
        far.do("store.set", "t/2", 2, ttl=SOON_S)
        let_pass(SOON_S)
        assert far.do("store.keys") == []
        assert store.keys() == []


def test_a_key_expires_though_its_writer_was_killed(space: shmspace.Space, store: shmspace.Store) -> None:
    with Puppet(space.name) as far:
        far.do("space.store", "s", keep="store")
        far.do("store.set", "t/1", 1, ttl=SOON_S)
        far.kill()
    until(partial(is_gone, store, "t/1"), "the key to expire")
    assert store.delete("*/*") == 0


def test_a_pushed_key_expires(store: shmspace.Store) -> None:
    kept, gone = store.push("t/*", "kept", ttl=LONG_S), store.push("t/*", "gone", ttl=SOON_S)
    until(partial(is_gone, store, gone), "the key to expire")
    assert store.keys("t/*") == [kept]


def test_the_version_of_an_expired_key_is_that_of_an_absent_one(store: shmspace.Store) -> None:
    version = store.set("t/1", 1, ttl=SOON_S)
    let_pass(SOON_S)
    with pytest.raises(shmspace.VersionMismatch) as refusal:
        store.set("t/1", 2, if_version=version)
    assert refusal.value.version == 0


def test_a_key_that_is_set_after_its_time_is_a_new_one(store: shmspace.Store) -> None:
    store["t/1"] = "old"
    first = store.get("t/1")
    expired(store)
    version = store.set("t/1", "new")
    entry = store.get("t/1")
    assert (entry.value, entry.updated, entry.version) == ("new", 0, version)
    assert entry.created > first.created
    assert entry.version > first.version


# What keeps it and what ends it


@pytest.mark.parametrize("way", ["set", "subscript", "update", "by its holder"])
def test_a_set_without_a_time_ends_it(store: shmspace.Store, way: str) -> None:
    store.set("t/1", "old", ttl=2 * SOON_S)
    with store.lock("t/1") as held:
        calls: dict[str, Callable[[], Any]] = {
            "set": lambda: store.set("t/1", "new"),
            "subscript": lambda: store.__setitem__("t/1", "new"),
            "update": lambda: store.update({"t/1": "new"}),
            "by its holder": lambda: held.set("new"),
        }
        calls[way]()
    let_pass(2 * SOON_S)
    assert store["t/1"] == "new"


def test_a_set_with_another_time_replaces_it(store: shmspace.Store) -> None:
    store.set("t/1", "old", ttl=SOON_S)
    store.set("t/1", "new", ttl=LONG_S)
    store.set("t/2", "old", ttl=LONG_S)
    store.set("t/2", "new", ttl=SOON_S)
    let_pass(SOON_S)
    assert dict(store.items()) == {"t/1": "new"}


CHANGES: dict[str, tuple[Any, Callable[[shmspace.Store], Any], Any]] = {
    "incr": (10, lambda store: store.incr("t/1"), 11),
    "patch": ({"a": 1}, lambda store: store.patch("t/1", {"b": 2}).value, {"a": 1, "b": 2}),
}


def changed_in_time(store: shmspace.Store, change: str) -> None:
    """Change a key that has a time; if that was over already, once more with a longer one."""
    value, call, expected = CHANGES[change]
    for seconds in (SOON_S, 0.5, 5.0):
        store.set("t/1", value, ttl=seconds)
        if call(store) == expected:
            return
    raise AssertionError("a key was gone before its time")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_keeps_its_time(store: shmspace.Store, change: str) -> None:
    changed_in_time(store, change)
    until(partial(is_gone, store, "t/1"), "the key to expire all the same")


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_of_a_key_with_no_time_gives_it_none(store: shmspace.Store, change: str) -> None:
    expired(store)
    _, call, _ = CHANGES[change]
    value = call(store)
    let_pass(2 * SOON_S)
    assert store["t/1"] == value


def test_a_key_that_was_removed_and_set_again_does_not_expire_with_the_old_one(store: shmspace.Store) -> None:
    for remove in (store.delete, store.__delitem__, lambda _: store.delete("t/*"), lambda _: store.clear()):
        store.set("t/1", "old", ttl=LONG_S)
        remove("t/1")
        store.set("t/1", "old", ttl=2 * SOON_S)
        store.pop("t/1", None)
        store["t/1"] = "new"
        let_pass(2 * SOON_S)
        assert store["t/1"] == "new"


def test_a_refused_set_leaves_the_time_alone(store: shmspace.Store) -> None:
    store.set("t/1", "old", ttl=2 * SOON_S)
    for _ in range(2):
        with pytest.raises(shmspace.VersionMismatch):
            store.set("t/1", "new", ttl=LONG_S, if_version=10**9)
        with pytest.raises(shmspace.CodecError):
            store.set("t/1", object(), ttl=LONG_S)
    until(partial(is_gone, store, "t/1"), "the key to expire")


# Events


def test_an_expiry_is_one_event_with_the_entry_that_went(store: shmspace.Store) -> None:
    with store.watch() as everything, store.watch("t/1") as one:
        version = store.set("t/1", "value", created=5000, updated=6000, ttl=SOON_S)
        entry = shmspace.Entry("t/1", "value", 5000, 6000, version)
        until(partial(is_gone, store, "t/1"), "the key to expire")
        for _ in range(3):
            store.get("t/1", None)
            store.delete("t/*")
        for watch in (everything, one):
            first, second = given(watch, 2)
            assert (first.op, first.key, first.entry) == ("set", "t/1", entry)
            assert (second.op, second.key, second.entry) == ("del", "t/1", entry)
            assert second.seq > first.seq


def test_a_watcher_that_waits_is_told_though_nobody_else_does_anything(store: shmspace.Store) -> None:
    with store.watch() as watch:
        store.set("t/1", "value", ttl=4 * SOON_S)
        assert watch.next(timeout=None).op == "set"
        call = Call(watch.next, timeout=60)
        event = call.result()
        assert (event.op, event.key, event.entry.value) == ("del", "t/1", "value")


def test_a_watcher_that_waits_already_is_told_of_a_key_that_comes_later(store: shmspace.Store) -> None:
    with store.watch("t/2") as watch:
        store.set("t/1", "long", ttl=LONG_S)
        call = blocked(watch.next, timeout=60)
        store.set("t/2", "short", ttl=SOON_S)
        assert call.result().op == "set"
        assert watch.next(timeout=60).op == "del"


def test_a_watcher_that_never_waits_is_told_in_the_end(store: shmspace.Store) -> None:
    with store.watch() as watch:
        store.set("t/1", "value", ttl=SOON_S)
        events: list[shmspace.Event] = []

        def came() -> bool:
            events.extend(drained(watch))
            return len(events) == 2

        until(came, "both events", 10)
    assert [event.op for event in events] == ["set", "del"]


def test_a_watcher_in_another_process_is_told(space: shmspace.Space, store: shmspace.Store) -> None:
    with Puppet(space.name) as far:
        far.do("space.store", "s", keep="store")
        far.do("store.watch", keep="watch")
        store.set("t/1", "value", ttl=SOON_S)
        assert [far.do("watch.next", timeout=60).op for _ in range(2)] == ["set", "del"]


def test_the_events_of_a_key_that_expires_and_comes_again_are_in_order(store: shmspace.Store) -> None:
    with store.watch("t/1") as watch:
        for number in range(5):
            expired(store, value=number)
        store["t/1"] = "last"
        events = [(event.op, event.entry.value) for event in given(watch, 11)]
    assert events == [(op, number) for number in range(5) for op in ("set", "del")] + [("set", "last")]


@pytest.mark.parametrize("way", ["delete", "glob", "clear", "set"])
def test_a_key_that_ended_otherwise_has_no_second_end(store: shmspace.Store, way: str) -> None:
    with store.watch() as watch:
        store.set("t/1", "value", ttl=LONG_S)
        store.set("t/1", "value", ttl=2 * SOON_S)
        if way == "set":
            store["t/1"] = "stays"
        else:
            {"delete": store.pop, "glob": lambda *_: store.delete("t/*"), "clear": lambda *_: store.clear()}[way](
                "t/1", None
            )
        before = [event.op for event in drained(watch)]
        let_pass(2 * SOON_S)
        store.set("t/2", "later", ttl=SOON_S)
        assert [(event.op, event.key) for event in given(watch, 2)] == [("set", "t/2"), ("del", "t/2")]
    assert before[:2] == ["set", "set"]
    assert before[2:] in ([["set"], ["del", "set"]] if way == "set" else [["del"]])  # a slow machine may be too late


def test_a_key_without_events_expires_without_one(space: shmspace.Space) -> None:
    store = space.store("s", shards=1, no_events=["t/*"])
    with store.watch() as watch:
        expired(store)
        expired(store, "another")
        assert [(event.op, event.key) for event in given(watch, 2)] == [("set", "another"), ("del", "another")]
        assert len(store) == 0


def test_very_many_keys_expire_each_with_one_event(space: shmspace.Space, store: shmspace.Store) -> None:
    with store.watch() as watch:
        for number in range(500):
            store.set(f"t/{number}", number, ttl=SOON_S)
        store["stays"] = True
        until(lambda: len(store) == 1, "all of them to expire")
        stories = by_key(given(watch, 1001))
    assert [event.op for event in stories.pop("stays")] == ["set"]
    assert {key: [event.op for event in story] for key, story in stories.items()} == {
        f"t/{number}": ["set", "del"] for number in range(500)
    }
    assert store.stat().keys == 1
    assert space.check() == []


def test_expired_keys_leave_no_memory_behind(space: shmspace.Space) -> None:
    """Their memory may be free a little later than they are gone, while somebody uses the store."""
    store = space.store("s", shards=1, feed=4)

    def fill(ttl: float | None) -> None:
        for number in range(200):
            store.set(f"t/{number}", bytes(2000), ttl=ttl)

    def used() -> int:
        store.delete("none/*")
        return space.stat().used

    fill(None)
    store.clear()
    before = used()
    for _ in range(3):
        fill(SOON_S)
        until(lambda: len(store) == 0, "all of them to expire")
        until(lambda: used() <= before, "their memory to be free", 10)


# Locks


def test_a_locked_key_expires_too(space: shmspace.Space, store: shmspace.Store) -> None:
    with Puppet(space.name) as far, store.watch("t/1") as watch:
        far.do("space.store", "s", keep="store")
        store.set("t/1", "value", ttl=4 * SOON_S)
        far.enter("store.lock", "t/1", keep="held")
        until(partial(is_gone, store, "t/1"), "the key to expire")
        assert far.do("store.get", "t/1", None) is None
        assert store.keys("t/*") == []
        assert [event.op for event in given(watch, 2)] == ["set", "del"]
        with pytest.raises(shmspace.Locked):
            store.set("t/1", "of another", timeout=0)
        far.do("held.set", "new")
        assert (store.get("t/1").value, store.get("t/1").updated) == ("new", 0)
        far.leave("held")
    assert store["t/1"] == "new"


def test_who_waits_for_the_lock_of_a_key_that_expires_meanwhile_finds_it_missing(store: shmspace.Store) -> None:
    def entry_of_holder() -> Any:
        with store.lock("t/1") as held:
            return held.entry

    with store.lock("t/1"):
        store.set("t/1", "value", ttl=SOON_S)
        call = blocked(entry_of_holder)
        let_pass(SOON_S)
    assert call.result() is None


def test_an_expired_key_can_be_locked_by_whoever_waits_for_a_stopped_holder_no_sooner(
    space: shmspace.Space, store: shmspace.Store
) -> None:
    with Puppet(space.name) as far:
        far.do("space.store", "s", keep="store")
        far.do("store.set", "t/1", "value", ttl=SOON_S)
        far.enter("store.lock", "t/1", keep="held")
        far.peer.stop()
        until(partial(is_gone, store, "t/1"), "the key to expire")
        with pytest.raises(shmspace.Locked):
            store.set("t/1", "another", timeout=SOON_S)
        far.peer.resume()
        far.leave("held")
    store.set("t/1", "another", timeout=0)


# Arguments


@pytest.mark.parametrize("ttl", [0, -1, -0.5, math.nan, 0.0])
def test_a_time_that_is_none_is_refused(store: shmspace.Store, ttl: float) -> None:
    with pytest.raises(ValueError, match="ttl"):
        store.set("t/1", 1, ttl=ttl)
    with pytest.raises(ValueError, match="ttl"):
        store.push("t/*", 1, ttl=ttl)
    assert len(store) == 0


@pytest.mark.parametrize("ttl", [1, 3600, 10**6, 0.5, 1e8])
def test_a_time_may_be_any_number_above_nothing(store: shmspace.Store, ttl: float) -> None:
    store.set("t/1", 1, ttl=ttl)
    assert store.get("t/1", None) is not None or ttl < 3600
