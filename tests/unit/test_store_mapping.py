"""Stores as mappings, and their options, names and ends."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from collections.abc import Callable, MutableMapping
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call
from tests.helpers.scenario_store import give_a_store_away, use_what_was_inherited

# The protocol


def test_it_behaves_as_a_mutable_mapping(space: shmspace.Space) -> None:
    st = space.store()
    assert isinstance(st, MutableMapping)
    assert (len(st), list(st), bool(st), "a" in st) == (0, [], False, False)
    st["b"] = 2
    st["a"] = 1
    st["c/x"] = [3]
    assert (len(st), list(st), bool(st), "a" in st) == (3, ["a", "b", "c/x"], True, True)
    assert (st.keys(), st.values(), st.items()) == (["a", "b", "c/x"], [1, 2, [3]], [("a", 1), ("b", 2), ("c/x", [3])])
    assert dict(st) == {"a": 1, "b": 2, "c/x": [3]}
    del st["b"]
    assert dict(st.items()) == {"a": 1, "c/x": [3]}


def test_keys_are_sorted_by_their_bytes(space: shmspace.Space) -> None:
    st = space.store(shards=5)
    keys = ["é", "a/b", "a b", "Z", "a-b", "a", "z", "ключ", "\U0001f642", "\uffee", "a0"]
    for key in keys:
        st[key] = key
    assert list(st) == st.keys() == st.values() == sorted(keys, key=str.encode)


def test_a_missing_key_is_a_key_error(space: shmspace.Space) -> None:
    st = space.store()
    missing: list[Callable[[], Any]] = [
        lambda: st["k"],
        lambda: st.__delitem__("k"),
        lambda: st.pop("k"),
        lambda: st.popitem(),
        lambda: st.delete("k"),
    ]
    for call in missing:
        with pytest.raises(KeyError) as refusal:
            call()
        assert isinstance(refusal.value, shmspace.NotFound)


def test_update_takes_mappings_pairs_and_names(space: shmspace.Space) -> None:
    st = space.store()
    st.update({"a": 1, "b/c": 2})
    st.update([("b/c", 3), ("d", 4)], e=5)
    st.update(f=6)
    other = space.store("other")
    other.update(st)
    assert dict(st) == dict(other) == {"a": 1, "b/c": 3, "d": 4, "e": 5, "f": 6}


def test_setdefault_keeps_what_is_there(space: shmspace.Space) -> None:
    st = space.store()
    assert (st.setdefault("k", 1), st.setdefault("k", 2), st.setdefault("n"), st["n"]) == (1, 1, None, None)


def test_pop_removes_and_gives(space: shmspace.Space) -> None:
    st = space.store()
    st.update(a=1, b=None)
    assert (st.pop("a"), st.pop("b", 7), st.pop("a", 7), st.pop("a", default=None)) == (1, None, 7, None)
    st.update(a=1, b=2)
    assert [st.popitem(), st.popitem(), len(st)] == [("a", 1), ("b", 2), 0]


def test_of_many_that_pop_each_value_goes_to_one(space: shmspace.Space) -> None:
    st = space.store()
    for number in range(100):
        st[f"k/{number}"] = number
    popping = [Call(lambda: [st.pop(f"k/{number}", None) for number in range(100)]) for _ in range(4)]
    got = [value for call in popping for value in call.result() if value is not None]
    assert (sorted(got), len(st)) == (list(range(100)), 0)


def test_of_many_that_set_a_default_all_get_the_same(space: shmspace.Space) -> None:
    st = space.store()
    calls = [Call(st.setdefault, "k", number) for number in range(6)]
    assert {call.result() for call in calls} == {st["k"]}


def test_it_equals_only_itself(space: shmspace.Space) -> None:
    st = space.store()
    assert st == st
    assert st != space.store()
    assert st != {}
    assert len({st, st}) == 1


def test_clear_empties_it(space: shmspace.Space) -> None:
    st, other = space.store(), space.store("other")
    for number in range(200):
        st[f"a/{number}"] = st[f"{number}"] = other[f"{number}"] = number
    st.clear()
    assert (len(st), list(st), len(other)) == (0, [], 200)
    st["a"] = 1
    assert list(st) == ["a"]


# Options


@pytest.mark.parametrize("name", ["s", "a" * 255, "with space / and *", b"bytes"])
def test_every_valid_name_works(space: shmspace.Space, name: str | bytes) -> None:
    text = name.decode() if isinstance(name, bytes) else name
    space.store(name)["k"] = 1
    assert (space.names("store"), space.exists("store", name)) == ([text], True)
    assert (space.store(text).name, space.store(text)["k"]) == (text, 1)
    assert space.delete("store", name) is True


@pytest.mark.parametrize("name", ["", "a" * 256, "a\0b", "\udc80", b"\xff"], ids=ascii)
def test_an_invalid_name_is_refused(space: shmspace.Space, name: str | bytes) -> None:
    with pytest.raises(shmspace.InvalidName):
        space.store(name)
    assert space.names() == []


OPTIONS: list[tuple[str, Any, Any]] = [
    ("shards", 4, 5),
    ("shards", 16, 1),
    ("shards", 1, 16),
    ("feed", 7, 1024),
    ("codec", "json", "auto"),
    ("no_events", ["a/*"], ["b/*"]),
    ("no_events", ["a/*"], []),
    ("no_events", [], ["a/*"]),
]


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_another_explicit_option_is_a_mismatch(space: shmspace.Space, option: str, there: Any, asked: Any) -> None:
    space.store(**{option: there})["k"] = 1
    with pytest.raises(shmspace.OptionsMismatch, match=option) as refusal:
        space.store(**{option: asked})
    if option != "no_events":
        assert str(there) in str(refusal.value)
        assert str(asked) in str(refusal.value)
    assert space.store(**{option: there})["k"] == space.store()["k"] == 1


def test_the_order_of_no_events_does_not_matter(space: shmspace.Space) -> None:
    space.store(no_events=["b/*", "a/*", "a/*"])
    space.store(no_events=("a/*", "b/*"))


@pytest.mark.parametrize(
    "options",
    [{"shards": 0}, {"shards": -1}, {"shards": 1 << 40}, {"feed": 0}, {"feed": -1}, {"codec": "yaml"}, {"ack": "soon"}],
    ids=str,
)
def test_an_option_out_of_range_is_a_value_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        space.store(**options)
    assert space.names() == []


@pytest.mark.parametrize(
    "options",
    [{"shards": "4"}, {"shards": 1.0}, {"codec": 7}, {"no_events": "a"}, {"no_events": [7]}, {"x": 1}],
    ids=str,
)
def test_an_option_of_the_wrong_type_is_a_type_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        space.store(**options)
    assert space.names() == []


def test_no_events_must_be_globs(space: shmspace.Space) -> None:
    for glob in ("a//b", "", "a\n"):
        with pytest.raises(shmspace.InvalidKey):
            space.store(no_events=[glob])
    assert space.names() == []


@pytest.mark.parametrize("options", [{"durable": True}, {"layer": object()}], ids=["durable", "layer"])
def test_what_lasts_needs_a_space_with_persist(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(shmspace.NotDurable):
        space.store(**options)
    assert space.names() == []


# Room


def test_a_value_that_could_never_fit_is_too_large(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        st = space.store()
        st["k"] = 1
        for call in (lambda: st.set("k", bytes(900_000)), lambda: st.push("*", bytes(1 << 20))):
            with pytest.raises(shmspace.TooLarge):
                call()
        assert st.items() == [("k", 1)]


def test_a_full_space_refuses_and_removing_makes_room(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        st = space.store(feed=8)
        count = 0
        with pytest.raises(shmspace.SpaceFull):
            while True:
                st.set(f"k/{count}", bytes(20_000))
                count += 1
        assert (count > 5, len(st), st["k/0"]) == (True, count, bytes(20_000))
        assert st.delete("k/*") == count
        for number in range(count):
            st[f"n/{number}"] = bytes(20_000)


# Handles


def test_handles_travel_by_pickle_and_copy(space: shmspace.Space) -> None:
    st = space.store(shards=3, codec="json")
    st["k"] = [1]
    for other in (pickle.loads(pickle.dumps(st)), copy.copy(st)):
        assert (other["k"], other.shard_of("k"), other.name) == ([1], st.shard_of("k"), "default")
        other.close()
        other.space.close() if other.space is not space else None
    entry = st.get("k")
    assert pickle.loads(pickle.dumps(entry)) == entry
    assert type(pickle.loads(pickle.dumps(entry))) is shmspace.Entry


@pytest.mark.parametrize("method", multiprocessing.get_all_start_methods())
def test_a_store_may_be_given_to_another_process(space: shmspace.Space, method: str) -> None:
    with Peer(give_a_store_away, space.name, method) as peer:
        assert peer.said() == 0
    assert space.store()["answer"] == 42


def test_what_was_inherited_over_a_fork_works_on_both_sides(space: shmspace.Space) -> None:
    with Peer(use_what_was_inherited, space.name) as peer:
        assert peer.said() == "done"


def test_a_closed_handle_refuses(space: shmspace.Space) -> None:
    st = space.store()
    st["k"] = 1
    assert "default" in repr(st)
    with st:
        pass
    assert (st.closed, "closed" in repr(st)) == (True, True)
    st.close()
    refused(st)
    assert space.store()["k"] == 1


def test_a_dropped_store_is_gone_for_everybody(space: shmspace.Space) -> None:
    st = space.store()
    st["k"] = bytes(100_000)
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.do("st.drop")
        refused(st)
        assert space.names() == []
        space.store()["k"] = 2
        refused(st)
        with pytest.raises(shmspace.Closed):
            far.do("st.get", "k")
        far.do("space.store", keep="st")
        assert far.do("st.get", "k").value == 2


def refused(st: shmspace.Store) -> None:
    attempts: list[Callable[[], Any]] = [
        lambda: st.get("k"),
        lambda: st.get("k", None),
        lambda: st["k"],
        lambda: st.set("k", 1),
        lambda: st.incr("n"),
        lambda: st.patch("n", {}),
        lambda: st.push("*", 1),
        lambda: st.delete("k"),
        lambda: st.delete("*"),
        lambda: st.clear(),
        lambda: st.list("*"),
        lambda: st.keys(),
        lambda: st.items(),
        lambda: len(st),
        lambda: "k" in st,
        lambda: st.lock("k").__enter__(),
        lambda: st.watch(),
        lambda: st.stat(),
    ]
    for number, attempt in enumerate(attempts):
        with pytest.raises(shmspace.Closed):
            attempt()
            pytest.fail(f"attempt {number} was not refused")


def test_a_store_can_be_looked_at_where_the_space_may_only_be_read(space: shmspace.Space) -> None:
    st = space.store()
    st["a/b"] = 1
    with shmspace.open(space.name, readonly=True) as view:
        seen = view.store()
        assert (seen["a/b"], seen.get("a/b"), "a/b" in seen, len(seen)) == (1, st.get("a/b"), True, 1)
        assert (seen.keys("a/*"), seen.list("a/*"), seen.items()) == (["a/b"], st.list("a/*"), [("a/b", 1)])
        assert (seen.stat().keys, seen.get("none", 7)) == (1, 7)
        with seen.watch(timeout=60) as events:
            st["a/b"] = 2
            assert next(events).entry.value == 2
        changes: list[Callable[[], Any]] = [
            lambda: seen.set("k", 1),
            lambda: seen.incr("k"),
            lambda: seen.patch("k", {}),
            lambda: seen.push("*", 1),
            lambda: seen.delete("a/b"),
            lambda: seen.delete("a/*"),
            lambda: seen.delete("none/*"),
            lambda: seen.clear(),
            lambda: seen.pop("a/b"),
            lambda: seen.setdefault("k", 1),
            lambda: seen.lock("k").__enter__(),
        ]
        for number, change in enumerate(changes):
            with pytest.raises(shmspace.ReadOnly):
                change()
                pytest.fail(f"change {number} was not refused")
        with pytest.raises(shmspace.NotFound):
            view.store("none")
    assert st.items() == [("a/b", 2)]
    assert os.path.exists(space.path)
