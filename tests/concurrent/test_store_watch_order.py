"""Watchers of a store that many processes write at once.

Properties: every watcher is given every event of its keys once, those of a key in the order in which it was written,
with numbers that rise; or it is told that it was overtaken, and by how many events at least. Who resumes after an event
is given exactly those that came after it. Watchers hold nobody up, and a dead one costs nothing.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import pytest

import shmspace
from shmspace import Event
from tests.helpers.peer import Peer
from tests.helpers.peer_nursery import Nursery
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_store_work import Books, Seen, watch_steadily, write_fresh_stores, write_steadily
from tests.helpers.store_model import by_key, by_seq, drained, matches

WRITERS = 4
EACH = 1000
ROOMY = 8192  # more events than there will be
TIGHT = 16
STOPS = 10


@pytest.fixture
def big_space(space_name: str) -> Iterator[shmspace.Space]:
    with shmspace.open(space_name, size="256M") as space:
        yield space


class Traffic:
    """Writers at work; the books of all of them when they are done."""

    def __init__(self, name: str, seed: int, stack: contextlib.ExitStack, each: int = EACH) -> None:
        self.peers = [stack.enter_context(Peer(write_steadily, name, number, seed, each)) for number in range(WRITERS)]
        assert [peer.said() for peer in self.peers] == ["ready"] * WRITERS
        for peer in self.peers:
            peer.tell("go")

    def books(self) -> Books:
        books = [peer.said() for peer in self.peers]
        return Books([row for book in books for row in book.written], sum(book.removed for book in books))


def watcher(stack: contextlib.ExitStack, name: str, glob: str | None = None, piece: int = 0) -> Peer:
    peer = stack.enter_context(Peer(watch_steadily, name, glob, piece))
    assert peer.said() == "ready"
    return peer


def check_the_story_of_a_key(events: Sequence[Event]) -> Any:
    """Entries follow upon each other as in a key that is written and removed; the last of them, if it is there."""
    present = None
    for event in events:
        if event.op == "del":
            assert event.entry == present
            present = None
            continue
        assert event.op == "set"
        assert event.entry.key == event.key
        if present is None:
            assert event.entry.updated == 0
        else:
            assert event.entry.created == present.created < event.entry.updated
            assert event.entry.version > present.version
        present = event.entry
    versions = [event.entry.version for event in events if event.op == "set"]
    assert versions == sorted(set(versions))
    return present


def check_all(events: Sequence[Event], books: Books, store: shmspace.Store) -> None:
    """These are all the events there were: nothing is missing, nothing is twice, nothing is mixed up."""
    written = [(event.key, event.entry.value) for event in events if event.op == "set"]
    assert sorted(map(repr, written)) == sorted(map(repr, books.written))
    assert sum(event.op == "del" for event in events) == books.removed
    present = {key: check_the_story_of_a_key(story) for key, story in by_key(events).items()}
    assert {key: entry for key, entry in present.items() if entry} == {key: store.get(key) for key in store}


def rises(events: Sequence[Event]) -> bool:
    return all(before.seq < after.seq for before, after in pairwise(events))


@pytest.mark.parametrize("shards", [1, 16])
def test_every_watcher_is_given_every_event_in_order(big_space: shmspace.Space, shards: int) -> None:
    seed, _ = seeded()
    store = big_space.store("w", shards=shards, feed=ROOMY)
    globs = (None, None, "k/*", "k/3", "*/count")
    called: list[Event] = []
    with contextlib.ExitStack() as stack:
        peers = [watcher(stack, big_space.name, glob) for glob in globs]
        mine = stack.enter_context(store.watch())
        stack.enter_context(store.watch("k/*", callback=called.append))
        books = Traffic(big_space.name, seed, stack).books()
        events = drained(mine)
        check_all(events, books, store)
        for glob, peer in zip(globs, peers, strict=True):
            seen: Seen = peer.ask("end")
            assert (seen.lost, seen.lags) == (0, 0)
            assert by_seq(seen.events) == [e for e in by_seq(events) if glob is None or matches(glob, e.key)]
            for story in by_key(seen.events).values():
                check_the_story_of_a_key(story)
        wanted = [event for event in by_seq(events) if matches("k/*", event.key)]
        until(lambda: len(called) >= len(wanted), "the callback to be called")
        assert by_seq(called) == wanted


@pytest.mark.parametrize("shards", [1, 16])
def test_the_numbers_of_what_a_watcher_is_given_rise(big_space: shmspace.Space, shards: int) -> None:
    seed, _ = seeded()
    store = big_space.store("w", shards=shards, feed=ROOMY)
    with contextlib.ExitStack() as stack:
        peer = watcher(stack, big_space.name)
        mine = stack.enter_context(store.watch())
        Traffic(big_space.name, seed, stack).books()
        assert rises(peer.ask("end").events)
        assert rises(drained(mine))


@pytest.mark.parametrize("shards", [1, 16])
def test_who_resumes_again_and_again_is_given_everything_once(big_space: shmspace.Space, shards: int) -> None:
    seed, _ = seeded()
    store = big_space.store("w", shards=shards, feed=ROOMY)
    with contextlib.ExitStack() as stack:
        peers = [watcher(stack, big_space.name, None, 7), watcher(stack, big_space.name, "k/*", 1)]
        mine = stack.enter_context(store.watch())
        books = Traffic(big_space.name, seed, stack).books()
        events = by_seq(drained(mine))
        check_all(events, books, store)
        assert by_seq(peers[0].ask("end").events) == events
        assert by_seq(peers[1].ask("end").events) == [event for event in events if matches("k/*", event.key)]


def test_the_first_events_of_a_store_are_given_too(big_space: shmspace.Space) -> None:
    """Many new stores, each written by all at once, and cleared of keys that nobody has."""
    turns, writers = 200, 3
    control = big_space.store("control")
    control.update({"turn": -1, "ready": 0, "done": 0})
    with Nursery() as nursery:
        pids = [nursery.start(write_fresh_stores, big_space.name, writers, n, turns) for n in range(writers)]
        for turn in range(turns):
            store = big_space.store(f"fresh-{turn}")
            until(partial(has_come_to, control, "ready", writers * (turn + 1)), "writers to be ready")
            with store.watch() as watch:
                control["turn"] = turn
                until(partial(has_come_to, control, "done", writers * (turn + 1)), "writers to be done")
                events = by_seq(drained(watch))
            assert sorted(event.entry.value for event in events) == [[w, n] for w in range(writers) for n in range(20)]
            store.drop()
            store.close()
        assert [nursery.ended(pid) for pid in pids] == [0] * writers


def has_come_to(control: shmspace.Store, key: str, value: int) -> bool:
    return bool(control[key] >= value)


def test_what_comes_after_any_event_can_be_had_again(big_space: shmspace.Space) -> None:
    seed, chance = seeded()
    store = big_space.store("w", feed=ROOMY)
    with contextlib.ExitStack() as stack:
        mine = stack.enter_context(store.watch())
        Traffic(big_space.name, seed, stack, 100).books()
        events = by_seq(drained(mine))
        far = stack.enter_context(Puppet(big_space.name))
        far.do("space.store", "w", keep="store")
        for place in (0, len(events) - 1, *(chance.randrange(len(events)) for _ in range(10))):
            with store.watch(start=events[place].seq) as again:
                assert by_seq(drained(again)) == events[place + 1 :]
            with store.watch("k/*", start=events[place].seq) as again:
                assert by_seq(drained(again)) == [e for e in events[place + 1 :] if matches("k/*", e.key)]
        far.do("store.watch", start=events[-3].seq, keep="again")
        assert [far.do("again.next", 0) for _ in range(2)] == events[-2:]


@pytest.mark.parametrize("shards", [1, 2])
def test_who_is_overtaken_is_told_by_how_many_at_least(big_space: shmspace.Space, shards: int) -> None:
    """Watchers are stopped now and then, so that they are; what they are given is in order all the same."""
    seed, _ = seeded()
    store = big_space.store("w", shards=shards, feed=TIGHT)
    with contextlib.ExitStack() as stack:
        globs = (None, "k/*")
        peers = [watcher(stack, big_space.name, glob) for glob in globs]
        traffic = Traffic(big_space.name, seed, stack)
        more = sum(stop_for_some_events(peer, store) for peer in peers * STOPS)
        books = traffic.books()
        total = len(books.written) + books.removed + more
        for glob, peer in zip(globs, peers, strict=True):
            seen: Seen = peer.ask("end")
            assert seen.lags > 0
            assert seen.lost >= seen.lags
            least = total if glob is None else sum(key.startswith("k/") for key, _ in books.written) + more
            assert least <= len(seen.events) + seen.lost
            assert seen.lost <= total
            check_what_is_left(seen.events, glob)


def stop_for_some_events(peer: Peer, store: shmspace.Store) -> int:
    """While it is stopped there are more events than are remembered; how many there were."""
    peer.stop()
    for number in range(5 * TIGHT):
        store.set("k/own", number)
        store.set("k/silent", number, silent=True)
    peer.resume()
    return 5 * TIGHT


def check_what_is_left(events: Sequence[Event], glob: str | None) -> None:
    by_seq(events)
    for key, story in by_key(events).items():
        assert glob is None or matches(glob, key)
        assert rises(story)
        versions = [event.entry.version for event in story if event.op == "set"]
        assert versions == sorted(set(versions))


def test_a_watcher_that_sleeps_is_told_once_and_goes_on_with_what_is_remembered(space: shmspace.Space) -> None:
    store = space.store("w", shards=1, feed=4)
    with store.watch() as slow, store.watch("k/*") as of_a_glob, Puppet(space.name) as far:
        far.do("space.store", "w", keep="store")
        for number in range(10):
            far.do("store.set", f"k/{number}", number)
        for watch in (slow, of_a_glob):
            with pytest.raises(shmspace.Lagged) as refusal:
                watch.next(timeout=0)
            assert refusal.value.lost == 6
            assert [event.entry.value for event in drained(watch)] == [6, 7, 8, 9]
        store["k/new"] = "new"
        assert [event.key for event in drained(slow)] == ["k/new"]


def test_who_resumes_after_what_is_forgotten_is_told_so(space: shmspace.Space) -> None:
    store = space.store("w", shards=1, feed=4)
    with store.watch() as watch:
        store["k/first"] = "first"
        (first,) = drained(watch)
    for number in range(10):
        store[f"k/{number}"] = number
    with store.watch(start=first.seq) as watch:
        with pytest.raises(shmspace.Lagged) as refusal:
            watch.next(timeout=0)
        assert 1 <= refusal.value.lost <= 6  # nobody need know how many came after a number of the past
        assert [event.entry.value for event in drained(watch)] == [6, 7, 8, 9]


def test_a_stopped_watcher_holds_no_writer_up(space: shmspace.Space) -> None:
    store = space.store("w", shards=1, feed=4)
    with contextlib.ExitStack() as stack:
        peer = watcher(stack, space.name)
        peer.stop()
        for number in range(100):
            store.set("k/0", number, timeout=0)
        peer.resume()
        seen = peer.ask("end")
    assert seen.lost + len(seen.events) == 100
    assert seen.events[-1].entry.value == 99


def test_a_killed_watcher_costs_nothing(space: shmspace.Space) -> None:
    _, chance = seeded()
    store = space.store("w", shards=1, feed=4)
    used = []
    for _ in range(6):
        kill_watchers(space, store, chance)
        until(partial(has_watchers, store, 0), "the dead to be forgotten")
        for number in range(4):
            store[f"k/{number}"] = number
        store.clear()
        assert space.check() == []
        used.append(space.stat().used)
    assert used[-1] <= used[0]


def has_watchers(store: shmspace.Store, count: int) -> bool:
    return store.stat().watchers == count


def kill_watchers(space: shmspace.Space, store: shmspace.Store, chance: random.Random) -> None:
    """Some that wait, and some that were given events they have not looked at."""
    with contextlib.ExitStack() as stack:
        peers = [watcher(stack, space.name, glob) for glob in (None, "k/*", "k/0")]
        with Puppet(space.name) as far:
            far.do("space.store", "w", keep="store")
            for number in range(3):
                far.do("store.watch", keep=f"watch-{number}")
            assert has_watchers(store, 6)
            for number in range(20):
                store[f"k/{number % 3}"] = number
            far.kill()
        chance.shuffle(peers)
        for left, peer in zip((2, 1, 0), peers, strict=True):
            peer.kill()
            until(partial(has_watchers, store, left), "the dead to be forgotten")
