"""Stores: globs, listing by time, bounds, and removing what a glob matches."""

from __future__ import annotations

import re
import threading
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_wait import Call

# Globs

NAMES = ["a", "b", "ab", "abc", "a/b", "a/c", "a/b/c", "a/x/c", "a/xx/c", "logs/2026-01", "logs/2026-12"]
NAMES += ["logs/2025-12", "users/1", "users/1/mail", "users/12/mail", "ключ/é", "a.b", "a?c", "[x]/y", "a-/b"]
GLOBS = ["*", "a*", "*b", "a*c", "*b*", "**", "*/*", "a/*", "*/b", "a/*/c", "*/*/*", "users/*/mail", "logs/2026-*"]
GLOBS += ["a/x*/c", "a/*x/c", "ключ/*", "*/é", "a.*", "a?*", "[x]/*", "a-*/b", "none/*", "*/*/*/*", "a/*b*/*"]
GLOBS += ["users/1*/m*l"]


def matches(glob: str, key: str) -> bool:
    """What API.md says of a glob, by regular expression."""
    return re.fullmatch("[^/]*".join(map(re.escape, re.split(r"\*", glob))), key, re.DOTALL) is not None


@pytest.mark.parametrize("glob", GLOBS)
def test_a_star_matches_any_characters_within_a_segment(space: shmspace.Space, glob: str) -> None:
    st = space.store(shards=3)
    for name in NAMES:
        st[name] = name
    expected = [name for name in NAMES if matches(glob, name)]
    assert st.keys(glob) == sorted(expected, key=str.encode)
    assert [entry.value for entry in st.list(glob)] == expected
    assert [entry.key for entry in st.list(glob, order="desc")] == expected[::-1]
    assert st.delete(glob) == len(expected)
    assert st.keys() == sorted(set(NAMES) - set(expected), key=str.encode)


def test_long_keys_and_globs_match(space: shmspace.Space) -> None:
    st = space.store()
    key = "/".join(["x" * 7] * 128)
    st[key] = 1
    assert st.keys("/".join(["*"] * 128)) == st.keys("/".join(["x*x"] * 128)) == [key]
    assert st.keys("/".join(["*"] * 127)) == st.keys("/".join(["*"] * 129)) == []
    assert st.keys("*".join("x" * 400)) == []


@pytest.mark.parametrize("glob", ["a", "a/b", "users/1"])
def test_a_glob_needs_a_star(space: shmspace.Space, glob: str) -> None:
    st = space.store()
    st[glob] = 1
    for call in (st.list, st.keys):
        with pytest.raises(shmspace.GlobRequired):
            call(glob)


# Order


def test_a_list_is_ordered_by_when_keys_were_created(space: shmspace.Space) -> None:
    st = space.store(shards=4)
    order = [f"k/{number * 7 % 100:02}" for number in range(100)]
    for key in order:
        st[key] = key
    for key in sorted(order):
        st[key] = "changed"
    assert [entry.key for entry in st.list("k/*")] == order
    assert [entry.key for entry in st.list("k/*", order="desc")] == order[::-1]
    assert st.keys("k/*") == sorted(order)
    assert st.keys("k/*", since=0) == order


