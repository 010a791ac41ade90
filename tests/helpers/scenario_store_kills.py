"""Work for processes that are killed while they write, lock, list and watch one store.

Keys `data/...` hold messages that say who wrote them and carry a checksum; anybody writes, locks and removes them.
`own/...` belong to one writer each, whose number in them rises. `count/...` are only added to. `log/...` is pushed.
"""

from __future__ import annotations

import contextlib
import random
from pathlib import Path
from typing import Any

import shmspace
from tests.helpers.scenario_traffic import Ledger, message, opened

DATA = tuple(f"data/{number}" for number in range(12))
COUNTS = tuple(f"count/{number}" for number in range(3))
SIZES = (1, 20, 50, 100, 1000, 4096, 5000, 20_000)
FLEETING = tuple(f"fleeting/{number}" for number in range(8))
LOG_ENTRIES = 50
NAME = "kills"


def write_data(name: str, ledger: Path, writer: int) -> None:
    """Set data and a key of one's own, which is noted after it was set, until the file `stop` is beside the ledger."""
    chance, stop, number = random.Random(writer), ledger.with_name("stop"), 0
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        store = space.store(NAME)
        while not stop.exists():
            text = message(writer, number, chance.choice(SIZES))
            ttl = chance.choice([None, None, 0.01])
            with contextlib.suppress(shmspace.VersionMismatch):
                store.set(chance.choice(DATA), text, ttl=ttl, if_version=chance.choice([None, None, 0]))
            store.set(f"own/{writer}", text)
            book.note((writer, number))
            number += 1


def count(name: str, ledger: Path, adder: int) -> None:
    """Add one to some count; note which, and what it became."""
    chance, stop = random.Random(adder), ledger.with_name("stop")
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        store = space.store(NAME)
        while not stop.exists():
            place = chance.randrange(len(COUNTS))
            book.note((place, store.incr(COUNTS[place])))


def push_and_remove(name: str, stop: Path, pusher: int) -> None:
    """Push, and remove what others wrote: by key, by glob, all that was pushed."""
    chance, number = random.Random(pusher), 0
    with shmspace.open(name, create=False) as space:
        store = space.store(NAME)
        while not stop.exists():
            key = store.push("log/*", message(pusher, number, chance.choice(SIZES)))
            assert key.startswith("log/")
            number += 1
            store.pop(chance.choice([key, *DATA]), None)
            if number % 10 == 0:
                store.delete(chance.choice(["data/1*", "data/*", "*/3"]))
            if len(store.keys("log/*")) > LOG_ENTRIES:
                store.delete("log/*")


def rewrite_under_lock(name: str, stop: Path, locker: int) -> None:
    """Hold the lock of a key: nobody else writes it meanwhile, so that it holds what was written last."""
    chance, number = random.Random(locker), 0
    with shmspace.open(name, create=False) as space:
        store = space.store(NAME)
        while not stop.exists():
            key, text = chance.choice(DATA), message(locker, number, chance.choice(SIZES))
            with store.lock(key) as held:
                check_one(held.entry)
                held.set(text)
                assert store[key] == text
                if chance.randrange(3) == 0:
                    held.delete()
                    assert key not in store
            number += 1


def look(name: str, stop: Path, looker: int) -> None:
    """Read in every way; whatever is there is whole, and what only rises does."""
    chance = random.Random(looker)
    last: dict[str, int] = {}
    with shmspace.open(name, create=False) as space:
        store = space.store(NAME)
        while not stop.exists():
            check_one(store.get(chance.choice(DATA), None))
            for entry in store.list(chance.choice(["data/*", "log/*", "own/*"])):
                check_one(entry)
            for entry in store.list("own/*"):
                _, number = opened(entry.value)
                assert number >= last.get(entry.key, 0)
                last[entry.key] = number
            for entry in store.list("count/*"):
                assert entry.value >= last.get(entry.key, 0)
                last[entry.key] = entry.value


def check_one(entry: shmspace.Entry | None) -> None:
    """An entry, if there is one, is one that somebody wrote there."""
    if entry is None:
        return
    writer, _ = opened(entry.value)
    assert not entry.key.startswith("own/") or entry.key == f"own/{writer}"
    assert entry.version > 0
    assert entry.updated == 0 or entry.updated > entry.created


def watch(name: str, stop: Path, _: int) -> None:
    """Watch everything: events are whole, and those of a key are in the order of their versions."""
    versions: dict[str, int] = {}
    with shmspace.open(name, create=False) as space, space.store(NAME).watch() as events:
        while not stop.exists():
            try:
                event = events.next(timeout=0.02)
            except (shmspace.Empty, shmspace.Lagged):
                continue
            check_event(event, versions)


def check_event(event: Any, versions: dict[str, int]) -> None:
    if event.key.startswith("count/"):
        assert type(event.entry.value) is int
    else:
        check_one(event.entry)
    assert event.key == event.entry.key
    known = versions.get(event.key, 0)
    assert event.entry.version > known if event.op == "set" else event.entry.version >= known
    versions[event.key] = event.entry.version


def let_keys_expire(name: str, ledger: Path, number: int) -> None:
    """Set keys that live for a moment and count what is left, for ever; note each turn before it."""
    with shmspace.open(name, create=False) as space, Ledger(ledger) as book:
        store = space.store(NAME)
        for turn in range(1_000_000):
            book.note((number, turn))
            for key in FLEETING:
                store.set(key, 100, ttl=0.0005)
            while len(store):
                store.delete("none/*")
