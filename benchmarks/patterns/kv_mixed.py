"""kv_mixed: 64-byte values under 10,000 keys: reading, writing, and nine times reading for each write, by one process
and by two at the same time.

`time` is of one operation, as each process sees it, with the loop around it. Keys come in an order that is random and
the same for all. Every value that is read is compared: with one process with what it wrote last, with two (each writes
every key) with the two values that a key may have.
"""

from __future__ import annotations

import functools
import random
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.store_kind import Access, KeyStore, StoreKind, StoreSpec
from benchmarks.competitors.stores import STORE_KINDS
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.crew import Gate, Job, run_jobs
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.pattern import Case, Contestant, Pattern, watchdog_seconds
from benchmarks.payload import cycle
from benchmarks.scale import Scale
from benchmarks.stream import NS

KEYS = 10_000
_READS = 9
_SEED = 1
_FILL_SECONDS = 20.0

Pairs = list[tuple[object, bytes]]
Round = tuple[list[tuple[object, tuple[bytes, ...]]], object, bytes]
"""Keys to read with what may be there, then a key to write with its value."""


@contextmanager
def made(kind: StoreKind, spec: StoreSpec) -> Iterator[KeyStore]:
    """A store for the time of one run."""
    store = kind.create(spec)
    try:
        yield store
    finally:
        store.close()


def _keys(access: Access) -> list[object]:
    return [access.key(f"bench/{number:05d}") for number in range(KEYS)]


def _values(version: int) -> list[bytes]:
    return cycle(period=KEYS, sender=version)


def _pass_of(access: Access, version: int, shuffled: random.Random) -> Pairs:
    pairs = list(zip(_keys(access), _values(version), strict=True))
    shuffled.shuffle(pairs)
    return pairs


def _rounds(access: Access, number: int, processes: int) -> list[Round]:
    """Two cycles of operations that leave every key with the value it had before.

    A key is written with its other value each time, so that it has the first one again after an even number of writes.
    """
    shuffled = random.Random(_SEED + number)
    keys, values = _keys(access), (_values(0), _values(1))
    draw = functools.partial(shuffled.randrange, KEYS)
    one_cycle = [([draw() for _ in range(_READS)], draw()) for _ in range(KEYS // (_READS + 1))]
    state = [0] * KEYS
    rounds: list[Round] = []
    for reads, write in one_cycle * 2:
        both = [(values[0][index], values[1][index]) for index in reads]
        due = both if processes > 1 else [(pair[state[index]],) for pair, index in zip(both, reads, strict=True)]
        state[write] ^= 1
        wanted = list(zip((keys[index] for index in reads), due, strict=True))
        rounds.append((wanted, keys[write], values[state[write]][write]))
    return rounds


def _get_all(access: Access) -> Callable[[], int]:
    get, pairs = access.get, _pass_of(access, 0, random.Random(_SEED))

    def work() -> int:
        for key, due in pairs:
            if get(key) != due:
                raise Failed("a value is not what was stored")
        return KEYS

    return work


def _set_all(access: Access) -> Callable[[], int]:
    put, shuffled = access.set, random.Random(_SEED)
    passes = [_pass_of(access, version, shuffled) for version in (1, 0)]

    def work() -> int:
        for pairs in passes:
            for key, value in pairs:
                put(key, value)
        return 2 * KEYS

    return work


def _mixed(access: Access, number: int, processes: int) -> Callable[[], int]:
    get, put, rounds = access.get, access.set, _rounds(access, number, processes)

    def work() -> int:
        for reads, key, value in rounds:
            for wanted, due in reads:
                if get(wanted) not in due:
                    raise Failed("a value is not what was stored")
            put(key, value)
        return len(rounds) * (_READS + 1)

    return work


def timed(work: Callable[[], int], scale: Scale) -> tuple[int, int, int]:
    """Repeat `work`, which gives how many operations it did; operations after the warm-up, begin and end in ns."""
    clock = time.monotonic_ns
    warm_until_ns = clock() + int(scale.warm_seconds * NS)
    while clock() < warm_until_ns:
        work()
    begin_ns, count = clock(), 0
    until_ns = begin_ns + int(scale.run_seconds * NS)
    while True:
        count += work()
        if (now_ns := clock()) >= until_ns:
            return count, begin_ns, now_ns


def _work(gate: Gate, store: KeyStore, scale: Scale, case: str, number: int, processes: int) -> None:
    access = store.open()
    if case == "get":
        work = _get_all(access)
    elif case == "set":
        work = _set_all(access)
    else:
        work = _mixed(access, number, processes)
    gate.start()
    result = timed(work, scale)
    _check(access, processes)
    gate.finish(result)
    access.close()


def _check(access: Access, processes: int) -> None:
    """Every key has the first of its values, or with two processes either."""
    both = zip(_values(0), _values(1), strict=True)
    for key, due in zip(_keys(access), both, strict=True):
        if access.get(key) not in due[:processes]:
            raise Failed("a value is not what was stored last")


def fill_in_worker(gate: Gate, store: KeyStore, make: Callable[[], Sequence[tuple[str, bytes]]]) -> None:
    """A worker that stores these pairs and says what memory they take, in bytes (0 where the library cannot say)."""
    access = store.open()
    pairs = [(access.key(key), value) for key, value in make()]
    gate.start()
    access.fill(pairs)
    pairs.clear()
    gate.finish(access.used_bytes() if access.used_bytes else 0)
    access.close()


def first_pairs() -> list[tuple[str, bytes]]:
    """All keys with the first of their values."""
    return [(f"bench/{number:05d}", value) for number, value in enumerate(_values(0))]


def _measure(kind: StoreKind, case: Case, scale: Scale) -> Run:
    name, _, count = case.name.partition("_")
    processes = int(count or 1)
    with made(kind, StoreSpec(KEYS, processes=processes)) as store:
        run_jobs([Job(fill_in_worker, (store, first_pairs))], _FILL_SECONDS)
        jobs = [Job(_work, (store, scale, name, number, processes)) for number in range(processes)]
        results = run_jobs(jobs, _FILL_SECONDS + watchdog_seconds(scale))
        times_us = [(end_ns - begin_ns) / 1000 / operations for operations, begin_ns, end_ns in results]
        raw = {"operations": [result[0] for result in results], "times_us": times_us}
        return Run({"time": sum(times_us) / processes}, raw, store.note)


class KeyValues(Pattern):
    """Values by key."""

    name = "kv_mixed"
    title = "Values by key"
    cases = tuple(
        Case(name, f"{title}, {KEYS} keys", "time", "us", higher_is_better=False, ours=ShmspaceStore.name)
        for name, title in (
            ("get", "64 B values read by one process"),
            ("set", "64 B values written by one process"),
            ("mixed", "64 B values, 90 % read, 10 % written, one process"),
            ("mixed_2", "64 B values, 90 % read, 10 % written, each of two processes"),
        )
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(kind.name, kind.version(), functools.partial(_measure, kind)) for kind in STORE_KINDS]
