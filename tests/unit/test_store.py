"""Stores: values under keys, what a key may be, times, versions, times to live, numbers."""

from __future__ import annotations

import math
import pickle
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import shmspace
from shmspace import Entry
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, until

# Values


def test_what_was_set_is_there_until_it_is_deleted(space: shmspace.Space) -> None:
    st = space.store()
    version = st.set("users/7/mail", "ada@example.org")
    entry = st.get("users/7/mail")
    assert entry == Entry("users/7/mail", "ada@example.org", entry.created, 0, version)
    assert (entry.index, type(entry)) == ("mail", Entry)
    assert st.delete("users/7/mail") == 1
    with pytest.raises(shmspace.NotFound, match="users/7/mail"):
        st.get("users/7/mail")


SIZES = [0, 1, 8, 63, 64, 65, 191, 192, 193, 511, 512, 513, 4095, 4096, 4097, 16384, 65536, 1 << 20, 5 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_a_value_of_any_size_is_read_whole(space: shmspace.Space, size: int) -> None:
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    st = space.store()
    st.set("k", data)
    assert st.get("k").value == st["k"] == data
    assert [entry.value for entry in st.list("*")] == st.values() == [data]
    st["k"] = b"short"
    assert st["k"] == b"short"
    st["k"] = data
    assert st["k"] == data


@pytest.mark.parametrize("codec", ["raw", "auto", "json", "msgpack", "pickle"])
def test_values_go_through_the_codec(space: shmspace.Space, codec: str) -> None:
    st = space.store(codec=codec)
    value: Any = b"x" if codec == "raw" else ["text", None, 1.5, {"a": 1}]
    st.set("k", value)
    assert (st.get("k").value, st["k"]) == (value, value)
    with pytest.raises(shmspace.CodecError):
        st.set("k", lambda: 0)
    assert st["k"] == value


def test_tuples_and_arrays_keep_their_type(space: shmspace.Space) -> None:
    numpy = pytest.importorskip("numpy")
    st = space.store()
    st["t"] = (1, "two")
    st["a"] = numpy.arange(10_000)
    assert st["t"] == (1, "two")
    assert st["a"].sum() == sum(range(10_000))


def test_values_pass_between_processes(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        st["here"] = b"x"
        assert far.do("st.get", "here") == st.get("here")
        far.do("st.set", "there", b"y" * 100_000)
        assert st["there"] == b"y" * 100_000


def test_a_stored_none_is_told_from_a_missing_key(space: shmspace.Space) -> None:
    st = space.store()
    missing = object()
    assert st.get("k", missing) is missing
    assert st.get("k", default=None) is None
    st["k"] = None
    assert st.get("k", missing).value is None
    assert "k" in st


# Keys

KEYS = ["a", "a/b/c", "ключ/ß", "with space", "a" * 1024, "é" * 512, "a/" * 511 + "b", "?[x]{}", "\u00a0", "\\", ".."]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key[:12]))
def test_every_valid_key_works(space: shmspace.Space, key: str) -> None:
    st = space.store()
    st[key] = key
    assert (st[key], st.get(key).key, st.keys(), key in st) == (key, key, [key], True)
    assert (st.incr(f"{key[:-1]}0"), st.delete(key)) == (1, 1)


BAD = ["", "/", "/a", "a/", "a//b", "a\0", "\n", "a\x1fb", "\x7f", "a\x80", "\x9f", "a" * 1025, "é" * 513, "\ud800"]


def calls(st: shmspace.Store, key: Any) -> list[Callable[[], Any]]:
    """Every call that takes a single key."""
    return [
        lambda: st.get(key),
        lambda: st.get(key, None),
        lambda: st.set(key, 1),
        lambda: st.incr(key),
        lambda: st.patch(key, {}),
        lambda: st[key],
        lambda: st.__setitem__(key, 1),
        lambda: st.__delitem__(key),
        lambda: key in st,
        lambda: st.setdefault(key, 1),
        lambda: st.pop(key, None),
        lambda: st.lock(key),
        lambda: st.shard_of(key),
    ]


