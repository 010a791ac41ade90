"""A store that grows from few keys to very many and shrinks again, while others look keys up and list them.

Property: whatever the growing and the shrinking move about, every key that is there is found, with its value; a listing
has each key that was there all the time once, and none twice; what is emptied costs no memory.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_seed import seeded
from tests.helpers.scenario_store_work import STABLE, find_steadily, key_of, list_steadily, value_of

MANY = 50_000
STEP = 500
FEED = 64


@pytest.fixture
def store(space_name: str) -> Iterator[shmspace.Store]:
    """One shard, so that all of it grows at once."""
    with shmspace.open(space_name, size="256M") as space:
        store = space.store("g", shards=1, feed=FEED)
        store.update(dict.fromkeys(STABLE, "stable"))
        store["sure"] = 0
        yield store


def grow(store: shmspace.Store, many: int = MANY) -> None:
    for number in range(many):
        store[key_of(number)] = value_of(number)
        if number % STEP == STEP - 1:
            store["sure"] = number + 1


def shrink(store: shmspace.Store, many: int = MANY) -> None:
    """Key by key down to a half, and the rest by one glob."""
    for number in reversed(range(many // 2, many)):
        if number % STEP == STEP - 1:
            store["sure"] = number + 1 - STEP
        del store[key_of(number)]
    store["sure"] = 0
    assert store.delete("many/*") == many // 2


LOOKS: dict[str, Callable[..., None]] = {"find": find_steadily, "list": list_steadily}


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize("others", [1, 2])
def test_readers_find_every_key_while_a_store_grows_and_shrinks(store: shmspace.Store, look: str, others: int) -> None:
    seed, _ = seeded()
    with contextlib.ExitStack() as stack:
        peers = [stack.enter_context(Peer(LOOKS[look], store.space.name, seed + n)) for n in range(others)]
        assert [peer.said() for peer in peers] == ["ready"] * others
        grow(store)
        assert len(store) == MANY + len(STABLE) + 1
        shrink(store)
        for peer in peers:
            assert peer.ask("end") > 0, "nothing was looked at meanwhile"
    assert list(store) == sorted([*STABLE, "sure"])


def test_all_of_very_many_keys_are_found_and_listed_once(store: shmspace.Store) -> None:
    grow(store)
    expected = {key_of(number): value_of(number) for number in range(MANY)}
    assert store.keys("many/*") == sorted(expected)
    found = store.list("many/*")
    assert [entry.key for entry in found] == list(expected)
    assert [entry.value for entry in found] == list(expected.values())
    assert [entry.key for entry in store.list("many/*", order="desc", limit=3)] == list(expected)[:-4:-1]
    assert all(store[key] == value for key, value in expected.items())
    assert all(f"many/{number}" not in store for number in range(MANY, MANY + 1000))
    assert store.stat().keys == MANY + len(STABLE) + 1


def test_growing_again_needs_no_more_memory_than_the_first_time(store: shmspace.Store) -> None:
    used: list[tuple[Any, Any]] = []
    for _ in range(3):
        grow(store, MANY // 5)
        grown = store.space.stat().used
        shrink(store, MANY // 5)
        used.append((grown, store.space.stat().used))
        assert store.space.check() == []
    assert used[2][0] <= used[1][0]
    assert used[2][1] <= used[1][1]


def test_a_store_that_filled_its_space_can_be_emptied_and_filled_again(space: shmspace.Space) -> None:
    """Removing needs no memory, and the same fits again."""
    store, fitted = space.store("g", shards=1, feed=FEED), []
    for _ in range(3):
        fitted.append(fill(store))
        assert len(store) == fitted[-1]
        assert all(store[key_of(number)] == bytes([number % 256]) * 3000 for number in range(fitted[-1]))
        assert store.delete("many/*") == fitted[-1]
        assert space.check() == []
    assert fitted[0] > 1000
    assert fitted[2] >= fitted[1] - FEED  # what is remembered of the past may differ in size


def fill(store: shmspace.Store) -> int:
    """How many fit."""
    number = 0
    with contextlib.suppress(shmspace.SpaceFull):
        while True:
            store[key_of(number)] = bytes([number % 256]) * 3000
            number += 1
    return number
