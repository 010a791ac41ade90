"""A store against a dict, in any order of calls that hypothesis can think of.

Property: whatever is set, changed, locked, removed and left to expire in whatever order, every call gives what the dict
says, each refusal is the dict's, watchers are told of every change and nothing else, and the region is sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta, timezone
from functools import partial
from itertools import islice
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

import shmspace
from shmspace import Entry, Event
from tests.helpers.leftovers import unique_name
from tests.helpers.peer_wait import Call, until
from tests.helpers.store_model import by_seq, drained, given, matches, merged, shard_of

KEYS = ("a", "b", "users/1", "users/2", "users/x1", "a/b/c", "a/z/c", "ü/é", "quiet/1", "k" * 1024)
GLOBS = ("*", "users/*", "users/x*", "*/1", "u*s/*", "a/*/c", "*/*/*", "*é/*", "ü/*é", "q*/*1", "log/*", "none/*")
INVALID = ("", "/", "/a", "a/", "a//b", "a\n", "\x7f", "a\x85b", "é" * 513, "\ud800")
LONG_S, SHORT_S = 3600.0, 0.002

keys = st.sampled_from(KEYS)
globs = st.sampled_from(GLOBS)
values = st.one_of(
    st.sampled_from(["text", None, 1.5, [1, [2]], {}, {"a": 1, "b": {"c": 2}}, {"b": {"c": None}}]),
    st.integers(-5, 5),
    st.builds(lambda size, n: bytes([n]) * size, st.sampled_from([0, 1, 40, 64, 200, 5000, 40_000]), st.integers(0, 9)),
)
partials = st.sampled_from([{"a": None}, {"b": {"c": None, "d": 3}}, {"x": {"y": None}}, {"a": [None]}, 5, None, [1]])
times = st.one_of(st.none(), st.integers(1, 4))
bounds = st.one_of(st.none(), st.sampled_from([0, 1, 2, 3, 4, 5, 9 * 10**15]))
ends_of_time = st.tuples(bounds, bounds)
limits = st.sampled_from([None, 1, 2, 100])

# What one call did, as far as watchers are told: of each key the operation and the entry.
Told = dict[str, tuple[str, Entry]]


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the class of its refusal."""
    try:
        return call()
    except (shmspace.ShmspaceError, ValueError, TypeError) as error:
        return type(error)


def instant(microseconds: int | None) -> int | None:
    return None if microseconds is None else microseconds * 1000


def as_datetime(microseconds: int | None) -> Any:
    return None if microseconds is None else datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(0, 0, microseconds)


