"""A store against a model of a few lines, in any order of calls that hypothesis can think of.

Property: whatever is called in whatever order, every call gives what the model says, each refusal is the model's, lists
have the model's order, a watch tells exactly what happened, and the region is sound.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

import shmspace
from tests.helpers.leftovers import unique_name

names = st.sampled_from(["a", "b", "a/b", "a/c", "a/b/c", "b/x", "b/xy", "é", "long/" + "k" * 500])
globs = st.sampled_from(["*", "a/*", "*/*", "b/x*", "*/b/*", "none/*", "long/*k"])
blobs = st.builds(
    lambda size, number: bytes([number]) * size, st.sampled_from([0, 1, 64, 200, 600, 20_000]), st.integers(0, 255)
)
values = st.one_of(blobs, st.integers(-(2**63), 2**64 - 1), st.sampled_from(["text", None, [1, "two"], {"n": 1}, True]))


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the class of its refusal."""
    try:
        return call()
    except (shmspace.ShmspaceError, TypeError) as error:
        return type(error)


def matches(glob: str, key: str) -> bool:
    return re.fullmatch("[^/]*".join(map(re.escape, glob.split("*"))), key) is not None


class StoreMachine(RuleBasedStateMachine):
    """One store, two handles on it, and a watch."""

    @initialize(shards=st.sampled_from([1, 3, 16]))
    def create(self, shards: int) -> None:
        self.space = shmspace.open(unique_name("machine"), size="16M")
        self.handles = [self.space.store(shards=shards, feed=4096), self.space.store()]
        self.watch = self.handles[0].watch()
        # value, when it was created if that was given, version; in order of creation
        self.model: dict[str, tuple[Any, int | None, int]] = {}
        self.events: list[tuple[str, str, Any]] = []
        self.count = 0

    def handle(self) -> shmspace.Store:
        self.count += 1
        return self.handles[self.count % 2]

    def put(self, key: str, value: Any, version: int, created: int | None = None) -> None:
        before = self.model.get(key, (None, None, 0))[1]
        self.model[key] = (value, before if created is None else created, version)
        self.events.append(("set", key, value))

    def drop(self, key: str) -> None:
        self.events.append(("del", key, self.model.pop(key)[0]))

    @rule(key=names, value=values)
    def set(self, key: str, value: Any) -> None:
        self.put(key, value, self.handle().set(key, value))

    @rule(key=names, value=values, fits=st.booleans(), silent=st.booleans())
    def set_if(self, key: str, value: Any, fits: bool, silent: bool) -> None:
        version = self.model[key][2] if key in self.model else 0
        found = outcome(lambda: self.handle().set(key, value, if_version=version + (not fits), silent=silent))
        if not fits:
            assert found is shmspace.VersionMismatch
            return
        assert found > version
        self.put(key, value, found)
        if silent:
            self.events.pop()

    @rule(key=names, by=st.sampled_from([1, -1, 0, 2**62, -(2**63), 2**63]))
    def incr(self, key: str, by: int) -> None:
        before = self.model[key][0] if key in self.model else 0
        found = outcome(lambda: self.handle().incr(key, by))
        if type(before) is not int:
            assert found is TypeError
        elif not -(2**63) <= before + by < 2**64:
            assert found is shmspace.CodecError
        else:
            assert found == before + by
            self.put(key, found, self.handle().get(key).version)

    @rule(key=names, partial=st.sampled_from([{}, {"n": None}, {"m": {"x": 1, "y": None}}, {"n": 2}]))
    def patch(self, key: str, partial: dict[str, Any]) -> None:
        before = self.model[key][0] if key in self.model else {}
        after = dict(before) if isinstance(before, dict) else {}
        for name, value in partial.items():
            after.pop(name, None)
            if value is not None:
                after[name] = {"x": 1} if isinstance(value, dict) else value
        entry = self.handle().patch(key, partial)
        assert entry.value == after
        self.put(key, after, entry.version)

    @rule(key=names, default=values)
    def setdefault(self, key: str, default: Any) -> None:
        found = self.handle().setdefault(key, default)
        if key not in self.model:
            self.put(key, default, self.handle().get(key).version)
        assert found == self.model[key][0]

    @rule(key=names)
    def delete(self, key: str) -> None:
        assert outcome(lambda: self.handle().delete(key)) == (1 if key in self.model else shmspace.NotFound)
        if key in self.model:
            self.drop(key)

    @rule(key=names)
    def pop(self, key: str) -> None:
        assert self.handle().pop(key, "none") == self.model.get(key, ("none",))[0]
        if key in self.model:
            self.drop(key)

    @rule(glob=globs)
    def delete_many(self, glob: str) -> None:
        gone = [key for key in self.model if matches(glob, key)]
        self.check_events()
        assert self.handle().delete(glob) == len(gone)
        for key in gone:
            self.drop(key)
        self.check_events(ordered=False)

    @rule(glob=globs, limit=st.sampled_from([None, 1, 3]))
    def list_many(self, glob: str, limit: int | None) -> None:
        keys = [key for key in self.model if matches(glob, key)]
        assert [entry.key for entry in self.handle().list(glob, limit=limit)] == keys[:limit]
        assert [entry.key for entry in self.handle().list(glob, limit=limit, order="desc")] == keys[::-1][:limit]
        assert self.handle().keys(glob) == sorted(keys, key=str.encode)

    @rule()
    def check_events(self, ordered: bool = True) -> None:
        found = []
        while (event := outcome(lambda: self.watch.next(timeout=0))) is not shmspace.Empty:
            found.append((event.op, event.key, event.entry.value))
        if ordered:
            assert found == self.events
        else:
            assert sorted(map(repr, found)) == sorted(map(repr, self.events))
        self.events.clear()

    @invariant()
    def it_is_as_the_model_says(self) -> None:
        if not hasattr(self, "space"):
            return
        store = self.handle()
        assert store.items() == [(key, self.model[key][0]) for key in sorted(self.model, key=str.encode)]
        assert (len(store), sum(store.stat().shards)) == (len(self.model), len(self.model))
        for key, (value, _, version) in self.model.items():
            entry = store.get(key)
            assert (entry.value, type(entry.value), entry.version) == (value, type(value), version)
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.space.destroy()
            self.space.close()


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