@pytest.mark.parametrize("key", BAD, ids=lambda key: ascii(key[:8]))
def test_an_invalid_key_is_refused_everywhere(space: shmspace.Space, key: str) -> None:
    st = space.store()
    whole: list[Callable[[], Any]] = [lambda: st.delete(key), lambda: st.list(key), lambda: st.keys(key)]
    whole.append(lambda: st.watch(key))
    for call in [*calls(st, key), *whole]:
        with pytest.raises(shmspace.InvalidKey):
            call()
    assert len(st) == 0


@pytest.mark.parametrize("key", ["*", "a/*", "a/*/b", "a*", "**"])
def test_a_glob_is_not_allowed_where_a_key_is_asked_for(space: shmspace.Space, key: str) -> None:
    st = space.store()
    for call in calls(st, key):
        with pytest.raises(shmspace.GlobNotAllowed):
            call()
    assert len(st) == 0


@pytest.mark.parametrize("key", [None, 7, b"k", ["k"], ("k",), bytearray(b"k")])
def test_a_key_that_is_no_text_is_a_type_error(space: shmspace.Space, key: Any) -> None:
    st = space.store()
    more: list[Callable[[], Any]] = [lambda: st.delete(key), lambda: st.list(key), lambda: st.push(key, 1)]
    for call in [*calls(st, key), *more]:
        with pytest.raises(TypeError):
            call()
    assert len(st) == 0


def test_a_subclass_of_str_is_a_key_and_comes_back_plain(space: shmspace.Space) -> None:
    class Name(str):
        pass

    st = space.store()
    st[Name("k")] = 1
    assert type(st.get(Name("k")).key) is str


# Times and versions


def test_a_new_key_was_never_updated_and_a_changed_one_keeps_when_it_was_created(space: shmspace.Space) -> None:
    st = space.store()
    before = time.time_ns()
    st["k"] = 1
    first = st.get("k")
    assert before <= first.created <= time.time_ns() + 1_000_000_000
    assert first.updated == 0
    st["k"] = 2
    second = st.get("k")
    assert (second.created, second.updated > first.created) == (first.created, True)
    st.delete("k")
    st["k"] = 3
    assert (st.get("k").created > second.updated, st.get("k").updated) == (True, 0)


def test_versions_rise_with_every_change_of_the_store(space: shmspace.Space) -> None:
    st = space.store()
    versions = [st.set("a", 1), st.set("b", 1), st.set("a", 2)]
    st.incr("n")
    versions += [st.get("n").version, st.patch("p", {"x": 1}).version]
    st.delete("a")
    versions.append(st.set("a", 3))
    assert versions == sorted(set(versions))
    assert min(versions) > 0


def test_times_may_be_given_as_nanoseconds_or_aware_datetimes(space: shmspace.Space) -> None:
    st = space.store()
    when = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=timezone(timedelta(hours=2)))
    ns = 1767315845000006000
    st.set("k", 1, created=when, updated=7)
    assert (st.get("k").created, st.get("k").updated) == (ns, 7)
    st.set("k", 1, created=-5, updated=when)
    assert (st.get("k").created, st.get("k").updated) == (-5, ns)


@pytest.mark.parametrize("value", [datetime(2026, 1, 1), 1 << 63, -(1 << 63) - 1])
def test_a_time_without_zone_or_beyond_64_bits_is_a_value_error(space: shmspace.Space, value: Any) -> None:
    st = space.store()
    for options in ({"created": value}, {"updated": value}):
        with pytest.raises(ValueError, match="time"):
            st.set("k", 1, **options)
    with pytest.raises(ValueError, match="time"):
        st.list("*", since=value)
    assert len(st) == 0


def test_if_version_sets_only_what_is_unchanged(space: shmspace.Space) -> None:
    st = space.store()
    first = st.set("k", 1, if_version=0)
    with pytest.raises(shmspace.VersionMismatch) as refusal:
        st.set("k", 2, if_version=0)
    assert refusal.value.version == first
    second = st.set("k", 2, if_version=first)
    with pytest.raises(shmspace.VersionMismatch, match=str(second)):
        st.set("k", 3, if_version=first)
    st.delete("k")
    with pytest.raises(shmspace.VersionMismatch) as refusal:
        st.set("k", 3, if_version=second)
    assert (refusal.value.version, "k" in st) == (0, False)
    assert pickle.loads(pickle.dumps(refusal.value)).version == 0