def test_keys_of_the_same_time_keep_the_order_in_which_they_were_made(space: shmspace.Space) -> None:
    st = space.store(shards=4)
    order = [f"k/{number * 37 % 50:02}" for number in range(50)]
    for number, key in enumerate(order):
        st.set(key, number, created=5 + number // 25 * 10)
    st.set("k/late", 50, created=-1)
    expected = ["k/late", *order]
    assert [entry.key for entry in st.list("k/*")] == expected
    assert [entry.key for entry in st.list("k/*", order="desc")] == expected[::-1]
    assert [entry.key for entry in st.list("k/*", limit=7)] == expected[:7]
    assert [entry.key for entry in st.list("k/*", limit=30, order="desc")] == expected[::-1][:30]
    assert st.keys("k/*", until=5) == expected[:26]


@pytest.mark.parametrize("count", [0, 1, 63, 64, 65, 1000, 3000])
def test_any_number_of_keys_is_listed_whole(space: shmspace.Space, count: int) -> None:
    st = space.store()
    for number in range(count):
        st.set(f"k/{number}", number, silent=True)
    assert [entry.value for entry in st.list("k/*")] == list(range(count))
    assert st.keys() == sorted(f"k/{number}" for number in range(count))
    assert len(st.items()) == len(st) == count


@pytest.mark.parametrize("limit", [1, 2, 9, 10, 11, 1 << 40])
def test_a_limit_gives_the_first_of_the_order(space: shmspace.Space, limit: int) -> None:
    st = space.store()
    for number in range(10):
        st[f"k/{number}"] = number
    assert [entry.value for entry in st.list("k/*", limit=limit)] == list(range(10))[:limit]
    assert [entry.value for entry in st.list("k/*", limit=limit, order="desc")] == list(range(10))[::-1][:limit]


# Bounds


def test_both_ends_of_a_span_are_included(space: shmspace.Space) -> None:
    st = space.store()
    for number in range(10):
        st.set(f"k/{number}", number, created=number * 10)
    assert [entry.value for entry in st.list("*/*", since=20, until=50)] == [2, 3, 4, 5]
    assert [entry.value for entry in st.list("*/*", since=21, until=49)] == [3, 4]
    assert [entry.value for entry in st.list("*/*", since=70)] == [7, 8, 9]
    assert [entry.value for entry in st.list("*/*", until=10, order="desc")] == [1, 0]
    assert [entry.value for entry in st.list("*/*", since=20, until=20, limit=5)] == [2]
    assert [entry.value for entry in st.list("*/*", since=20, limit=2)] == [2, 3]
    assert (st.keys(since=80), st.keys("k/*", until=0)) == (["k/8", "k/9"], ["k/0"])
    assert st.keys(until=-1) == []


def test_bounds_may_be_aware_datetimes(space: shmspace.Space) -> None:
    st = space.store()
    start = datetime(2026, 5, 1, tzinfo=timezone(timedelta(hours=-3)))
    for day in range(5):
        st.set(f"d/{day}", day, created=start + timedelta(days=day))
    until = start.astimezone(timezone.utc) + timedelta(days=3)
    span: dict[str, Any] = {"since": start + timedelta(days=1), "until": until}
    assert [entry.value for entry in st.list("d/*", **span)] == [1, 2, 3]
    assert st.keys(**span) == ["d/1", "d/2", "d/3"]


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"order": "up"}, ValueError),
        ({"order": None}, TypeError),
        ({"limit": 0}, ValueError),
        ({"limit": -1}, ValueError),
        ({"limit": 1.0}, TypeError),
        ({"limit": True}, TypeError),
        ({"since": 2, "until": 1}, ValueError),
        ({"since": datetime(2026, 1, 1)}, ValueError),
        ({"until": "now"}, TypeError),
        ({"x": 1}, TypeError),
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(
    space: shmspace.Space, options: dict[str, Any], error: type[Exception]
) -> None:
    st = space.store()
    with pytest.raises(error):
        st.list("*", **options)
    if "since" in options or "until" in options:
        with pytest.raises(error):
            st.keys(**options)


# Removing many


def test_a_glob_that_matches_nothing_removes_nothing(space: shmspace.Space) -> None:
    st = space.store()
    st["a/b"] = 1
    assert [st.delete("a*"), st.delete("b/*"), st.delete("*/*/*"), len(st)] == [0, 0, 0, 1]


def test_a_plain_key_is_removed_or_not_found(space: shmspace.Space) -> None:
    st = space.store()
    st["a"] = 1
    assert st.delete("a") == 1
    with pytest.raises(shmspace.NotFound):
        st.delete("a")


def test_removing_many_happens_at_once_against_single_writes(space: shmspace.Space) -> None:
    """Keys are set in order while all are removed: what is there afterwards is what was set last, without a gap."""
    st = space.store(shards=5)
    keys = [f"k/{number:02}" for number in range(40)]

    def write() -> None:
        for key in keys:
            st.set(key, 1, silent=True)

    for _ in range(100):
        writer = Call(write)
        st.delete("k/*", silent=True)
        writer.result()
        left = st.keys("k/*")
        assert left == keys[len(keys) - len(left) :]


def test_a_list_never_shows_what_is_not_there(space: shmspace.Space) -> None:
    """A writer makes and removes keys all the while; those that stay are always listed, once, in order."""
    st = space.store(shards=4)
    stays = [f"s/{number}" for number in range(100)]
    for key in stays:
        st.set(key, key, silent=True)
    stop = threading.Event()

    def churn() -> None:
        while not stop.is_set():
            for number in range(50):
                st.set(f"s/x{number}", number, silent=True)
            st.delete("s/x*", silent=True)

    churning = [Call(churn) for _ in range(2)]
    for _ in range(100):
        listed = [entry.key for entry in st.list("s/*")]
        assert [key for key in listed if not key.startswith("s/x")] == stays
        assert len(set(listed)) == len(listed)
        assert [key for key in st.keys("s/*") if not key.startswith("s/x")] == sorted(stays)
        assert st.list("s/*", limit=100)[:99] == st.list("s/*", limit=99)
    stop.set()
    for call in churning:
        call.result()
