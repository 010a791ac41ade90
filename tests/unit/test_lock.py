"""Named locks: one holder in the whole space, given up when its process dies."""

from __future__ import annotations

import math
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked
from tests.helpers.scenario_lock import hold_and_end


def take(space: shmspace.Space, name: str, timeout: float | None = None) -> bool:
    """Hold a lock for a moment; whether its previous holder had died."""
    with space.lock(name, timeout) as held:
        return held.owner_died


def test_a_free_lock_is_taken_even_with_timeout_zero(space: shmspace.Space) -> None:
    assert take(space, "l", 0) is False


def test_a_lock_can_be_taken_again_after_its_release(space: shmspace.Space) -> None:
    for _ in range(3):
        assert take(space, "l", 0) is False


def test_a_held_lock_is_locked_for_other_threads(space: shmspace.Space) -> None:
    with space.lock("l"), pytest.raises(shmspace.Locked):
        Call(take, space, "l", 0).result()


def test_a_held_lock_is_locked_for_other_processes(space: shmspace.Space) -> None:
    with Puppet(space.name) as far, space.lock("l"), pytest.raises(shmspace.Locked):
        far.enter("space.lock", "l", 0, keep="held")


def test_a_positive_timeout_ends_in_locked(space: shmspace.Space) -> None:
    with space.lock("l"), pytest.raises(shmspace.Locked):
        Call(take, space, "l", 0.01).result()


