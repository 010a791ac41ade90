"""Members of a space: who is attached, what they hold and wait for, and what death leaves."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked, until


def member(space: shmspace.Space, pid: int) -> shmspace.Member | None:
    """The living member with that pid, if there is one."""
    found = [one for one in space.members() if one.pid == pid and one.alive]
    assert len(found) <= 1
    return found[0] if found else None


def test_a_process_sees_itself_as_the_only_member(space: shmspace.Space) -> None:
    (me,) = space.members()
    assert me.pid == os.getpid()
    assert me.alive is True
    assert space.stat().members == 1


def test_since_is_a_time_in_nanoseconds(space: shmspace.Space) -> None:
    (me,) = space.members()
    assert type(me.since) is int
    assert 0 < me.since <= time.time_ns()


def test_a_member_says_its_command(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        found = member(space, far.pid)
        assert found is not None
        assert "python" in found.command


def test_an_idle_member_holds_and_awaits_nothing(space: shmspace.Space) -> None:
    (me,) = space.members()
    assert (list(me.holds), list(me.waits)) == ([], [])


def test_another_process_is_a_member_while_it_is_attached(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        assert {one.pid for one in space.members()} == {os.getpid(), far.pid}
        assert space.stat().members == 2
        far.do("space.close")
        assert member(space, far.pid) is None
        assert space.stat().members == 1


def test_a_member_that_ends_without_closing_is_gone(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        pid = far.pid
    assert member(space, pid) is None
    assert space.stat().members == 1


def test_every_member_sees_the_same_members(space: shmspace.Space) -> None:
    with Puppet(space.name) as one, Puppet(space.name) as two:
        pids = {os.getpid(), one.pid, two.pid}
        for seen in (space.members(), one.do("space.members"), two.do("space.members")):
            assert {each.pid for each in seen} == pids


def test_a_killed_member_is_not_alive(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.kill()
        assert member(space, far.pid) is None


def test_a_killed_member_is_removed_when_another_attaches(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.kill()
    with Puppet(space.name) as another:
        assert {one.pid for one in space.members()} == {os.getpid(), another.pid}


def test_a_stopped_member_is_alive(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.peer.stop()
        assert member(space, far.pid) is not None
        far.peer.resume()


def test_a_clean_leave_is_no_recovery(space: shmspace.Space) -> None:
    with Puppet(space.name):
        pass
    with Puppet(space.name):
        assert space.stat().recoveries == 0


def test_recoveries_counts_the_dead_that_were_cleaned_up_after(space: shmspace.Space) -> None:
    for _ in range(2):
        with Puppet(space.name) as far:
            far.enter("space.lock", "l", keep="held")
            far.kill()
        with space.lock("l"):
            pass
    with Puppet(space.name):
        assert space.stat().recoveries == 2


def test_holds_names_the_lock_that_a_member_holds(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        far.enter("space.lock", "the-build", keep="held")
        found = member(space, far.pid)
        assert found is not None
        assert any("the-build" in str(held) for held in found.holds)
        far.leave("held")
        found = member(space, far.pid)
        assert found is not None
        assert list(found.holds) == []


def test_waits_names_the_lock_that_a_member_waits_for(space: shmspace.Space) -> None:
    with Puppet(space.name) as far:
        with space.lock("the-build"):
            far.begin_enter("space.lock", "the-build", keep="held")
            until(lambda: waits_for(space, far.pid, "the-build"), "the wait to be seen")
        far.result()
        assert not waits_for(space, far.pid, "the-build")
        far.leave("held")


def test_waits_names_the_channel_that_a_member_waits_for(space: shmspace.Space) -> None:
    channel = space.channel("the-jobs")
    with Puppet(space.name) as far:
        far.do("space.channel", "the-jobs", keep="ch")
        far.begin("ch.recv")
        until(lambda: waits_for(space, far.pid, "the-jobs"), "the wait to be seen")
        channel.send(b"x")
        assert far.result() == b"x"
        assert not waits_for(space, far.pid, "the-jobs")


def waits_for(space: shmspace.Space, pid: int, name: str) -> bool:
    found = member(space, pid)
    return found is not None and any(name in str(wait) for wait in found.waits)


def test_a_killed_member_leaves_its_open_ends_to_nobody(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        far.do("ch.writer", keep="writer")
        assert (channel.stat().readers, channel.stat().writers) == (1, 1)
        far.kill()
    with Puppet(space.name):
        assert (channel.stat().readers, channel.stat().writers) == (0, 0)


def test_a_killed_waiter_takes_nothing(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        far.kill()
    channel.send(b"x")
    assert channel.recv() == b"x"


def test_a_killed_waiter_passes_no_wake_up_away_from_a_living_one(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        call = blocked(channel.recv)
        far.kill()
        channel.send(b"x")
        assert call.result() == b"x"


def test_a_killed_member_gives_back_the_memory_of_its_pinned_views(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as space:
        channel = space.channel("c", max_message="1M")
        for _ in range(10):
            channel.send(bytes(500_000))
            with Puppet(space.name) as far:
                far.do("space.channel", "c", keep="ch")
                far.do("ch.reader", keep="reader")
                far.enter("reader.recv_view", keep="view")
                far.kill()
        with Puppet(space.name):
            assert space.check() == []
        channel.send_many([bytes(500_000)] * 2, timeout=0)
        assert len(channel.recv_many(2)) == 2


def test_a_killed_member_gives_back_the_memory_of_its_reservations(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as space:
        channel = space.channel("c", max_message="1M")
        channel.send(b"x")
        for _ in range(10):
            with Puppet(space.name) as far:
                far.do("space.channel", "c", keep="ch")
                far.do("ch.writer", keep="writer")
                far.enter("writer.reserve", 500_000, keep="view")
                far.kill()
        with Puppet(space.name):
            assert space.check() == []
        assert channel.recv_many(10) == [b"x"]
        channel.send_many([bytes(500_000)] * 2, timeout=0)
        assert len(channel.recv_many(2)) == 2


def test_the_killed_holder_of_a_reader_of_all_holds_writers_up_no_longer(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c", capacity=2, delivery="all")
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        channel.send_many([b"x"] * 2)
        with pytest.raises(shmspace.Full):
            channel.send(b"x", timeout=0)
        call = blocked(channel.send, b"x")
        far.kill()
        call.result()


def test_a_check_finds_nothing_after_a_death_in_every_state(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2)
    channel.send_many([bytes(10_000)] * 2)
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        far.do("ch.writer", keep="writer")
        far.enter("space.lock", "l", keep="held")
        far.enter("reader.recv_view", keep="view")
        far.enter("writer.reserve", 10_000, keep="reserved")
        far.kill()
    with Puppet(space.name):
        assert space.check() == []


def test_two_members_can_wait_for_each_others_messages(space: shmspace.Space) -> None:
    there, back = space.channel("there"), space.channel("back")
    with Puppet(space.name) as far:
        far.do("space.channel", "there", keep="there")
        far.do("space.channel", "back", keep="back")
        for turn in range(50):
            far.begin("there.recv")
            there.send(turn)
            assert far.result() == turn
            far.begin("back.send", turn)
            assert back.recv() == turn
            far.result()


def test_holds_names_the_leases_that_a_member_has(space: shmspace.Space) -> None:
    queue = space.queue("jobs")
    queue.put("a")
    with queue.lease():
        (me,) = space.members()
        assert [held for held in me.holds if held.startswith("a lease on queue 'jobs' since ")]
    (me,) = space.members()
    assert me.holds == []


@pytest.mark.parametrize(
    ("work", "text"),
    [
        (lambda space: space.queue("jobs").get(), "a value in queue 'jobs'"),
        (lambda space: space.tuples("bag").take("k"), "a value in tuples 'bag'"),
        (lambda space: space.tuples("bag").read("k"), "a value in tuples 'bag'"),
    ],
)
def test_waits_names_what_a_member_wants_a_value_of(
    space: shmspace.Space, work: Callable[[shmspace.Space], object], text: str
) -> None:
    call = blocked(work, space)
    (me,) = space.members()
    assert text in me.waits
    space.queue("jobs").put(1)
    space.tuples("bag").out("k", 1)
    call.result()


def test_a_member_shows_the_locks_of_keys_that_it_has(space: shmspace.Space) -> None:
    store = space.store("config", shards=2)
    with store.lock("users/7"), store.lock("x" * 1000):
        (member,) = space.members()
        assert [hold.rsplit(" since ", 1)[0] for hold in member.holds] == [
            "the lock of 'users/7' in store 'config'",
            f"the lock of '{'x' * 128}' in store 'config'",
        ]
    assert space.members()[0].holds == []
