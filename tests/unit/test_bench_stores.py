"""The benchmarks of stores run, and a store that forgets, invents or loses is found out."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from benchmarks.competitors.store_kind import Access, KeyStore, StoreKind, StoreSpec
from benchmarks.competitors.stores import COUNTER_KINDS, LIBRARIES, STORE_KINDS
from benchmarks.competitors.stores_ours import ShmspaceStore
from benchmarks.harness import run_patterns
from benchmarks.patterns import incr, kv_list, kv_mixed, watch
from benchmarks.patterns.kv_memory import KeyMemory
from benchmarks.patterns.pattern import Contestant, Pattern
from benchmarks.scale import QUICK

TINY = dataclasses.replace(
    QUICK, warm_seconds=0.0, run_seconds=0.01, repeats=1, grace_seconds=30.0, store_keys=1000
)
PATTERNS: tuple[Pattern, ...] = (
    kv_mixed.KeyValues(),
    kv_list.KeyListings(),
    watch.Watching(),
    incr.Counters(),
)


def forget(access: Access) -> Access:
    return dataclasses.replace(access, set=lambda key, value: None, incr=lambda key: 1, values_under=lambda prefix: [])


def invent(access: Access) -> Access:
    return dataclasses.replace(access, get=lambda key: bytes(64), values_under=lambda prefix: [bytes(64)] * 100)


class OddStore(KeyStore):
    def __init__(self, store: KeyStore, change: Callable[[Access], Access]) -> None:
        self._store = store
        self._change = change

    def open(self) -> Access:
        return self._change(self._store.open())

    def close(self) -> None:
        self._store.close()


class OddKind(ShmspaceStore):
    """Named for what it does."""

    def __init__(self, change: Callable[[Access], Access]) -> None:
        self.name = change.__name__
        self._change = change

    def create(self, spec: StoreSpec) -> KeyStore:
        return OddStore(super().create(spec), self._change)


def status(pattern: Pattern, case: str, kind: StoreKind, measure: Callable[..., Any]) -> tuple[str, str]:
    class Alone(Pattern):
        name = pattern.name
        title = pattern.title
        cases = tuple(one for one in pattern.cases if one.name == case)

        def contestants(self, competitors: Any) -> list[Contestant]:
            return [Contestant(kind.name, "1", partial(measure, kind))]

    (table,) = run_patterns([Alone()], [], TINY).tables
    (row,) = table.rows
    return row.status, row.detail


@pytest.mark.parametrize("pattern", PATTERNS, ids=lambda pattern: pattern.name)
def test_every_case_is_measured(pattern: Pattern) -> None:
    report = run_patterns([pattern], [], TINY, only=[ShmspaceStore.name])
    assert [(table.case, row.status, row.detail) for table in report.tables for row in table.rows] == [
        (case.name, "ok", "") for case in pattern.cases
    ]
    assert all(table.value(table.ours) for table in report.tables)


@pytest.mark.parametrize(
    ("pattern", "case", "measure", "change"),
    [
        (kv_mixed.KeyValues(), "get", kv_mixed._measure, invent),
        (kv_mixed.KeyValues(), "set", kv_mixed._measure, invent),
        (kv_mixed.KeyValues(), "mixed", kv_mixed._measure, forget),
        (kv_mixed.KeyValues(), "mixed_2", kv_mixed._measure, invent),
        (kv_list.KeyListings(), "1k", kv_list._measure, forget),
        (kv_list.KeyListings(), "1k", kv_list._measure, invent),
        (incr.Counters(), "same_key", incr._measure, forget),
    ],
    ids=lambda value: getattr(value, "name", None) or getattr(value, "__name__", None) or str(value),
)
def test_a_store_that_cheats_fails(
    pattern: Pattern, case: str, measure: Callable[..., Any], change: Callable[[Access], Access]
) -> None:
    found, detail = status(pattern, case, OddKind(change), measure)
    assert found == "failed", detail


def test_a_million_keys_are_said_to_take_what_the_space_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.patterns.kv_memory._MILLION", 2000)
    report = run_patterns([KeyMemory()], [], TINY, only=[ShmspaceStore.name])
    used = report.tables[0].value(ShmspaceStore.name)
    assert used is not None
    assert 0.1 < used < 10


def test_what_a_library_cannot_do_has_a_reason() -> None:
    for kind in {*LIBRARIES, *STORE_KINDS, *COUNTER_KINDS}:
        assert all(reason for reason in kind.limits.values())
        assert kind.limits.keys() <= {"watch", "list", "keys"}
