"""Numbers that every process changes alone and that are added up when they are read: what metrics are made of.

1. Every process has a slot of the store: a small number that it holds by a named lock, as long as it lives. Only who
   has the slot writes the keys that end in it, so that no two processes ever wait for each other.
2. When a process dies, however, the kernel says so, its lock is free and the slot goes to the next process that needs
   one. That one goes on counting from what it finds there: nothing is lost and nothing is counted twice, and there are
   as many slots as processes ever lived at the same time.
3. What counts only while its process lives (``gauge``) is removed by who takes the slot, or by who reads and finds that
   its lock is free.

================================  =====================================================================
``metrics/family/NAME``           what kind of metric it is: a dict of type, help, unit, labels and more
``metrics/counter/NAME/L/SLOT``   a float
``metrics/gauge/NAME/L/SLOT``     a float
``metrics/histogram/NAME/L/SLOT`` the sum, then the count of each bucket by itself
``metrics/last/NAME/L``           a float that belongs to no process
================================  =====================================================================

``L`` are the values of the labels, escaped: ``=get,%2Findex``.
"""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import quote, unquote

from .errors import Locked, VersionMismatch

if TYPE_CHECKING:
    from .space import Space
    from .store import Store

__all__ = ["Series", "define", "drop_dead", "labels_of", "labels_segment", "series"]

_LOCK_NAME_MAX = 60


class _Process:
    """What belongs to this process: its slots, its series, and how often it was forked off."""

    def __init__(self) -> None:
        self.forks = 0
        self.guard = threading.Lock()
        # By space and not by path, under which another one may be made; each has the names of its stores.
        self.slots: weakref.WeakKeyDictionary[Space, dict[Any, _Slot]] = weakref.WeakKeyDictionary()
        self.series: weakref.WeakValueDictionary[tuple[int, Any, str], Series] = weakref.WeakValueDictionary()
        self.inherited: list[object] = []

    def after_fork(self) -> None:
        """In the child: the slots are the parent's."""
        self.forks += 1
        self.guard = threading.Lock()
        self.inherited.append(self.slots)  # nothing is to happen to them when they are collected
        self.slots = weakref.WeakKeyDictionary()


_process = _Process()
os.register_at_fork(after_in_child=_process.after_fork)


class _Slot(NamedTuple):
    """A slot that this process holds, as long as there is the lock."""

    number: int
    lock: object


def _lock_of(store: Store, number: int) -> Any:
    return store.space.lock(f"metrics/{number}/{store.name[:_LOCK_NAME_MAX]!s}", timeout=0)


def _slot_number(store: Store) -> int:
    """Give the number of this process's slot, taking the first that is free; `_process.guard` is held."""
    slots = _process.slots.setdefault(store.space, {})
    if store.name not in slots:
        slots[store.name] = _take_slot(store)
    return slots[store.name].number


def _take_slot(store: Store) -> _Slot:
    number = 0
    while True:
        lock = _lock_of(store, number)
        try:
            lock.__enter__()
        except (Locked, RuntimeError):  # held by another process, or here by way of another `Space`
            number += 1
            continue
        store.delete(f"metrics/gauge/*/*/{number}", silent=True)
        return _Slot(number, lock)


def drop_dead(store: Store) -> None:
    """Remove the gauges of processes that have died; who may only read leaves them."""
    if store.space.readonly:
        return
    mine = _process.slots.get(store.space, {}).get(store.name)
    for number in {int(key.rpartition("/")[2]) for key in store.keys("metrics/gauge/*/*/*")}:
        if mine is not None and number == mine.number:
            continue
        try:
            with _lock_of(store, number):
                store.delete(f"metrics/gauge/*/*/{number}", silent=True)
        except (Locked, RuntimeError):
            pass  # its process lives


class Series:
    """This process's part of one metric with one set of labels: numbers that only this process changes.

    What could not be stored (`SpaceFull`) is stored with the next change. Made by `series`.
    """

    def __init__(self, store: Store, prefix: str, size: int) -> None:
        self._made_of = store, prefix, size
        self._forks = -1
        self._key = ""
        self._lock = threading.Lock()
        self._numbers: list[float] = []

    def __reduce__(self) -> tuple[Any, ...]:
        return series, self._made_of

    def add(self, amount: float) -> None:
        """Add to the only number."""
        if self._forks != _process.forks:
            self._bind()
        with self._lock:
            self._numbers[0] += amount
            self._set(self._key, self._numbers[0], silent=True)

    def put(self, number: float) -> None:
        """Set the only number."""
        if self._forks != _process.forks:
            self._bind()
        with self._lock:
            self._numbers[0] = number
            self._set(self._key, number, silent=True)

    def observe(self, amount: float, index: int) -> None:
        """Add to the first number, and 1 to another."""
        if self._forks != _process.forks:
            self._bind()
        with self._lock:
            self._numbers[0] += amount
            self._numbers[index] += 1
            self._set(self._key, self._numbers, silent=True)

    def begin(self) -> None:
        """Store the numbers as they are, so that there is something to be read."""
        if self._forks != _process.forks:
            self._bind()
        with self._lock:
            self._set(self._key, self._numbers if len(self._numbers) > 1 else self._numbers[0], silent=True)

    def _bind(self) -> None:
        """Find the slot of this process, and what is in it."""
        with _process.guard:
            if self._forks == _process.forks:
                return
            store, prefix, size = self._made_of
            self._key = f"{prefix}/{_slot_number(store)}"
            entry = store.get(self._key, None)
            if entry is None:
                self._numbers = [0.0] * size
            else:
                self._numbers = list(entry.value) if size > 1 else [entry.value]
            self._set = store.set
            self._lock = threading.Lock()  # somebody may have held the other one when the process was forked
            self._forks = _process.forks


def series(store: Store, prefix: str, size: int) -> Series:
    """Give the numbers of this process under a prefix, the same to all who ask for them."""
    with _process.guard:
        key = id(store.space), store.name, prefix  # whoever lives keeps its space alive, so that no id comes twice
        found = _process.series.get(key)
        if found is None:
            found = _process.series[key] = Series(store, prefix, size)
        return found


def define(store: Store, name: str, family: dict[str, Any]) -> None:
    """Write down what a metric is; `ValueError` if there is one of that name that is something else."""
    key = f"metrics/family/{name}"
    try:
        store.set(key, family, if_version=0, silent=True)
    except VersionMismatch:
        found = store[key]
        for what in (*family, *found):
            there, asked = found.get(what), family.get(what)
            if there != asked and what != "help":
                text = f"the metric {name!r} is there already, with {what} {there!r} and not {asked!r}"
                raise ValueError(text) from None


def labels_segment(values: Sequence[str]) -> str:
    """Give values of labels as one segment of a key."""
    return "=" + ",".join(quote(value, safe="", errors="surrogatepass") for value in values)


def labels_of(segment: str, count: int) -> tuple[str, ...]:
    """Give the values of so many labels back."""
    values = segment[1:].split(",") if count else ()
    return tuple(unquote(value, errors="surrogatepass") for value in values)
