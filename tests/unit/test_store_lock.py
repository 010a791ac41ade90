"""Locks of keys: others wait, the holder passes, and a lock whose process dies passes on."""

from __future__ import annotations

import gc
import math
import os
import signal
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked


def take(st: shmspace.Store, key: str, timeout: float | None = None) -> bool:
    """Hold a lock for a moment; whether its previous holder had died."""
    with st.lock(key, timeout) as held:
        return held.owner_died


# Holding


def test_held_shows_and_changes_the_key(space: shmspace.Space) -> None:
    st = space.store()
    with st.lock("k") as held:
        assert (held.key, held.entry, held.owner_died, "k" in repr(held)) == ("k", None, False, True)
        version = held.set([1])
        assert (held.entry, st["k"]) == (st.get("k"), [1])
        assert held.entry is not None
        assert held.entry.version == version
        held.delete()
        assert [held.entry, "k" in st] == [None, False]
        with pytest.raises(shmspace.NotFound):
            held.delete()


def test_the_holders_own_writes_pass_and_are_seen_at_once(space: shmspace.Space) -> None:
    st = space.store()
    with st.lock("k"), Puppet(space.name) as far:
        far.do("space.store", keep="st")
        st.set("k", 1, timeout=0)
        assert far.do("st.get", "k").value == 1
        assert (st.incr("k"), st.patch("k", {"a": 1}).value, st.pop("k")) == (2, {"a": 1}, {"a": 1})
        st["k"] = 3
        del st["k"]
        assert (st.setdefault("k", 4), st.delete("*"), st.delete("none/*")) == (4, 1, 0)
        st["k"] = 5
        st.clear()
        assert far.do("st.keys") == []


def test_an_exception_undoes_nothing(space: shmspace.Space) -> None:
    st = space.store()
    with pytest.raises(LookupError), st.lock("k") as held:
        held.set(1)
        raise LookupError
    assert (st["k"], take(st, "k", 0)) == (1, False)


def test_held_used_afterwards_is_closed(space: shmspace.Space) -> None:
    st = space.store()
    with st.lock("k") as held:
        pass
    uses: list[Callable[[], Any]] = [lambda: held.entry, lambda: held.set(1), lambda: held.delete()]
    for use in uses:
        with pytest.raises(shmspace.Closed):
            use()
    assert len(st) == 0


def test_a_lock_object_can_be_used_again(space: shmspace.Space) -> None:
    lock = space.store().lock("k", 0)
    for _ in range(3):
        with lock as held:
            assert held.entry is None


def test_the_same_thread_again_is_a_runtime_error(space: shmspace.Space) -> None:
    st = space.store()
    with st.lock("k"):
        for timeout in (0, None):
            with pytest.raises(RuntimeError):
                take(st, "k", timeout)
            with pytest.raises(RuntimeError):
                take(space.store(), "k", timeout)
        with pytest.raises(shmspace.Locked):
            Call(take, st, "k", 0).result()
    assert take(st, "k", 0) is False


