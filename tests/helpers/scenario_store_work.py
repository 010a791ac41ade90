"""Work for processes on one store: calls that are written down, writers, watchers, holders of locks."""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import shmspace
from tests.helpers.linear import Done
from tests.helpers.peer_wait import Call
from tests.helpers.scenario_traffic import Ledger

HISTORY_KEYS = ("h/0", "h/1", "h/2")
SHARED_KEYS = tuple(f"k/{number}" for number in range(8))
SHORT_S = 0.02


def make_history(talk: Connection, name: str, process: int, seed: int, count: int, kinds: tuple[str, ...]) -> None:
    """Make calls of these kinds on a few keys, once told to; say what each of them gave, and when."""
    chance, seen = random.Random(f"{seed}/{process}"), dict.fromkeys(HISTORY_KEYS, 0)
    with shmspace.open(name, create=False) as space:
        store = space.store("h")
        talk.send("ready")
        talk.recv()
        history = []
        for number in range(count):
            key, what = chance.choice(HISTORY_KEYS), chance.choice(kinds)
            value = (process + 1) * 1_000_000_000 + number * 1000
            given = {"set": value, "set_if": (value, seen[key]), "incr": number % 3 + 1}.get(what)
            began = time.monotonic_ns()
            result = CALLS[what](store, key, given)
            history.append(Done(process, key, what, given, result, began, time.monotonic_ns()))
            seen[key] = version_told(what, result, seen[key])
        talk.send(history)
        talk.recv()


def version_told(what: str, result: Any, before: int) -> int:
    """The version of a key after a call on it, as far as the caller knows."""
    if result == "missing":
        return 0
    if isinstance(result, tuple):
        return int(result[1])
    return int(result) if what in ("set", "set_if") else before


def _get(store: shmspace.Store, key: str, _: Any) -> Any:
    entry = store.get(key, None)
    return (entry.value, entry.version) if entry else "missing"


def _set_if(store: shmspace.Store, key: str, given: Any) -> Any:
    try:
        return store.set(key, given[0], if_version=given[1])
    except shmspace.VersionMismatch as refusal:
        return "mismatch", refusal.version


def _delete(store: shmspace.Store, key: str, _: Any) -> Any:
    try:
        return store.delete(key)
    except shmspace.NotFound:
        return "missing"


CALLS: dict[str, Callable[[shmspace.Store, str, Any], Any]] = {
    "get": _get,
    "set": lambda store, key, given: store.set(key, given),
    "set_if": _set_if,
    "incr": lambda store, key, given: store.incr(key, given),
    "delete": _delete,
    "delete_all": lambda store, key, given: store.delete("h/*"),
}


class Books(NamedTuple):
    """What one writer did: keys and values in order, and how many it removed."""

    written: list[tuple[str, Any]]
    removed: int


def write_steadily(talk: Connection, name: str, process: int, seed: int, count: int) -> None:
    """Change shared keys in every way, once told to; say what was done. No value is written twice to a key."""
    chance = random.Random(f"{seed}/{process}")
    with shmspace.open(name, create=False) as space:
        store = space.store("w")
        talk.send("ready")
        talk.recv()
        written: list[tuple[str, Any]] = []
        removed = 0
        for number in range(count):
            removed += change(store, chance, written, [process, number])
        talk.send(Books(written, removed))


def change(store: shmspace.Store, chance: random.Random, written: list[tuple[str, Any]], value: list[int]) -> int:
    """Make one change; how many it removed."""
    key, way = chance.choice(SHARED_KEYS), chance.randrange(20)
    if way < 12:
        store.set(key, value)
        written.append((key, value))
    elif way < 14:
        written.append(("n/count", store.incr("n/count")))
    elif way < 15:
        written.append((store.push("p/*", value), value))
    elif way < 16:
        key, partial = f"d/{value[0]}", {str(value[1]): 1}
        written.append((key, store.patch(key, partial).value))
    elif way < 19:
        found = _delete(store, key, None)
        return 0 if found == "missing" else int(found)
    else:
        return store.delete(chance.choice(["k/*", "*/3", "p/*"]))
    return 0


class Seen(NamedTuple):
    """What a watcher was given, how many it was told it missed, and how often it was told so."""

    events: list[shmspace.Event]
    lost: int
    lags: int


def watch_steadily(talk: Connection, name: str, glob: str | None, piece: int) -> None:
    """Watch until told to end; say what was seen. With `piece` it closes and resumes after so many events."""
    with shmspace.open(name, create=False) as space:
        store = space.store("w")
        watch = store.watch(glob)
        talk.send("ready")
        events, lost, lags = [], 0, 0
        while True:
            last = talk.poll(0)
            try:
                while True:
                    events.append(watch.next(timeout=0 if last else SHORT_S))
                    if piece and len(events) % piece == 0:
                        watch.close()
                        watch = store.watch(glob, start=events[-1].seq)
            except shmspace.Lagged as overtaken:
                lost += overtaken.lost
                lags += 1
            except shmspace.Empty:
                if last:
                    break
        talk.send(Seen(events, lost, lags))
        talk.recv()
        watch.close()


