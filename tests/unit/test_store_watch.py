"""Watches: every event, in order, to everybody; gaps are told; they end when they are closed."""

from __future__ import annotations

import gc
import logging
import pickle
import threading
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from shmspace import Event, Watch
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked, until


def ready(watch: Watch) -> list[tuple[str, str, Any]]:
    """All events that it has without waiting, as op, key and value."""
    found: list[tuple[str, str, Any]] = []
    while True:
        try:
            event = watch.next(timeout=0)
        except shmspace.Empty:
            return found
        assert event.key == event.entry.key
        found.append((event.op, event.key, event.entry.value))


# Events


def test_an_event_says_what_became_of_a_key(space: shmspace.Space) -> None:
    st = space.store()
    with st.watch(timeout=0) as watch:
        assert iter(watch) is watch
        st["k"] = 1
        first = st.get("k")
        st["k"] = 2
        second = st.get("k")
        del st["k"]
        events = [next(watch) for _ in range(3)]
    assert [event[:3] for event in events] == [("set", "k", first), ("set", "k", second), ("del", "k", second)]
    assert events[0].seq < events[1].seq < events[2].seq
    assert pickle.loads(pickle.dumps(events)) == events
    assert {type(event) for event in pickle.loads(pickle.dumps(events))} == {Event}


def test_every_kind_of_change_gives_one_event_for_each_key(space: shmspace.Space) -> None:
    st = space.store()
    watch = st.watch()
    st.incr("n", 5)
    st.patch("p", {"a": 1})
    key = st.push("q/*", "x")
    st.setdefault("d", 1)
    st.setdefault("d", 2)
    st.pop("d")
    with st.lock("l") as held:
        held.set(1)
        held.delete()
    assert ready(watch) == [
        ("set", "n", 5),
        ("set", "p", {"a": 1}),
        ("set", key, "x"),
        ("set", "d", 1),
        ("del", "d", 1),
        ("set", "l", 1),
        ("del", "l", 1),
    ]
    assert st.delete("*") == 2
    assert sorted(ready(watch)) == [("del", "n", 5), ("del", "p", {"a": 1})]
    st.clear()
    assert ready(watch) == [("del", key, "x")]
    with pytest.raises(shmspace.NotFound):
        st.delete("none")
    with pytest.raises(shmspace.VersionMismatch):
        st.set("k", 1, if_version=7)
    assert ready(watch) == []


def test_expiry_gives_an_event_without_anybodys_help(space: shmspace.Space) -> None:
    st = space.store()
    with st.watch("k", timeout=30) as watch:
        st.set("k", "brief", ttl=0.05)
        assert [next(watch)[0], next(watch)[0]] == ["set", "del"]


@pytest.mark.parametrize("size", [0, 1, 150, 184, 200, 5000, 100_000])
def test_events_carry_values_of_any_size(space: shmspace.Space, size: int) -> None:
    st = space.store()
    watch = st.watch()
    for number in range(3):
        st["k" * (number * 300 + 1)] = bytes([number]) * size
    st.clear()
    found = ready(watch)
    assert [value for _, _, value in found[:3]] == [bytes([number]) * size for number in range(3)]
    assert sorted(found[3:]) == sorted(("del", key, value) for _, key, value in found[:3])


def test_silent_writes_and_no_events_keys_give_none(space: shmspace.Space) -> None:
    st = space.store(no_events=["tmp/*", "*/private", "exact"])
    watch = st.watch()
    st.set("a", 1, silent=True)
    st.push("q/*", 1, silent=True)
    st.delete("a", silent=True)
    st.delete("q/*", silent=True)
    for key in ("tmp/x", "me/private", "exact"):
        st[key] = 1
        st.incr(key)
    st["tmp/x/y"] = st["tmp"] = st["b"] = 1
    del st["exact"]
    st.clear(silent=True)
    assert ready(watch) == [("set", "tmp/x/y", 1), ("set", "tmp", 1), ("set", "b", 1)]


REMOVALS: dict[str, Callable[[shmspace.Store], Any]] = {
    "delete": lambda st: st.delete("k"),
    "glob": lambda st: st.delete("*"),
    "pop": lambda st: st.pop("k"),
    "clear": lambda st: st.clear(),
}


@pytest.mark.parametrize("remove", REMOVALS)
def test_the_first_event_of_a_store_may_be_a_removal(space: shmspace.Space, remove: str) -> None:
    st = space.store()
    st.set("k", "quiet", silent=True)
    watch = st.watch()
    REMOVALS[remove](st)
    assert ready(watch) == [("del", "k", "quiet")]


