"""A call that takes many values at once, interrupted while it decodes one of them, has taken none."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import shmspace


class Trap:
    """Raises when it is unpickled, once it is armed."""

    armed: BaseException | None = None

    def __setstate__(self, state: dict[str, int]) -> None:
        if Trap.armed is not None:
            raise Trap.armed
        self.__dict__.update(state)

    def __init__(self, number: int) -> None:
        self.number = number


@pytest.fixture(params=["queue", "tuples"])
def shelf(request: pytest.FixtureRequest, space: shmspace.Space) -> tuple[Callable[..., Any], Callable[..., Any]]:
    """put_many and get_many, or out_many and take_many of one key."""
    if request.param == "queue":
        queue = space.queue("q", codec="pickle")
        return queue.put_many, queue.get_many
    tuples = space.tuples(codec="pickle")
    return lambda values: tuples.out_many("k", values), lambda count: tuples.take_many("k", count, 0)


def numbers(values: list[Any]) -> list[int]:
    return [value.number if isinstance(value, Trap) else value for value in values]


@pytest.mark.parametrize("place", [0, 1, 40, 99])
def test_an_interrupted_call_has_taken_nothing(shelf: Any, place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    put_many, get_many = shelf
    put_many([Trap(n) if n == place else n for n in range(100)])
    monkeypatch.setattr(Trap, "armed", KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        get_many(100)
    monkeypatch.setattr(Trap, "armed", None)
    assert numbers(get_many(1000)) == list(range(100))


@pytest.mark.parametrize("place", [1, 40, 98])
def test_what_cannot_be_decoded_is_the_first_of_the_next_call(
    shelf: Any, place: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_many, get_many = shelf
    put_many([Trap(n) if n == place else n for n in range(100)])
    monkeypatch.setattr(Trap, "armed", ValueError("armed"))
    assert get_many(100) == list(range(place))
    with pytest.raises(Exception, match="armed"):
        get_many(100)
    monkeypatch.setattr(Trap, "armed", None)
    assert numbers(get_many(100)) == list(range(place + 1, 100))


def test_a_batch_stops_before_what_was_delivered_too_often(space: shmspace.Space) -> None:
    queue = space.queue("q", max_deliveries=1)
    queue.put_many(list(range(10)))
    leases = [queue.lease() for _ in range(3)]
    for lease in reversed(leases[1:]):
        lease.nack()
    leases[0].ack()
    assert queue.get_many(100) == list(range(3, 10))
    assert sorted(queue.dead_letters.get_many(100)) == [1, 2]


def test_a_bounded_queue_lets_all_who_wait_in_when_many_leave_at_once(space: shmspace.Space) -> None:
    queue = space.queue("q", maxsize=2)
    queue.put_many([0, 1])
    with shmspace.Executor(4) as workers:
        waiting = [workers.submit(space.queue("q").put, n) for n in range(2, 42)]
        got: list[int] = []
        while len(got) < 42:
            got += queue.get_many(100)
        for future in waiting:
            future.result(30)
    assert sorted(got) == list(range(42))