def add_under_lock(name: str, book: Path, number: int) -> None:
    """Add one to a number by reading and writing it under its lock, until the file `stop`; note what it became."""
    with shmspace.open(name, create=False) as space, Ledger(book) as ledger:
        store, stop = space.store("l"), book.with_name("stop")
        while not stop.exists():
            ledger.note((number, add_one(store)))


def add_one(store: shmspace.Store, key: str = "k/sum") -> int:
    """Right only if nobody else writes between the reading and the writing."""
    with store.lock(key) as held:
        became = int(held.entry.value) + 1 if held.entry else 1
        held.set(became)
    return became


def add_in_threads(name: str, threads: int) -> None:
    """Add, all threads of a process at once, for ever."""

    def add() -> None:
        while True:
            add_one(store)

    with shmspace.open(name, create=False) as space:
        store = space.store("l")
        for call in [Call(add) for _ in range(threads)]:
            call.result()


def stand_in_line(name: str, threads: int) -> None:
    """Threads that want the lock of k/held: who gets it says so there, and keeps it until killed, or until "over"."""

    def stand() -> None:
        store.incr("standing")
        with store.lock("k/held") as held:
            store.incr("passes")
            held.set([os.getpid(), held.owner_died])
            ends.read("over")

    with shmspace.open(name, create=False) as space:
        store, ends = space.store("l"), space.tuples("ends")
        for call in [Call(stand) for _ in range(threads)]:
            call.result()


def write_past_the_lock(name: str, book: Path, number: int) -> None:
    """Write another key that has no lock, and read the one that has, until the file `stop`."""
    with shmspace.open(name, create=False) as space, Ledger(book) as ledger:
        store, stop, last = space.store("l"), book.with_name("stop"), 0
        while not stop.exists():
            ledger.note((number, store.incr(f"own/{number}")))
            entry = store.get("k/sum", None)
            assert entry is None or entry.value >= last
            last = entry.value if entry else last


def key_of(number: int) -> str:
    return f"many/{number}"


def value_of(number: int) -> list[Any]:
    return [number, "x" * (number % 40)]


STABLE = tuple(f"stable/{number:03}" for number in range(100))


def find_steadily(talk: Connection, name: str, seed: int) -> None:
    """Look keys up that must be there, until told to end; say how many were found.

    `sure` is a number below which every key is there: it rises after keys were added and falls before they go.
    """
    chance, found = random.Random(seed), 0
    with shmspace.open(name, create=False) as space:
        store = space.store("g")
        talk.send("ready")
        while not talk.poll(0):
            assert store[chance.choice(STABLE)] == "stable"
            below = store["sure"]
            if not below:
                continue
            number = chance.randrange(below)
            entry = store.get(key_of(number), None)
            if entry is None:
                assert store["sure"] <= number, f"{key_of(number)} was not found, {below} were there"
            else:
                assert entry.value == value_of(number)
            found += 1
        talk.send(found)


def list_steadily(talk: Connection, name: str, _: int) -> None:
    """List in every way until told to end; say how many listings there were."""
    with shmspace.open(name, create=False) as space:
        store = space.store("g")
        talk.send("ready")
        listings = 0
        while not talk.poll(0):
            for listing in listings_of(store):
                assert [key for key in listing if key.startswith("stable/")] == list(STABLE)
                assert len(set(listing)) == len(listing), "a key was listed twice"
                listings += 1
        talk.send(listings)


def listings_of(store: shmspace.Store) -> Iterator[list[str]]:
    yield [entry.key for entry in store.list("stable/*")]
    yield store.keys("stable/*")
    yield [entry.key for entry in store.list("*/*")]
    yield list(store)


def write_fresh_stores(name: str, writers: int, writer: int, turns: int) -> None:
    """Write the first keys of one new store after the other, all writers at once, each with deletes too."""
    with shmspace.open(name, create=False) as space:
        control = space.store("control")
        for turn in range(turns):
            with space.store(f"fresh-{turn}") as store:
                control.incr("ready")
                until_at_least(control, "turn", turn)
                for number in range(20):
                    if number % writers == writer:
                        store.delete("none/*")
                    store.set(f"k/{number % 8}", [writer, number])
            control.incr("done")


def until_at_least(control: shmspace.Store, key: str, value: int) -> None:
    """Without a pause: writers are to begin at the same time."""
    while control[key] < value:
        pass