def test_locked_is_a_timeout_that_says_whom_it_waited_for(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        with pytest.raises(shmspace.Timeout) as refusal:
            take(space, "l", 0)
        (holder,) = refusal.value.holders
        assert (holder.pid, holder.alive) == (far.pid, True)
        assert "python" in holder.command
        assert type(holder.since) is int
        assert str(far.pid) in str(refusal.value)
        far.leave("held")


def test_the_same_thread_again_is_a_runtime_error(space: shmspace.Space) -> None:
    with space.lock("l"):
        for timeout in (0, None):
            with pytest.raises(RuntimeError):
                take(space, "l", timeout)


def test_the_lock_is_still_held_after_a_refused_second_try(space: shmspace.Space) -> None:
    with space.lock("l"):
        with pytest.raises(RuntimeError):
            take(space, "l")
        with pytest.raises(shmspace.Locked):
            Call(take, space, "l", 0).result()


def test_locks_of_different_names_are_independent(space: shmspace.Space) -> None:
    with space.lock("a"), space.lock("b"):
        assert Call(take, space, "c", 0).result() is False


def test_a_lock_is_one_for_all_handles_of_the_space(space: shmspace.Space) -> None:
    with (
        shmspace.open(space.name) as other,
        space.lock("l"),
        pytest.raises(shmspace.Locked),
    ):
        Call(take, other, "l", 0).result()


def test_a_lock_name_may_be_bytes(space: shmspace.Space) -> None:
    with space.lock(b"l"), pytest.raises(shmspace.Locked):
        Call(take, space, "l", 0).result()


def test_a_lock_is_released_when_the_block_raises(space: shmspace.Space) -> None:
    with pytest.raises(KeyError), space.lock("l"):
        raise KeyError("on purpose")
    assert take(space, "l", 0) is False


def test_a_waiting_thread_gets_the_lock_when_it_is_released(space: shmspace.Space) -> None:
    with space.lock("l"):
        call = blocked(take, space, "l")
    assert call.result() is False


def test_a_waiting_process_gets_the_lock_when_it_is_released(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        with space.lock("l"):
            far.begin_enter("space.lock", "l", keep="held").until_blocked()
        far.result()
        assert far.look("held.owner_died") is False
        far.leave("held")


def test_all_waiters_get_the_lock_in_the_end(space: shmspace.Space) -> None:
    with space.lock("l"):
        calls = [blocked(take, space, "l") for _ in range(10)]
    assert [call.result() for call in calls] == [False] * 10


def test_a_lock_is_no_structure(space: shmspace.Space) -> None:
    with space.lock("l"):
        assert space.names() == []
    assert space.names() == []


def test_a_lock_and_a_channel_may_share_a_name(space: shmspace.Space) -> None:
    with space.lock("x"):
        space.channel("x").send(b"x", timeout=0)


def test_a_thousand_lock_names_fit_into_the_smallest_space(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        for number in range(1000):
            take(space, f"lock number {number}", 0)
        assert space.check() == []


# Death


def test_a_killed_holder_gives_the_lock_to_its_waiter(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        call = blocked(take, space, "l")
        far.kill()
        assert call.result() is True


def test_a_killed_holder_gives_the_lock_to_whoever_comes_later(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.kill()
    assert take(space, "l", 0) is True


def test_owner_died_is_told_once(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.kill()
    assert [take(space, "l", 0) for _ in range(3)] == [True, False, False]


def test_owner_died_is_true_again_when_the_second_holder_dies_too(space: shmspace.Space) -> None:
    for _ in range(2):
        with Puppet(space.name) as far:
            far.enter("space.lock", "l", keep="held")
            far.kill()
    assert [take(space, "l", 0) for _ in range(2)] == [True, False]


def test_a_holder_that_died_after_releasing_did_not_die_holding(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "l", keep="held")
        far.leave("held")
        far.kill()
    assert take(space, "l", 0) is False


def test_a_killed_waiter_leaves_the_lock_alone(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        with space.lock("l"):
            far.begin_enter("space.lock", "l", keep="held").until_blocked()
            far.kill()
            call = blocked(take, space, "l")
        assert call.result() is False


def test_the_death_of_a_bystander_moves_no_lock(space: shmspace.Space) -> None:
    with Puppet(space.name) as far, space.lock("l"):
        far.enter("space.lock", "other", keep="held")
        far.kill()
        with pytest.raises(shmspace.Locked):
            Call(take, space, "l", 0).result()


@pytest.mark.parametrize("way", ["os._exit", "sys.exit", "abort", "exception", "return", "exec"])
def test_a_holder_that_ends_in_whatever_way_has_died(space: shmspace.Space, way: str) -> None:
    with Peer(hold_and_end, space.name, way) as peer:
        assert peer.said() == "held"
        peer.tell("end")
        peer.finish()
    assert take(space, "l", 0) is True


# Closing


def test_destroying_the_space_wakes_a_waiter_with_closed(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space, space.lock("l"):
        call = blocked(take, space, "l")
        space.destroy()
        with pytest.raises(shmspace.Closed):
            call.result()


def test_closing_the_space_wakes_a_waiter_with_closed(space_name: str) -> None:
    with Puppet(space_name, create=True, size="1M") as far:
        far.enter("space.lock", "l", keep="held")
        space = shmspace.open(space_name)
        call = blocked(take, space, "l")
        space.close()
        with pytest.raises(shmspace.Closed):
            call.result()
        far.leave("held")


def test_a_lock_of_a_closed_space_is_closed(space_name: str) -> None:
    space = shmspace.open(space_name, size="1M")
    space.close()
    with pytest.raises(shmspace.Closed):
        take(space, "l", 0)


# Arguments


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf])
def test_an_impossible_timeout_is_a_value_error(space: shmspace.Space, timeout: float) -> None:
    with pytest.raises(ValueError, match="timeout"):
        take(space, "l", timeout)


@pytest.mark.parametrize("name", ["", "a" * 256, "é" * 128, "a\0", "a\nb", b"\xff", "\udc80"])
def test_an_invalid_lock_name_is_refused(space: shmspace.Space, name: str) -> None:
    with pytest.raises(shmspace.InvalidName):
        take(space, name, 0)


@pytest.mark.parametrize("name", [None, 7])
def test_a_lock_name_that_is_no_text_is_a_type_error(space: shmspace.Space, name: Any) -> None:
    with pytest.raises(TypeError):
        take(space, name, 0)


@pytest.mark.parametrize("name", ["a" * 255, "é" * 127, "with space / and ünïcode"])
def test_every_valid_name_works(space: shmspace.Space, name: str) -> None:
    assert take(space, name, 0) is False
