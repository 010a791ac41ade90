"""Stores: functions that are called for calls through a handle."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import pytest

import shmspace


def test_on_write_is_called_after_each_change_and_on_read_before_each_read(space: shmspace.Space) -> None:
    st = space.store()
    seen: list[Any] = []
    assert (st.on_read, st.on_write) == (None, None)
    st.on_read = lambda key: seen.append((key, key is not None and "*" not in key and st.on_read is None))
    st.on_write = lambda op, key: seen.append((op, key, [name for name, _ in space.store().items()]))
    st.set("a", 1)
    st.incr("b")
    st["c"] = 1
    assert seen == [("set", "a", ["a"]), ("set", "b", ["a", "b"]), ("set", "c", ["a", "b", "c"])]
    seen.clear()
    st.get("a")
    assert [st["a"], "a" in st, st.get("none", 7)] == [1, True, 7]
    st.list("*")
    st.keys("a*")
    st.keys()
    assert [key for key, *_ in seen] == ["a", "a", "a", "none", "*", "a*", None]
    seen.clear()
    st.delete("a")
    del st["b"]
    assert seen == [("del", "a", ["b", "c"]), ("del", "b", ["c"])]
    st.on_read = st.on_write = None
    seen.clear()
    st.set("a", st["c"])
    assert seen == []


def test_on_write_is_called_for_every_way_to_change(space: shmspace.Space) -> None:
    st = space.store()
    seen: list[tuple[str, str]] = []
    st.on_write = lambda op, key: seen.append((op, key))
    key = st.push("q/*", 1)
    st.patch("p", {"a": 1})
    st.setdefault("d", 1)
    st.setdefault("d", 2)
    st.pop("d")
    with st.lock("l") as held:
        held.set(1)
        held.delete()
    st.update({"u": 1}, v=2)
    assert seen == [
        ("set", key),
        ("set", "p"),
        ("set", "d"),
        ("del", "d"),
        ("set", "l"),
        ("del", "l"),
        ("set", "u"),
        ("set", "v"),
    ]
    seen.clear()
    assert st.delete("*", silent=True) == 3
    assert sorted(seen) == [("del", "p"), ("del", "u"), ("del", "v")]
    st.clear()
    assert seen[3:] == [("del", key)]
    with pytest.raises(shmspace.NotFound):
        st.delete("none")
    with pytest.raises(shmspace.VersionMismatch):
        st.set("k", 1, if_version=5)
    assert len(seen) == 4


def test_what_a_hook_raises_comes_out_of_the_call(space: shmspace.Space) -> None:
    st = space.store()

    def refuse(*what: Any) -> None:
        raise LookupError(what)

    st.on_write = refuse
    with pytest.raises(LookupError, match="set"):
        st.set("k", 1)
    st.on_write, st.on_read = None, refuse
    for call in (lambda: st.get("k"), lambda: st["k"], lambda: "k" in st, lambda: st.list("*"), st.keys):
        with pytest.raises(LookupError):
            call()
    st.on_read = None
    assert st["k"] == 1


@pytest.mark.parametrize("hook", [7, "f", []])
def test_a_hook_must_be_callable(space: shmspace.Space, hook: Any) -> None:
    st = space.store()
    with pytest.raises(TypeError):
        st.on_read = hook
    with pytest.raises(TypeError):
        st.on_write = hook


def with_a_hook_of_its_own(space: shmspace.Space) -> weakref.ref[shmspace.Store]:
    st = space.store()
    st.on_write = lambda op, key: st.get(key)
    st["k"] = 1
    return weakref.ref(st)


def test_a_hook_that_knows_its_store_does_not_keep_it(space: shmspace.Space) -> None:
    gone = with_a_hook_of_its_own(space)
    gc.collect()
    assert gone() is None
