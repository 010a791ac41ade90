"""Queues and tuple spaces whose users are stopped (SIGSTOP): nothing is taken from them, and nobody waits for them.

Property: values go to those who wait in the order in which they came; what was given to a stopped process is delivered
when it goes on, and comes back only when it is dead; wherever takers are stopped, each value is taken once.
"""

from __future__ import annotations

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_seed import seeded
from tests.helpers.peer_wait import until
from tests.helpers.scenario_values import take_steadily

KINDS = ("queue", "tuples")
SIZES = (1, 100_000)
VALUES = 1500


class Shelf:
    """Values of a queue, or at a key."""

    def __init__(self, space: shmspace.Space, kind: str) -> None:
        self.kind = kind
        self.given = [] if kind == "queue" else ["key"]
        self.far = (f"space.{kind}", "q" if kind == "queue" else "t")
        self.structure = space.queue("q") if kind == "queue" else space.tuples("t")

    def put(self, value: object) -> None:
        (self.structure.put if isinstance(self.structure, shmspace.Queue) else self._out)(value)

    def _out(self, value: object) -> None:
        assert isinstance(self.structure, shmspace.Tuples)
        self.structure.out("key", value)

    def take(self, timeout: float | None = None) -> object:
        if isinstance(self.structure, shmspace.Queue):
            return self.structure.get(timeout=timeout)
        return self.structure.take("key", timeout=timeout)

    @property
    def call(self) -> str:
        return "x.get" if self.kind == "queue" else "x.take"


@pytest.fixture(params=KINDS)
def shelf(space: shmspace.Space, request: pytest.FixtureRequest) -> Shelf:
    return Shelf(space, request.param)


def wait_in_line(far: Puppet, shelf: Shelf) -> None:
    far.do(*shelf.far, keep="x")
    far.begin(shelf.call, *shelf.given).until_blocked()


@pytest.mark.parametrize("size", SIZES)
def test_those_in_line_are_served_in_order_though_one_of_them_is_stopped(
    space: shmspace.Space, shelf: Shelf, size: int
) -> None:
    values = [bytes([number]) * size for number in range(4)]
    with Puppet(space.name) as first, Puppet(space.name) as second, Puppet(space.name) as third:
        for far in (first, second, third):
            wait_in_line(far, shelf)
        second.peer.stop()
        for value in values[:3]:
            shelf.put(value)
        assert first.result() == values[0]
        assert third.result() == values[2]
        with pytest.raises(shmspace.Empty):
            shelf.take(0.3)  # that is for the one who is stopped
        shelf.put(values[3])
        assert shelf.take(0) == values[3]
        second.peer.resume()
        assert second.result() == values[1]


def test_what_a_stopped_one_was_given_comes_back_when_it_is_killed(space: shmspace.Space, shelf: Shelf) -> None:
    with Puppet(space.name) as far:
        wait_in_line(far, shelf)
        far.peer.stop()
        shelf.put("given")
        with pytest.raises(shmspace.Empty):
            shelf.take(0.3)
        far.kill()
        assert shelf.take(10) == "given"


def test_who_comes_while_the_first_in_line_is_stopped_waits_behind_it(space: shmspace.Space, shelf: Shelf) -> None:
    with Puppet(space.name) as first, Puppet(space.name) as second:
        wait_in_line(first, shelf)
        first.peer.stop()
        wait_in_line(second, shelf)
        shelf.put("one")
        shelf.put("two")
        assert second.result() == "two"
        first.peer.resume()
        assert first.result() == "one"


@pytest.mark.parametrize("style", ["get", "lease", "take"])
def test_takers_stopped_anywhere_lose_and_double_nothing(space: shmspace.Space, style: str) -> None:
    _, chance = seeded()
    shelf = Shelf(space, "tuples" if style == "take" else "queue")
    taken: list[int] = []
    with Peer(take_steadily, space.name, style) as one, Peer(take_steadily, space.name, style) as other:
        assert (one.said(), other.said()) == ("ready", "ready")
        for number in range(VALUES):
            shelf.put(number)
            if number % 25 == 0:
                far = chance.choice([one, other])
                far.stop()
                for late in range(chance.randrange(20)):
                    shelf.put(VALUES + number * 100 + late)
                far.resume()
        until(lambda: shelf.structure.stat().waiting == 2, "both to wait")
        for far in (one, other):
            taken += far.ask("end")
    assert len(taken) == len(set(taken))
    assert set(range(VALUES)) <= set(taken)
    with pytest.raises(shmspace.Empty):
        shelf.take(0)
