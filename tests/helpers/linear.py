"""Is a history of concurrent calls linearizable? The search of Wing and Gong, with Lowe's memory of what was tried.

A history is linearizable when its calls can be put into one order that (1) a sequential object could have answered in
the same way, and (2) puts a call before another if it had returned before that other one began. J. M. Wing, C. Gong:
Testing and Verifying Concurrent Objects (1993); G. Lowe: Testing for linearizability (2017).

Every process makes one call after the other, so that how far a search has come is a number for each process.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple


class Done(NamedTuple):
    """One call of one process on one key: what was asked and answered, between which two instants."""

    process: int
    key: str
    what: str
    given: Any
    result: Any
    began: int
    ended: int


# Applies a call to a state: gives the state that follows, or None if the object could not have answered like that.
Step = Callable[[Any, Done], Hashable | None]


def contradiction(history: Iterable[Done], start: Hashable, step: Step) -> list[Done]:
    """Give the calls none of which can come next where the search got farthest; nothing if it is linearizable."""
    lanes: dict[int, list[Done]] = {}
    for done in history:
        lanes.setdefault(done.process, []).append(done)
    rows = [sorted(lane, key=lambda done: done.began) for lane in lanes.values()]
    for row in rows:
        assert all(before.ended <= after.began for before, after in pairwise(row)), "no sequence"
    first = (tuple(0 for _ in rows), start)
    tried, open_ends, best = {first}, [first], first[0]
    while open_ends:
        places, state = open_ends.pop()
        if sum(places) > sum(best):
            best = places
        fronts = [row[place] if place < len(row) else None for row, place in zip(rows, places, strict=True)]
        if not any(fronts):
            return []
        for number, front in enumerate(fronts):
            if front is None or not may_be_next(front, fronts):
                continue
            following = step(state, front)
            reached = (tuple(place + (lane == number) for lane, place in enumerate(places)), following)
            if following is not None and reached not in tried:
                tried.add(reached)
                open_ends.append(reached)
    return [row[place] for row, place in zip(rows, best, strict=True) if place < len(row)]


def may_be_next(done: Done, fronts: Sequence[Done | None]) -> bool:
    """Nothing that is still to come had returned before it began."""
    return all(other is None or other.ended >= done.began for other in fronts)


class Cell(NamedTuple):
    """A key: its value (None: it is missing), its version (None: nobody was told) and the highest known so far."""

    value: int | None = None
    version: int | None = 0
    highest: int = 0


def changed(cell: Cell, value: int | None, version: int | None = None) -> Cell | None:
    """A change with the version it gave, if the caller was told."""
    if version is None:
        return Cell(value, 0 if value is None else None, cell.highest)
    return Cell(value, version, version) if version > cell.highest else None


def known(cell: Cell, version: int) -> Cell | None:
    """Somebody was told the version of what is there; versions of the past do not come back."""
    if cell.version is None:
        return Cell(cell.value, version, version) if version > cell.highest else None
    return cell if version == cell.version else None


def step_of_key(cell: Cell, done: Done) -> Cell | None:
    """What a key of a store may answer: `set`, `set_if`, `get`, `incr`, `delete`.

    Results: a version; ("mismatch", version); (value, version) or "missing"; a number; a count or "missing".
    """
    present = cell.value is not None
    if done.what == "get":
        if done.result == "missing":
            return None if present else cell
        value, version = done.result
        return known(cell, version) if present and value == cell.value else None
    if done.what == "incr":
        return changed(cell, done.result) if done.result == (cell.value or 0) + done.given else None
    if done.what == "delete":
        expected = 1 if present else "missing"
        return changed(cell, None) if done.result == expected else None
    if done.what == "set":
        return changed(cell, done.given, done.result)
    assert done.what == "set_if"
    value, version = done.given
    if isinstance(done.result, tuple):
        return known(cell, done.result[1]) if done.result[1] != version else None
    found = known(cell, version)
    return changed(found, value, done.result) if found else None


Cells = frozenset[tuple[str, Cell]]


def step_of_store(cells: Cells, done: Done) -> Cells | None:
    """What a whole store may answer: calls on single keys, and `delete_all`, whose result is how many there were."""
    found = dict(cells)
    if done.what == "delete_all":
        present = [key for key, cell in found.items() if cell.value is not None]
        gone = {key: Cell(None, 0, found[key].highest) for key in present}
        return frozenset((found | gone).items()) if done.result == len(present) else None
    after = step_of_key(found.get(done.key, Cell()), done)
    return frozenset((found | {done.key: after}).items()) if after else None


def per_key(history: Iterable[Done]) -> Mapping[str, list[Done]]:
    """Keys are independent of each other: every one has a history of its own."""
    found: dict[str, list[Done]] = {}
    for done in history:
        found.setdefault(done.key, []).append(done)
    return found
