"""The history of many processes on a few keys is one that a single process could have had: stores are linearizable.

Property: every call on a key takes effect at one instant between its beginning and its return, a delete of a glob at
one instant for all of its keys; versions of a key rise. Each call is recorded with both times, and a search looks for
an order that explains all results. SHMSPACE_SEED is the seed of what is called; the scheduler has none.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import pytest

import shmspace
from tests.helpers.linear import Cell, Done, contradiction, per_key, step_of_key, step_of_store
from tests.helpers.peer import Peer
from tests.helpers.peer_seed import seeded
from tests.helpers.scenario_store_work import HISTORY_KEYS, make_history

PROCESSES = 4
CALLS = 1500
SINGLE = ("get", "get", "set", "set_if", "set_if", "incr", "delete")
WITH_GLOBS = ("set", "set", "set_if", "incr", "incr", "delete", "delete_all")
STOPS = 25
ROUNDS, ENOUGH = 30, 20


def recorded(name: str, seed: int, kinds: tuple[str, ...], stops: random.Random | None = None) -> list[Done]:
    """The history of some processes that begin at once; with `stops` each is stopped now and then."""
    with contextlib.ExitStack() as stack:
        peers = [
            stack.enter_context(Peer(make_history, name, process, seed, CALLS, kinds)) for process in range(PROCESSES)
        ]
        assert [peer.said() for peer in peers] == ["ready"] * PROCESSES
        for peer in peers:
            peer.tell("go")
        for _ in range(STOPS if stops else 0):
            peer = (stops or random).choice(peers)
            peer.stop()
            peer.resume()
        return [done for peer in peers for done in peer.said()]


def overlapping(history: Sequence[Done]) -> int:
    """How many calls began while one of another process on the same key was under way."""
    rows = sorted(history, key=lambda done: done.began)
    return sum(later.began < earlier.ended and later.process != earlier.process for earlier, later in pairwise(rows))


def explain(history: Sequence[Done]) -> int:
    """Find an order for the calls on each key; how many of these were made at the same time."""
    histories = per_key(history)
    assert set(histories) == set(HISTORY_KEYS)
    for key, calls in histories.items():
        assert contradiction(calls, Cell(), step_of_key) == [], f"no order explains what {key} answered"
    return sum(overlapping(calls) for calls in histories.values())


def explain_several(space: shmspace.Space, shards: int, stops: random.Random | None = None) -> None:
    """Histories, until enough has happened at the same time: a busy machine runs one process after the other."""
    seed, _ = seeded()
    together = 0
    for turn in range(ROUNDS):
        with space.store("h", shards=shards) as store:
            together += explain(recorded(space.name, seed + turn, SINGLE, stops))
            store.drop()
        if together >= ENOUGH:
            return
    raise AssertionError(f"only {together} calls were made at the same time")


@pytest.mark.parametrize("shards", [1, 16])
def test_calls_on_a_key_happen_at_one_instant_each(space: shmspace.Space, shards: int) -> None:
    explain_several(space, shards)


def test_calls_of_processes_that_are_stopped_now_and_then_do_too(space: shmspace.Space) -> None:
    _, chance = seeded()
    explain_several(space, 16, chance)


@pytest.mark.parametrize("shards", [1, 16])
def test_a_delete_of_a_glob_is_one_instant_for_all_keys(space: shmspace.Space, shards: int) -> None:
    """Only writes are looked at: atomic against those is what it is."""
    seed, _ = seeded()
    space.store("h", shards=shards)
    history = recorded(space.name, seed, WITH_GLOBS)
    assert any(done.what == "delete_all" and done.result > 1 for done in history)
    assert contradiction(history, frozenset(), step_of_store) == [], "no order explains what the store answered"


def test_a_true_history_with_one_wrong_answer_is_not_linearizable(space: shmspace.Space) -> None:
    """The search is not so generous that it explains anything."""
    seed, chance = seeded()
    space.store("h")
    history = recorded(space.name, seed, SINGLE)
    calls = list(per_key(history)[HISTORY_KEYS[0]])
    for what, answer in (("get", (-1, 7)), ("incr", -1), ("set", 0), ("set_if", ("mismatch", -1))):
        place = chance.choice([place for place, done in enumerate(calls) if done.what == what])
        wrong = [*calls[:place], calls[place]._replace(result=answer), *calls[place + 1 :]]
        assert contradiction(wrong, Cell(), step_of_key) != []
    swapped = list(calls)
    first, *_, last = [place for place, done in enumerate(calls) if done.what == "get" and done.result != "missing"]
    swapped[first], swapped[last] = (
        calls[first]._replace(result=calls[last].result),
        calls[last]._replace(result=calls[first].result),
    )
    assert contradiction(swapped, Cell(), step_of_key) != []


# The search itself, on histories made by hand: (process, what, given, result, began, ended)

Row = tuple[int, str, Any, Any, int, int]
SET_1: Row = (0, "set", 1, 5, 0, 1)


def by_hand(rows: Sequence[Row]) -> list[Done]:
    return [Done(row[0], "k", *row[1:]) for row in rows]


@pytest.mark.parametrize(
    "rows",
    [
        [],
        [SET_1, (1, "get", None, (1, 5), 2, 3)],
        [(0, "set", 1, 5, 0, 9), (1, "get", None, "missing", 1, 2), (1, "get", None, (1, 5), 3, 4)],
        [(0, "set", 1, 5, 0, 9), (1, "set", 2, 4, 1, 2), (2, "get", None, (1, 5), 3, 4)],
        [(0, "incr", 1, 2, 0, 9), (1, "incr", 1, 1, 1, 8), (2, "get", None, (1, 3), 2, 3)],
        [SET_1, (0, "incr", 1, 2, 2, 3), (1, "get", None, (2, 7), 4, 5), (1, "set_if", (3, 7), 8, 6, 7)],
        [SET_1, (1, "set_if", (3, 0), ("mismatch", 5), 2, 3), (1, "delete", None, 1, 4, 5)],
        [SET_1, (0, "delete", None, 1, 2, 9), (1, "delete", None, "missing", 3, 4)],
        [SET_1, (0, "delete", None, 1, 2, 3), (1, "set_if", (3, 0), 6, 4, 5), (1, "get", None, (3, 6), 6, 7)],
    ],
)
def test_a_history_with_an_order_is_linearizable(rows: Sequence[Row]) -> None:
    assert contradiction(by_hand(rows), Cell(), step_of_key) == []


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([SET_1, (1, "get", None, "missing", 2, 3)], id="a stale read"),
        pytest.param([(0, "get", None, (1, 5), 0, 1), (1, "set", 1, 5, 2, 3)], id="a read from the future"),
        pytest.param(
            [(0, "set", 1, 5, 0, 9), (1, "get", None, (1, 5), 1, 2), (2, "get", None, "missing", 3, 4)], id="back again"
        ),
        pytest.param([SET_1, (1, "set", 2, 4, 2, 3)], id="a version that falls"),
        pytest.param([SET_1, (1, "get", None, (1, 6), 2, 3)], id="another version"),
        pytest.param([(0, "incr", 1, 1, 0, 9), (1, "incr", 1, 1, 1, 8)], id="a lost increment"),
        pytest.param([SET_1, (0, "delete", None, 1, 2, 9), (1, "delete", None, 1, 3, 8)], id="removed twice"),
        pytest.param([(0, "delete", None, "missing", 0, 9), (1, "delete", None, 1, 1, 2)], id="nothing"),
        pytest.param(
            [SET_1, (1, "set_if", (2, 5), 6, 2, 9), (2, "set_if", (3, 5), 7, 3, 8)], id="two winners of one version"
        ),
        pytest.param([SET_1, (1, "set_if", (2, 5), ("mismatch", 5), 2, 3)], id="a refusal without a reason"),
        pytest.param([SET_1, (1, "set_if", (2, 0), 6, 2, 3)], id="an absence that was none"),
        pytest.param([SET_1, (0, "delete", None, 1, 2, 3), (1, "incr", 1, 2, 4, 5)], id="the past comes back"),
    ],
)
def test_a_history_without_an_order_is_not_linearizable(rows: Sequence[Row]) -> None:
    assert contradiction(by_hand(rows), Cell(), step_of_key) != []


def test_a_delete_of_a_glob_in_two_steps_is_not_linearizable() -> None:
    """One key is gone and comes back, the other is set for the first time, before the delete has seen it."""
    rows = [
        Done(0, "a", "set", 1, 1, 0, 1),
        Done(1, "*", "delete_all", None, 2, 2, 9),
        Done(0, "a", "set_if", (2, 0), 2, 3, 4),
        Done(0, "b", "set", 3, 3, 5, 6),
        Done(2, "a", "set_if", (5, 2), 5, 10, 11),
    ]
    assert contradiction(rows, frozenset(), step_of_store) != []
    rows[1] = rows[1]._replace(result=1)
    assert contradiction(rows, frozenset(), step_of_store) == []