@pytest.mark.parametrize("silent", [True, False])
def test_the_first_event_of_a_store_may_be_an_expiry(space: shmspace.Space, silent: bool) -> None:
    st = space.store(shards=1)
    st.set("k", "quiet", ttl=0.01, silent=True)
    watch = st.watch()
    until(lambda: "k" not in st)
    st.set("k", "new", silent=silent)
    assert ready(watch) == [("del", "k", "quiet"), ("set", "k", "new")][: 1 if silent else 2]


# What is watched


def test_a_glob_a_key_or_all_is_watched(space: shmspace.Space) -> None:
    st = space.store(shards=3)
    watches = [st.watch(glob) for glob in (None, "*", "a/*", "a/b", "*/b/*")]
    keys = ["a", "a/b", "a/c", "a/b/c", "b"]
    for key in keys:
        st[key] = 1
    assert [[key for _, key, _ in ready(watch)] for watch in watches] == [
        keys,
        ["a", "b"],
        ["a/b", "a/c"],
        ["a/b"],
        ["a/b/c"],
    ]


def test_every_watcher_sees_every_event_in_every_process(space: shmspace.Space) -> None:
    st = space.store()
    watches = [st.watch(timeout=60) for _ in range(3)]
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.do("st.watch", timeout=60, keep="watch")
        st["here"] = 1
        far.do("st.set", "there", 2)
        seen = [far.do("watch.next") for _ in range(2)]
    assert [event.key for event in seen] == ["here", "there"]
    for watch in watches:
        assert [next(watch), next(watch)] == seen


def test_events_of_a_key_come_in_the_order_of_the_writes(space: shmspace.Space) -> None:
    st = space.store(feed=4096)
    watch = st.watch(timeout=60)
    writers = [Call(lambda: [st.incr("n") and st.incr(f"k/{number % 7}") for number in range(200)]) for _ in range(3)]
    seen: dict[str, list[int]] = {}
    for _ in range(1200):
        event = next(watch)
        seen.setdefault(event.key, []).append(event.entry.value)
    for call in writers:
        call.result()
    assert seen.pop("n") == list(range(1, 601))
    for values in seen.values():
        assert values == list(range(1, len(values) + 1))


# From where


def test_a_watch_begins_now_or_behind_an_event(space: shmspace.Space) -> None:
    st = space.store()
    all_of_it = st.watch()
    for number in range(10):
        st[f"k/{number}"] = number
    assert ready(st.watch()) == []
    events = [next(all_of_it) for _ in range(10)]
    assert all_of_it.last_seq == events[-1].seq
    for start in (0, 5, 9):
        later = st.watch("k/*", start=events[start].seq)
        assert [value for _, _, value in ready(later)] == list(range(start + 1, 10))
    assert [value for _, _, value in ready(st.watch(start=0))] == list(range(10))
    assert ready(st.watch(start=2**63)) == []


@pytest.mark.parametrize(
    ("start", "error"), [("then", ValueError), (-1, ValueError), (1.0, TypeError), (None, TypeError), (True, TypeError)]
)
def test_a_start_that_makes_no_sense_is_refused(space: shmspace.Space, start: Any, error: type[Exception]) -> None:
    with pytest.raises(error):
        space.store().watch(start=start)


# Gaps


def test_a_watcher_that_was_overtaken_is_told_and_goes_on(space: shmspace.Space) -> None:
    st = space.store(shards=1, feed=8)
    watch = st.watch()
    for number in range(20):
        st["k"] = number
    with pytest.raises(shmspace.Lagged) as gap:
        watch.next(timeout=0)
    found = [value for _, _, value in ready(watch)]
    assert found == list(range(20 - len(found), 20))
    assert gap.value.lost == watch.lost == 20 - len(found)
    assert len(found) >= 7
    st["k"] = 20
    assert ready(watch) == [("set", "k", 20)]


def test_a_start_that_is_forgotten_is_told_too(space: shmspace.Space) -> None:
    st = space.store(shards=1, feed=8)
    for number in range(20):
        st["k"] = number
    watch = st.watch(start=0)
    with pytest.raises(shmspace.Lagged) as gap:
        watch.next(timeout=0)
    assert gap.value.lost >= 1
    assert ready(watch)[-1] == ("set", "k", 19)


def test_writers_never_wait_for_watchers(space: shmspace.Space) -> None:
    st = space.store(feed=4)
    watches = [st.watch() for _ in range(5)]
    for number in range(2000):
        st.set("k", number, timeout=0)
    for watch in watches:
        with pytest.raises(shmspace.Lagged):
            watch.next(timeout=0)
        assert ready(watch)[-1] == ("set", "k", 1999)


# Waiting