def test_locks_of_different_keys_and_stores_are_independent(space: shmspace.Space) -> None:
    st = space.store(shards=1)
    with st.lock("a"), st.lock("b"):
        assert Call(take, st, "c", 0).result() is False
        assert Call(take, space.store("other"), "a", 0).result() is False
        Call(st.set, "a/b", 1, timeout=0).result()


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf])
def test_a_timeout_that_makes_no_sense_is_refused(space: shmspace.Space, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        space.store().lock("k", timeout)


# Others


def writes(st: shmspace.Store, timeout: float | None) -> list[Callable[[], Any]]:
    """Every change of the key ``k/1``."""
    return [
        lambda: st.set("k/1", 2, timeout=timeout),
        lambda: st.incr("k/1", timeout=timeout),
        lambda: st.patch("k/1", {}, timeout=timeout),
        lambda: st.delete("k/1", timeout=timeout),
        lambda: st.delete("k/*", timeout=timeout),
        lambda: st.delete("*/1", timeout=timeout),
        lambda: st.clear(timeout=timeout),
    ]


@pytest.mark.parametrize("timeout", [0, 0.02])
def test_others_writes_are_locked_out_and_reads_are_not(space: shmspace.Space, timeout: float) -> None:
    st = space.store()
    st.update({"k/1": 1, "k/2": 2})
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k/1", keep="held")
        for number, write in enumerate(writes(st, timeout)):
            with pytest.raises(shmspace.Locked) as refusal:
                write()
            if number < 4:
                (holder,) = refusal.value.holders
                assert (holder.pid, holder.alive) == (far.pid, True)
        assert (st["k/1"], st.get("k/1").value, st.keys(), len(st)) == (1, 1, ["k/1", "k/2"], 2)
        assert st.list("k/*")[0].value == 1
        st.set("k/2", 3, timeout=0)
        assert st.delete("x/*", timeout=0) == 0
        far.leave("held")
    st.set("k/1", 2, timeout=0)


@pytest.mark.parametrize("which", range(7))
def test_a_write_waits_until_the_lock_is_free(space: shmspace.Space, which: int) -> None:
    st = space.store()
    st["k/1"] = 1
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k/1", keep="held")
        call = blocked(writes(st, None)[which])
        assert st["k/1"] == 1
        far.leave("held")
        call.result()


def test_waiting_threads_and_processes_get_the_lock_in_the_end(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        with st.lock("k"):
            calls = [blocked(take, st, "k") for _ in range(5)]
            far.begin_enter("st.lock", "k", keep="held").until_blocked()
        far.result()
        assert far.look("held.owner_died") is False
        far.leave("held")
        assert [call.result() for call in calls] == [False] * 5


def test_locked_is_a_timeout_that_says_whom_it_waited_for(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k", keep="held")
        with pytest.raises(shmspace.Timeout) as refusal:
            take(st, "k", 0.01)
        (holder,) = refusal.value.holders
        assert (holder.pid, holder.alive, holder.since > 0) == (far.pid, True, True)
        assert str(far.pid) in str(refusal.value)
        far.leave("held")


def test_a_lock_excludes(space: shmspace.Space) -> None:
    """Read, change and write under the lock, by several threads and a process: no step is lost."""
    st = space.store()
    st["n"] = 0

    def count() -> None:
        for _ in range(100):
            with st.lock("n") as held:
                assert held.entry is not None
                held.set(held.entry.value + 1)

    for call in [Call(count) for _ in range(4)]:
        call.result()
    assert st["n"] == 400


# Death


def test_the_lock_of_a_killed_holder_passes_on_with_the_last_value(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k", keep="held")
        far.do("held.set", {"half": "done"})
        waiting = blocked(take, st, "k")
        far.peer.kill()
        assert waiting.result() is True
    assert st["k"] == {"half": "done"}
    assert take(st, "k", 0) is False


def test_a_write_goes_on_when_the_holder_is_killed(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k", keep="held")
        writing = blocked(st.set, "k", 1)
        far.peer.kill()
        assert writing.result() > 0
    with st.lock("k", 0) as held:
        assert held.owner_died is True


def test_a_dead_holder_is_found_even_without_waiting(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k", keep="held")
        far.peer.kill()
        st.set("k", 1, timeout=0)
        assert st.delete("k*", timeout=0) == 1
        assert take(st, "k", 0) is True


def test_a_stopped_holder_keeps_its_lock(space: shmspace.Space) -> None:
    st = space.store()
    with Puppet(space.name) as far:
        far.do("space.store", keep="st")
        far.enter("st.lock", "k", keep="held")
        os.kill(far.pid, signal.SIGSTOP)
        try:
            with pytest.raises(shmspace.Locked):
                st.set("k", 1, timeout=0.1)
        finally:
            os.kill(far.pid, signal.SIGCONT)
        far.leave("held")


# The end


def test_a_lock_that_was_forgotten_is_given_up(space: shmspace.Space) -> None:
    st = space.store()

    def forget() -> None:
        st.lock("k").__enter__()

    forget()
    gc.collect()
    assert take(st, "k", 0) is False


def test_closing_the_store_gives_its_locks_up(space: shmspace.Space) -> None:
    st, other = space.store(), space.store()
    with pytest.raises(shmspace.Closed), st.lock("k") as held:
        st.close()
        assert Call(take, other, "k", 0).result() is False
        held.set(1)


def test_who_waits_for_a_lock_of_a_store_that_goes_is_told(space: shmspace.Space) -> None:
    st, other = space.store(), space.store()
    with other.lock("k"):
        waiting = [blocked(take, st, "k"), blocked(st.set, "k", 1)]
        st.close()
        for call in waiting:
            with pytest.raises(shmspace.Closed):
                call.result()
        last = space.store()
        waiting = [blocked(take, last, "k"), blocked(last.delete, "*")]
        other.drop()
        for call in waiting:
            with pytest.raises(shmspace.Closed):
                call.result()
    assert space.names() == []
