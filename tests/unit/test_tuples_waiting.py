"""Tuple spaces: who waits is served in turn, readers first; the dead and the stopped; wake-ups by key."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked, until


def waiting_in_turn(ts: shmspace.Tuples, key: str, count: int, *method: Any) -> list[Call]:
    """Calls that block, each surely in line before the next one begins."""
    call, *arguments = method or (ts.take,)
    calls = []
    for number in range(count):
        calls.append(Call(call, key, *arguments))
        until_waiting(ts, key, number + 1)
    return calls


def until_waiting(ts: shmspace.Tuples, key: str, count: int) -> None:
    until(lambda: ts.waiting(key) == count, f"{count} to stand in line")


@pytest.mark.parametrize("timeout", [None, 1e6])
def test_take_and_read_wait_for_a_value(space: shmspace.Space, timeout: float | None) -> None:
    ts = space.tuples()
    taking, reading = blocked(ts.take, "k", timeout=timeout), blocked(ts.read, "k", timeout=timeout)
    many = blocked(ts.take_many, "k", 5, timeout=timeout)
    ts.out("k", "x")
    ts.out("k", "y")
    assert (taking.result(), reading.result(), many.result()) == ("x", "x", ["y"])


def test_each_waits_for_another_process(space: shmspace.Space) -> None:
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        call = blocked(ts.take, "k")
        far.do("ts.out", "k", "x")
        assert call.result() == "x"
        far.begin("ts.read", "k").until_blocked()
        ts.out("k", b"y" * 100_000)
        assert far.result() == b"y" * 100_000
        far.begin("ts.take", "j").until_blocked()
        ts.out("j", "z")
        assert far.result() == "z"


@pytest.mark.parametrize("timeout", [0, 0.0, 0.01])
def test_an_expiry_is_empty_and_leaves_no_trace(space: shmspace.Space, timeout: float) -> None:
    ts = space.tuples()
    used = None
    for _ in range(3):
        for call in (ts.take, ts.read):
            with pytest.raises(shmspace.Empty):
                call("k", timeout=timeout)
        with pytest.raises(shmspace.Empty):
            ts.take_many("k", 5, timeout=timeout)
        used = used or space.stat().used
    assert (space.stat().used, ts.stat()) == (used, (0, 0, 0, 0))
    ts.out("k", "x")
    assert (ts.read("k", timeout=timeout), ts.take_many("k", 5, timeout=timeout)) == ("x", ["x"])


def test_blocked_takers_are_served_in_the_order_they_came(space: shmspace.Space) -> None:
    ts = space.tuples()
    calls = waiting_in_turn(ts, "k", 10)
    ts.out_many("k", range(4))
    for number in range(4, 10):
        ts.out("k", number)
    assert [call.result() for call in calls] == list(range(10))


def test_the_order_holds_across_processes(space: shmspace.Space) -> None:
    ts = space.tuples()
    with Puppet(space.name) as one, Puppet(space.name) as two:
        for far in (one, two):
            far.do("space.tuples", keep="ts")
        one.begin("ts.take", "k")
        until_waiting(ts, "k", 1)
        mine = Call(ts.take, "k")
        until_waiting(ts, "k", 2)
        two.begin("ts.take", "k")
        until_waiting(ts, "k", 3)
        for number in range(3):
            ts.out("k", number)
        assert (one.result(), mine.result(), two.result()) == (0, 1, 2)


def test_no_newcomer_overtakes_one_who_waits(space: shmspace.Space) -> None:
    """Not even while the one who waits is stopped."""
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.take", "k")
        until_waiting(ts, "k", 1)
        far.peer.stop()
        ts.out("k", "first")
        assert ts.try_take("k") is None
        with pytest.raises(shmspace.Empty):
            ts.take("k", timeout=0)
        with pytest.raises(shmspace.Empty):
            ts.take_many("k", 5, timeout=0.01)
        ts.out("k", "second")
        assert ts.try_take("k") == "second"
        far.peer.resume()
        assert far.result() == "first"


def test_take_many_keeps_its_place_and_may_get_one(space: shmspace.Space) -> None:
    ts = space.tuples()
    first = waiting_in_turn(ts, "k", 1, ts.take_many, 5)[0]
    second = Call(ts.take, "k")
    until_waiting(ts, "k", 2)
    ts.out_many("k", ["a", "b"])
    assert (first.result(), second.result()) == (["a"], "b")


def test_one_who_gave_up_leaves_his_place_to_the_next(space: shmspace.Space) -> None:
    ts = space.tuples()
    gone = Call(ts.take, "k", timeout=0.2)
    until_waiting(ts, "k", 1)
    stays = Call(ts.take, "k")
    with pytest.raises(shmspace.Empty):
        gone.result()
    until_waiting(ts, "k", 1)
    ts.out("k", "x")
    assert stays.result() == "x"


def test_all_blocked_readers_see_the_value_before_a_taker_gets_it(space: shmspace.Space) -> None:
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        takers = waiting_in_turn(ts, "k", 1)
        readers = [blocked(ts.read, "k") for _ in range(40)]
        far.begin("ts.read", "k").until_blocked()
        until_waiting(ts, "k", 42)
        ts.out_many("k", ["first", "second"])
        assert [reader.result() for reader in readers] == ["first"] * 40
        assert far.result() == "first"
        assert takers[0].result() == "first"
    assert ts.take("k") == "second"


@pytest.mark.parametrize("size", [10, 1000, 100_000])
def test_a_reader_that_is_stopped_sees_its_value_though_it_was_taken(space: shmspace.Space, size: int) -> None:
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.read", "k")
        until_waiting(ts, "k", 1)
        far.peer.stop()
        ts.out("k", b"x" * size)
        assert ts.take("k", timeout=0) == b"x" * size
        for turn in range(50):
            ts.out("k", bytes([turn]) * size)
            ts.take("k")
        far.peer.resume()
        assert far.result() == b"x" * size
    assert ts.stat() == (0, 0, 0, 0)


def test_readers_and_nobody_else_leave_the_value(space: shmspace.Space) -> None:
    ts = space.tuples()
    readers = [blocked(ts.read, "k") for _ in range(5)]
    ts.out("k", "x")
    assert [reader.result() for reader in readers] == ["x"] * 5
    assert ts.try_take("k") == "x"


def test_a_value_wakes_only_callers_of_its_key(space: shmspace.Space) -> None:
    """The others sleep on: they are not even scheduled for it."""
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.take", "theirs").until_blocked()

        def switches() -> int:
            with open(f"/proc/{far.pid}/status", encoding="ascii") as lines:
                return next(int(line.split()[1]) for line in lines if line.startswith("voluntary_ctxt"))

        before = switches()
        count = 20_000
        for number in range(count):
            ts.out(f"mine/{number % 100}", number)
            ts.take(f"mine/{number % 100}")
        assert switches() - before < count / 20
        ts.out("theirs", "x")
        assert far.result() == "x"


# The dead


@pytest.mark.parametrize("size", [10, 100_000])
def test_what_was_given_to_a_killed_taker_goes_back_to_the_head(space: shmspace.Space, size: int) -> None:
    """Stopped in line, it is given the value, and is killed before it has seen that."""
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.take", "k")
        until_waiting(ts, "k", 1)
        far.peer.stop()
        ts.out("k", b"1" * size)
        ts.out("k", b"2" * size)
        far.kill()
    until(lambda: ts.read("k") == b"1" * size, "the value to come back", within_s=1)
    assert [ts.take("k", timeout=0), ts.take("k", timeout=0)] == [b"1" * size, b"2" * size]
    assert ts.stat() == (0, 0, 0, 0)


def test_what_was_given_to_a_killed_getter_goes_back_to_the_head(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=1)
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.begin("q.get")
        until(lambda: jobs.stat().waiting == 1)
        far.peer.stop()
        jobs.put("x")
        waiting = blocked(jobs.lease)
        far.kill()
        lease = waiting.result()
        assert (lease.value, lease.deliveries) == ("x", 1)
        lease.ack()
    assert jobs.unfinished_tasks == 0


def test_killed_waiters_are_passed_over(space: shmspace.Space) -> None:
    ts = space.tuples()
    puppets = [Puppet(space.name) for _ in range(3)]
    for number, far in enumerate(puppets):
        far.do("space.tuples", keep="ts")
        far.begin("ts.read" if number == 1 else "ts.take", "k")
        until_waiting(ts, "k", number + 1)
    last = Call(ts.take, "k")
    until_waiting(ts, "k", 4)
    for far in puppets:
        far.kill()
        far.__exit__(ValueError, None, None)
    ts.out("k", "x")
    assert last.result() == "x"
    assert (ts.waiting("k"), ts.stat()) == (0, (0, 0, 0, 0))


def test_killed_outs_that_wait_for_room_put_nothing(space: shmspace.Space) -> None:
    ts = space.tuples(bound=1)
    ts.out("k", "there")
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.out", "k", "theirs").until_blocked()
        mine = blocked(ts.out, "k", "mine")
        far.kill()
        assert ts.take("k") == "there"
        mine.result()
    assert (ts.take("k"), ts.stat()) == ("mine", (0, 0, 0, 0))