class StoreModel(RuleBasedStateMachine):
    """Two handles on one store, watchers on all, on a glob and on a key, and the dict of what there is."""

    @initialize(shards=st.sampled_from([1, 2, 16]))
    def create(self, shards: int) -> None:
        self.space = shmspace.open(unique_name("machine"), size="16M")
        self.shards, self.turn = shards, 0
        self.stores = [self.space.store("s", shards=shards, no_events=["quiet/*"]), self.space.store("s")]
        self.watches = {glob: self.store().watch(glob) for glob in (None, "users/*", "a")}
        self.rows: dict[str, Entry] = {}
        self.born: dict[str, int] = {}
        self.happened: list[Told] = []
        self.history: list[Event] = []
        self.births = self.stamp = self.version = 0
        self.pushed = ""

    def store(self) -> shmspace.Store:
        self.turn += 1
        return self.stores[self.turn % 2]

    def row(self, key: str) -> Any:
        return self.rows[key].value if key in self.rows else shmspace.NotFound

    # What a change does to the dict

    def took(self, key: str, value: Any, *, created: int | None = None, updated: int | None = None) -> Entry:
        """Look at what is there after a change of a key: its value, and its stamps and version, which rise."""
        old = self.rows.get(key)
        entry: Entry = self.store().get(key)
        assert (entry.key, entry.value, entry.index) == (key, value, key.split("/")[-1])
        assert entry.version > self.version
        if created is None and old is None:
            assert entry.created > self.stamp
            self.stamp = entry.created
        else:
            assert entry.created == (old.created if old is not None and created is None else created)
        if updated is None and old is not None:
            assert entry.updated > self.stamp
            self.stamp = entry.updated
        else:
            assert entry.updated == (updated or 0)
        self.place(entry)
        return entry

    def place(self, entry: Entry) -> None:
        self.version = entry.version
        if entry.key not in self.rows:
            self.births += 1
            self.born[entry.key] = self.births
        self.rows[entry.key] = entry

    def tell(self, op: str, entries: Iterable[Entry], *, silent: bool = False) -> None:
        if not silent:
            self.happened.append({e.key: (op, e) for e in entries if not matches("quiet/*", e.key)})

    def removed(self, removed: Iterable[str], *, silent: bool = False) -> int:
        entries = [self.rows.pop(key) for key in removed]
        self.tell("del", entries, silent=silent)
        return len(entries)

    # Changes

    @rule(
        key=keys, value=values, created=times, updated=times, ttl=st.sampled_from([None, LONG_S]), silent=st.booleans()
    )
    def set_it(
        self, key: str, value: Any, created: int | None, updated: int | None, ttl: float | None, silent: bool
    ) -> None:
        stamps: Any = {"created": as_datetime(created), "updated": instant(updated), "ttl": ttl, "silent": silent}
        version = self.store().set(key, value, **stamps)
        entry = self.took(key, value, created=instant(created), updated=instant(updated))
        assert version == entry.version
        self.tell("set", [entry], silent=silent)

    @rule(key=keys, value=values)
    def set_as_in_a_dict(self, key: str, value: Any) -> None:
        self.store()[key] = value
        self.tell("set", [self.took(key, value)])

    @rule(key=keys, value=values, which=st.sampled_from(["current", "absent", "past", "future"]))
    def set_if(self, key: str, value: Any, which: str) -> None:
        current = self.rows[key].version if key in self.rows else 0
        asked = {"current": current, "absent": 0, "past": max(0, current - 1), "future": self.version + 10}[which]
        if asked == current:
            version = self.store().set(key, value, if_version=asked)
            self.tell("set", [self.took(key, value)])
            assert version == self.version
            return
        with pytest.raises(shmspace.VersionMismatch) as refusal:
            self.store().set(key, value, if_version=asked)
        assert refusal.value.version == current

    @rule(key=keys, value=values)
    def set_for_a_moment(self, key: str, value: Any) -> None:
        """Everything is given but the version, so that it is known without looking."""
        times = {"created": 5000, "updated": 6000}
        version = self.store().set(key, value, ttl=SHORT_S, **times)
        assert version > self.version
        self.place(Entry(key, value, times["created"], times["updated"], version))
        self.tell("set", [self.rows[key]])
        until(partial(self.is_gone, key), "the key to expire")
        self.removed([key])

    def is_gone(self, key: str) -> bool:
        return key not in self.store()

    @rule(key=keys, by=st.integers(-3, 3))
    def incr(self, key: str, by: int) -> None:
        old = self.rows[key].value if key in self.rows else 0
        expected = old + by if isinstance(old, int) else TypeError
        assert outcome(lambda: self.store().incr(key, by)) == expected
        if isinstance(old, int):
            self.tell("set", [self.took(key, expected)])

    @rule(key=keys, patch=partials)
    def patch(self, key: str, patch: Any) -> None:
        old = self.rows[key].value if key in self.rows else {}
        entry = self.store().patch(key, patch)
        assert entry == self.took(key, merged(old, patch))
        self.tell("set", [entry])

    @rule(value=values, ttl=st.sampled_from([None, LONG_S]), silent=st.booleans())
    def push(self, value: Any, ttl: float | None, silent: bool) -> None:
        key = self.store().push("log/*", value, ttl=ttl, silent=silent)
        assert re.fullmatch("log/[0-9a-f]{16}", key)
        assert key > self.pushed
        assert int(key[4:], 16) > self.stamp
        self.pushed = key
        self.tell("set", [self.took(key, value)], silent=silent)

    @rule(key=keys, value=values)
    def setdefault(self, key: str, value: Any) -> None:
        present = key in self.rows
        assert self.store().setdefault(key, value) == (self.rows[key].value if present else value)
        if not present:
            self.tell("set", [self.took(key, value)])

    @rule(several=st.dictionaries(keys, values, max_size=3))
    def update(self, several: dict[str, Any]) -> None:
        self.store().update(several)
        for key, value in several.items():
            self.tell("set", [self.took(key, value)])

    @rule(key=keys, way=st.sampled_from(["delete", "del", "pop", "silent"]))
    def delete(self, key: str, way: str) -> None:
        store = self.store()
        ways: dict[str, tuple[Callable[[], Any], Any]] = {
            "delete": (lambda: store.delete(key), 1),
            "silent": (lambda: store.delete(key, silent=True), 1),
            "del": (lambda: store.__delitem__(key), None),
            "pop": (lambda: store.pop(key), self.row(key)),
        }
        call, result = ways[way]
        present = key in self.rows
        assert outcome(call) == (result if present else shmspace.NotFound)
        if present:
            self.removed([key], silent=way == "silent")

    @rule(glob=globs, silent=st.booleans())
    def delete_glob(self, glob: str, silent: bool) -> None:
        found = [key for key in self.rows if matches(glob, key)]
        assert self.store().delete(glob, silent=silent) == self.removed(found, silent=silent)

    @precondition(lambda self: len(self.rows) > 4)
    @rule(silent=st.booleans())
    def clear(self, silent: bool) -> None:
        self.store().clear(silent=silent)
        self.removed(list(self.rows), silent=silent)

    @precondition(lambda self: self.rows)
    @rule()
    def popitem(self) -> None:
        key, value = self.store().popitem()
        assert value == self.row(key)
        self.removed([key])

    @rule(key=keys, value=values, delete=st.booleans(), past_it=st.booleans())
    def write_under_lock(self, key: str, value: Any, delete: bool, past_it: bool) -> None:
        with self.store().lock(key, timeout=0) as held:
            assert (held.entry, held.owner_died) == (self.rows.get(key), False)
            refused = Call(self.store().set, key, b"another", timeout=0)
            with pytest.raises(shmspace.Locked):
                refused.result()
            if past_it:
                self.store().set(key, value, timeout=0)
            else:
                held.set(value)
            self.tell("set", [self.took(key, value)])
            if delete:
                held.delete()
                self.removed([key])
        with pytest.raises(shmspace.Closed):
            held.set(value)

    # Looks

    @rule(key=keys)
    def get(self, key: str) -> None:
        assert outcome(lambda: self.store().get(key)) == self.rows.get(key, shmspace.NotFound)
        assert self.store().get(key, "absent") == self.rows.get(key, "absent")
        assert outcome(lambda: self.store()[key]) == self.row(key)
        assert (key in self.store()) == (key in self.rows)

    def chosen(self, glob: str, since: int | None, until: int | None) -> list[Entry]:
        """Those that fit, oldest first; of the same age in the order of insertion."""
        low, high = -1 if since is None else since * 1000, 1 << 64 if until is None else until * 1000
        found = [entry for entry in self.rows.values() if matches(glob, entry.key) and low <= entry.created <= high]
        return sorted(found, key=lambda entry: (entry.created, self.born[entry.key]))

    @rule(glob=globs, order=st.sampled_from(["asc", "desc"]), limit=limits, ends=ends_of_time)
    def list_it(self, glob: str, order: str, limit: int | None, ends: tuple[int | None, int | None]) -> None:
        since, until = ends
        look = partial(self.store().list, glob, order=order, limit=limit)
        answer = outcome(lambda: look(since=as_datetime(since), until=instant(until)))
        if since is not None and until is not None and since > until:
            assert answer is ValueError
        else:
            found = self.chosen(glob, since, until)
            assert answer == (found if order == "asc" else found[::-1])[:limit]

    @rule(glob=globs, ends=ends_of_time)
    def list_keys(self, glob: str, ends: tuple[int | None, int | None]) -> None:
        since, until = ends
        answer = outcome(lambda: self.store().keys(glob, since=instant(since), until=as_datetime(until)))
        found = [entry.key for entry in self.chosen(glob, since, until)]
        if since is not None and until is not None and since > until:
            assert answer is ValueError
        else:
            assert answer == (found if ends != (None, None) else sorted(found))

    @rule(bad=st.sampled_from(INVALID))
    def refuse_a_bad_key(self, bad: str) -> None:
        store = self.store()
        for call in (store.get, store.delete, store.incr, lambda key: store.lock(key).__enter__()):
            assert outcome(partial(call, bad)) is shmspace.InvalidKey
        for call in (store.set, store.patch):
            assert outcome(partial(call, bad, {})) is shmspace.InvalidKey

    @rule(key=keys, glob=globs)
    def refuse_one_for_the_other(self, key: str, glob: str) -> None:
        store = self.store()
        for of_a_key in (store.get, store.incr):
            assert outcome(partial(of_a_key, glob)) is shmspace.GlobNotAllowed
        for with_a_value in (store.set, store.patch):
            assert outcome(partial(with_a_value, glob, {})) is shmspace.GlobNotAllowed
        for of_a_glob in (partial(store.list, key), partial(store.keys, key), partial(store.push, key, 1)):
            assert outcome(of_a_glob) is shmspace.GlobRequired
        for limit in (0, -1):
            assert outcome(partial(store.list, glob, limit=limit)) is ValueError

    @precondition(lambda self: self.history)
    @rule(place=st.floats(0, 1, exclude_max=True))
    def watch_from_the_middle(self, place: float) -> None:
        at = int(place * len(self.history))
        with self.store().watch(start=self.history[at].seq) as watch:
            assert by_seq(drained(watch)) == self.history[at + 1 :]

    @invariant()
    def watchers_are_told_of_every_change(self) -> None:
        keys = [key for told in self.happened for key in told]
        seen = {
            glob: by_seq(given(watch, sum(glob is None or matches(glob, key) for key in keys)))
            for glob, watch in self.watches.items()
        }
        whole = seen.pop(None)
        for event in whole:
            assert not self.history or event.seq > self.history[-1].seq
        self.history += whole
        rest = iter(whole)
        for told in self.happened:
            events = list(islice(rest, len(told)))
            assert {event.key: (event.op, event.entry) for event in events} == told
        assert list(rest) == []
        for glob, events in seen.items():
            assert events == [event for event in whole if matches(glob or "", event.key)]
        self.happened.clear()

    @invariant()
    def the_whole_agrees(self) -> None:
        store, names = self.stores[0], sorted(self.rows)
        assert (len(store), list(store), store.keys()) == (len(names), names, names)
        assert list(store.items()) == [(key, self.row(key)) for key in names]
        assert list(store.values()) == [self.row(key) for key in names]
        numbers = store.stat()
        counts = [0] * self.shards
        for key in names:
            assert store.shard_of(key) == shard_of(key, self.shards)
            counts[shard_of(key, self.shards)] += 1
        assert (numbers.keys, list(numbers.shards)) == (len(names), counts)
        assert numbers.watchers == len(self.watches)
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.space.destroy()
            self.space.close()


TestStoreModel = StoreModel.TestCase
TestStoreModel.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
