"""Stores: keys that are made by pushing, counters, JSON merge patches."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, until

# push


def test_pushed_values_get_keys_of_their_own_that_sort_by_time(space: shmspace.Space) -> None:
    st = space.store()
    keys = [st.push("log/a/*", number) for number in range(50)]
    assert keys == sorted(set(keys)) == st.keys("log/a/*")
    assert all(len(key.rpartition("/")[2]) == 16 and int(key.rpartition("/")[2], 16) > 0 for key in keys)
    assert [entry.value for entry in st.list("log/a/*")] == list(range(50))
    bare = st.push("*", "x")
    assert (len(bare), st[bare]) == (16, "x")


def test_pushes_from_several_threads_never_meet(space: shmspace.Space) -> None:
    st = space.store()
    pushing = [Call(lambda: [st.push("q/*", 1) for _ in range(100)]) for _ in range(4)]
    keys = [key for call in pushing for key in call.result()]
    assert len(set(keys)) == len(st) == 400


def test_a_pushed_value_may_have_a_time_to_live(space: shmspace.Space) -> None:
    st = space.store()
    st.push("q/*", 1, ttl=0.01)
    until(lambda: st.keys() == [])
    with pytest.raises(ValueError, match="ttl"):
        st.push("q/*", 1, ttl=0)


@pytest.mark.parametrize("glob", ["a/b", "*/a", "a/*/b", "a*", "*a", "*/*", "a/**", "a/x-*"])
def test_a_push_needs_a_star_for_the_last_segment(space: shmspace.Space, glob: str) -> None:
    st = space.store()
    with pytest.raises(shmspace.GlobRequired):
        st.push(glob, 1)
    assert len(st) == 0


# incr


@pytest.mark.parametrize("codec", ["auto", "msgpack", "json", "pickle"])
def test_incr_adds_and_a_missing_key_counts_as_zero(space: shmspace.Space, codec: str) -> None:
    st = space.store(codec=codec)
    assert [st.incr("n"), st.incr("n", 41), st.incr("n", by=-50), st.incr("m", 0)] == [1, 42, -8, 0]
    assert (st["n"], st["m"]) == (-8, 0)
    for value in (127, 128, 255, 256, 65535, 65536, 2**32 - 1, 2**32, -32, -33, -128, -129, -(2**31), 2**62, -(2**63)):
        st["v"] = value
        assert (st.incr("v"), st["v"]) == (value + 1, value + 1)


@pytest.mark.parametrize("codec", ["auto", "msgpack", "json", "pickle"])
def test_incr_goes_on_to_the_end_of_64_bits(space: shmspace.Space, codec: str) -> None:
    st = space.store(codec=codec)
    st["n"] = 2**63 - 1
    assert st.incr("n") == 2**63
    assert st.incr("n", 2**63 - 1) == 2**64 - 1
    with pytest.raises(shmspace.CodecError):
        st.incr("n")
    st["m"] = -(2**63)
    with pytest.raises(shmspace.CodecError):
        st.incr("m", -1)
    with pytest.raises(shmspace.CodecError):
        st.incr("m", 2**70)
    assert (st["n"], st["m"]) == (2**64 - 1, -(2**63))


@pytest.mark.parametrize("value", ["1", 1.0, True, None, b"\x01", [1], {"a": 1}])
def test_incr_of_what_is_no_integer_is_a_type_error(space: shmspace.Space, value: Any) -> None:
    st = space.store()
    st["k"] = value
    with pytest.raises(TypeError):
        st.incr("k")
    assert (st["k"], type(st["k"])) == (value, type(value))


@pytest.mark.parametrize("by", [1.0, "1", None, True])
def test_incr_by_what_is_no_integer_is_a_type_error(space: shmspace.Space, by: Any) -> None:
    st = space.store()
    with pytest.raises(TypeError):
        st.incr("k", by)
    assert len(st) == 0


@pytest.mark.parametrize("codec", ["auto", "json"])
def test_no_increment_is_lost_between_threads_and_processes(space: shmspace.Space, codec: str) -> None:
    st = space.store(codec=codec)
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        mine = [Call(lambda: [st.incr("n") for _ in range(200)]) for _ in range(3)]
        for _ in range(100):
            far.do("st.incr", "n", 10)
        for call in mine:
            call.result()
    assert st["n"] == 1600


# patch

RFC_7396 = [
    ({"a": "b"}, {"a": "c"}, {"a": "c"}),
    ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
    ({"a": "b"}, {"a": None}, {}),
    ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
    ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
    ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
    ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
    ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
    (["a", "b"], ["c", "d"], ["c", "d"]),
    ({"a": "b"}, ["c"], ["c"]),
    ({"a": "foo"}, None, None),
    ({"a": "foo"}, "bar", "bar"),
    ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
    ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
]


@pytest.mark.parametrize(("value", "partial", "result"), RFC_7396)
@pytest.mark.parametrize("codec", ["auto", "json"])
def test_patch_merges_as_rfc_7396_says(
    space: shmspace.Space, codec: str, value: Any, partial: Any, result: Any
) -> None:
    st = space.store(codec=codec)
    version = st.set("k", value)
    entry = st.patch("k", partial)
    assert (entry, entry.value) == (st.get("k"), result)
    assert (entry.version > version, entry.updated > 0) == (True, True)


def test_a_missing_key_is_patched_as_an_empty_dict(space: shmspace.Space) -> None:
    st = space.store()
    entry = st.patch("k", {"a": 1, "b": None})
    assert (entry.value, entry.updated, st["k"]) == ({"a": 1}, 0, {"a": 1})
    with pytest.raises(shmspace.CodecError):
        st.patch("k", {"a": object()})
    assert st["k"] == {"a": 1}


def test_no_patch_is_lost_between_threads(space: shmspace.Space) -> None:
    st = space.store()

    def patch(name: str) -> None:
        for number in range(50):
            st.patch("k", {name: number, f"{name}{number}": True})

    for call in [Call(patch, name) for name in "abc"]:
        call.result()
    assert (len(st["k"]), [st["k"][name] for name in "abc"]) == (153, [49] * 3)