def test_of_many_that_make_a_key_one_does(space: shmspace.Space) -> None:
    st = space.store()

    def make(number: int) -> bool:
        try:
            st.set("k", number, if_version=0)
        except shmspace.VersionMismatch:
            return False
        return True

    made = [Call(make, number) for number in range(8)]
    assert sum(call.result() for call in made) == 1


@pytest.mark.parametrize(
    ("option", "value", "error"),
    [
        ("if_version", -1, ValueError),
        ("if_version", 1.0, TypeError),
        ("if_version", True, TypeError),
        ("ttl", 0, ValueError),
        ("ttl", -1, ValueError),
        ("ttl", math.nan, ValueError),
        ("ttl", math.inf, ValueError),
        ("ttl", "1", TypeError),
        ("ttl", True, TypeError),
        ("timeout", -1, ValueError),
        ("timeout", math.inf, ValueError),
        ("timeout", "1", TypeError),
        ("created", "now", TypeError),
        ("no_such_option", 1, TypeError),
    ],
)
def test_an_argument_that_makes_no_sense_is_refused(
    space: shmspace.Space, option: str, value: Any, error: type[Exception]
) -> None:
    st = space.store()
    with pytest.raises(error):
        st.set("k", 1, **{option: value})
    assert len(st) == 0


# Times to live


def test_a_key_is_gone_after_its_time_to_live(space: shmspace.Space) -> None:
    st = space.store()
    st.set("brief", 1, ttl=0.05)
    st.set("long", 1, ttl=1e6)
    st.set("longer", 1, ttl=1e300)
    assert st.get("brief").value == 1
    until(lambda: "brief" not in st)
    assert (st.keys(), len(st), st.get("brief", None)) == (["long", "longer"], 2, None)
    assert st.set("brief", 2, if_version=0) > 0
    assert st.get("brief").updated == 0


def test_a_set_without_one_ends_the_time_to_live_and_incr_and_patch_keep_it(space: shmspace.Space) -> None:
    st = space.store()
    for key in ("set", "incr", "patch", "slow"):
        st.set(key, 1, ttl=0.1)
    st.set("set", 1)
    assert (st.incr("incr"), st.patch("patch", {"a": 1}).value) == (2, {"a": 1})
    st.set("slow", 2**63 - 1, ttl=0.1)
    assert st.incr("slow") == 2**63
    until(lambda: st.keys() == ["set"])


def test_a_locked_key_expires_too(space: shmspace.Space) -> None:
    st = space.store()
    st.set("k", 1, ttl=0.05)
    with st.lock("k") as held:
        until(lambda: held.entry is None)


# Numbers


def test_the_shard_of_a_key_is_its_fnv_1a_hash(space: shmspace.Space) -> None:
    st = space.store(shards=7)
    for key in ("a", "users/7", "ключ"):
        hashed = 0x811C9DC5
        for byte in key.encode():
            hashed = (hashed ^ byte) * 0x01000193 % 2**32
        assert st.shard_of(key) == hashed % 7


def test_stat_counts_keys_and_bytes(space: shmspace.Space) -> None:
    st = space.store(shards=3)
    assert st.stat() == (0, 0, [0, 0, 0], 0, 0)
    for number in range(20):
        st[f"k/{number}"] = b"12345"
    with st.watch():
        stat = st.stat()
        assert (stat.keys, stat.nbytes, stat.events, stat.watchers) == (20, 100, 20, 1)
    shards = [sum(st.shard_of(key) == shard for key in st) for shard in range(3)]
    assert (stat.shards, st.stat().watchers) == (shards, 0)
    st.delete("k/*")
    assert (st.stat().keys, st.stat().nbytes, st.stat().events) == (0, 0, 40)


def test_threads_may_share_a_handle(space: shmspace.Space) -> None:
    st = space.store()
    stop = threading.Event()

    def read() -> None:
        while not stop.is_set():
            value = st.get("k", None)
            assert value is None or value.value == value.value[:1] * len(value.value)

    readers = [Call(read) for _ in range(2)]
    for number in range(2000):
        st["k"] = bytes([number % 251]) * (number * 7 % 3000)
    stop.set()
    for call in readers:
        call.result()
