"""Leases whose holder dies, is stopped, or leaves."""

from __future__ import annotations

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked, until


def come_back(jobs: shmspace.Queue, value: object) -> int:
    """Lease until it is that value, as long as there are others; how often it was delivered."""

    def attempt() -> int:
        lease = jobs.lease(timeout=0)
        (lease.ack if lease.value == value else lease.nack)()
        return int(lease.deliveries) if lease.value == value else 0

    return int(until(attempt, "the value to come back", within_s=0.5))


@pytest.mark.parametrize("value", ["small", "large" * 10_000], ids=len)
def test_the_death_of_the_holder_gives_back_at_once(space: shmspace.Space, value: str) -> None:
    """Also to those who never wait, since there is always another value."""
    jobs = space.queue("q")
    jobs.put_many([value, "other"])
    for _ in range(2):
        with Puppet(space.name) as far:
            far.do("space.queue", "q", keep="q")
            far.do("q.lease", keep="lease")
            assert (far.look("lease.value"), far.look("lease.deliveries")) == (value, 1)
            far.kill()
        assert come_back(jobs, value) == 2
        assert jobs.get() == "other"
        jobs.put_many([value, "other"])


def test_getting_brings_back_what_a_dead_holder_had(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many(["lost", *range(10_000)])
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
        far.kill()
    assert until(lambda: jobs.get(timeout=0) == "lost", "the value to come back", within_s=0.5)


def test_the_death_of_the_holder_wakes_who_waits(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
        call = blocked(jobs.lease)
        far.kill()
        lease = call.result()
        assert (lease.value, lease.deliveries) == ("x", 2)
        lease.ack()


def test_deaths_count_as_deliveries(space: shmspace.Space) -> None:
    jobs = space.queue("q", max_deliveries=2)
    jobs.put("poison")
    for _ in range(2):
        with Puppet(space.name) as far:
            far.do("space.queue", "q", keep="q")
            far.do("q.lease", keep="lease")
            far.kill()
    assert jobs.dead_letters.get(timeout=10) == "poison"
    with pytest.raises(shmspace.Empty):
        jobs.get(timeout=0)
    jobs.join(timeout=0)


def test_many_leases_of_a_dead_holder_come_back_in_order(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many(range(30))
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        for number in range(20):
            far.do("q.lease", keep=f"lease{number}")
        far.do("lease3.ack")
        far.kill()
    until(lambda: jobs.lease(timeout=0).value == 0, "the values to come back")
    assert jobs.get_many(100) == [number for number in range(30) if number != 3]


def test_a_stopped_holder_is_never_robbed(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
        far.peer.stop()
        with pytest.raises(shmspace.Empty) as refusal:
            jobs.lease(timeout=0.4)
        assert [holder.pid for holder in refusal.value.holders] == [far.pid]
        far.peer.resume()
        far.do("lease.ack")
    jobs.join(timeout=0)


def test_a_holder_that_ends_in_order_gives_back(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
    with jobs.lease(timeout=10) as lease:
        assert (lease.value, lease.deliveries) == ("x", 2)