def test_a_timeout_ends_in_empty_and_the_watch_goes_on(space: shmspace.Space) -> None:
    st = space.store()
    watch = st.watch(timeout=0.01)
    for _ in range(2):
        with pytest.raises(shmspace.Empty):
            next(watch)
    st["k"] = 1
    assert next(watch).key == "k"
    with pytest.raises(shmspace.Empty):
        st.watch(timeout=1000).next(timeout=0.01)
    with pytest.raises(ValueError, match="timeout"):
        watch.next(timeout=-1)


def test_an_event_wakes_who_waits(space: shmspace.Space) -> None:
    st = space.store()
    calls = [blocked(next, st.watch(glob)) for glob in (None, "k/*", "k/1")]
    st["k/1"] = 1
    assert [call.result().entry.value for call in calls] == [1, 1, 1]


def test_what_does_not_match_does_not_end_the_wait(space: shmspace.Space) -> None:
    st = space.store()
    call = blocked(next, st.watch("a/*"))
    st["b/1"] = st["a"] = 1
    call.until_blocked()
    st["a/1"] = 2
    assert call.result().key == "a/1"


def test_threads_that_share_a_watch_share_its_events(space: shmspace.Space) -> None:
    st = space.store()
    watch = st.watch()
    calls = [blocked(next, watch) for _ in range(4)]
    for number in range(4):
        st["k"] = number
    assert sorted(call.result().entry.value for call in calls) == [0, 1, 2, 3]


# The end


def test_closing_ends_the_iteration_of_who_waits(space: shmspace.Space) -> None:
    st = space.store()
    watch = st.watch()
    calls = [Call(list, watch).until_blocked() for _ in range(2)]
    st["k"] = 1
    until(lambda: watch.last_seq)
    watch.close()
    assert sum(len(call.result()) for call in calls) == 1
    watch.close()
    assert (watch.closed, list(watch), st.closed, "closed" in repr(watch)) == (True, [], False, True)
    with pytest.raises(StopIteration):
        watch.next(timeout=0)
    assert st.stat().watchers == 0


@pytest.mark.parametrize("end", ["close", "drop", "destroy"])
def test_the_end_of_the_store_closes_its_watches(space: shmspace.Space, end: str) -> None:
    st = space.store()
    watch = st.watch()
    call = blocked(next, watch)
    {"close": st.close, "drop": st.drop, "destroy": space.destroy}[end]()
    with pytest.raises(shmspace.Closed):
        call.result()
    for _ in range(2):
        with pytest.raises(shmspace.Closed):
            watch.next(timeout=0)


def test_a_watch_that_was_forgotten_is_not_counted_any_more(space: shmspace.Space) -> None:
    st = space.store()
    st.watch()
    gc.collect()
    assert st.stat().watchers == 0
    watch = st.watch()
    assert (st.stat().watchers, watch.closed) == (1, False)
    with pytest.raises(TypeError):
        pickle.dumps(watch)


# Callbacks


def test_a_callback_gets_the_events_on_a_thread_of_its_own(space: shmspace.Space) -> None:
    st = space.store()
    seen: list[tuple[str, int]] = []
    watch = st.watch("k/*", callback=lambda event: seen.append((event.key, threading.get_ident())))
    for number in range(5):
        st[f"k/{number}"] = number
    until(lambda: len(seen) == 5)
    watch.close()
    st["k/6"] = 1
    assert [key for key, _ in seen] == [f"k/{number}" for number in range(5)]
    assert len({thread for _, thread in seen} | {threading.get_ident()}) == 2


def test_what_a_callback_raises_is_logged_and_it_goes_on(
    space: shmspace.Space, caplog: pytest.LogCaptureFixture
) -> None:
    st = space.store()
    seen: list[int] = []

    def divide(event: Event) -> None:
        seen.append(10 // event.entry.value)

    with caplog.at_level(logging.ERROR, "shmspace"), st.watch(callback=divide):
        for number in (5, 0, 2):
            st["k"] = number
        until(lambda: len(seen) == 2)
    assert seen == [2, 5]
    assert "ZeroDivisionError" in caplog.text


def test_a_callback_may_close_its_watch(space: shmspace.Space) -> None:
    st = space.store()
    seen: list[str] = []

    def once(event: Event) -> None:
        seen.append(event.key)
        watch.close()

    watch = st.watch(callback=once)
    st["a"] = st["b"] = 1
    until(lambda: watch.closed)
    assert seen == ["a"]


@pytest.mark.parametrize("end", ["close", "drop"])
def test_a_callback_ends_with_its_store(space: shmspace.Space, end: str) -> None:
    st = space.store()
    watch = st.watch(callback=lambda event: None)
    getattr(st, end)()
    thread: Any = watch._thread
    thread.join(30)
    assert not thread.is_alive()


def test_a_callback_must_be_callable(space: shmspace.Space) -> None:
    bad: Any = 7
    with pytest.raises(TypeError):
        space.store().watch(callback=bad)
