"""Queues and tuple spaces against models of a few lines, in any order of calls that hypothesis can think of.

Property: whatever is called in whatever order, every call gives what the model says, each refusal is the model's, the
numbers agree, and the region is sound.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, precondition, rule

import shmspace
from tests.helpers.leftovers import unique_name

values = st.builds(
    lambda size, number: bytes([number]) * size, st.sampled_from([0, 1, 31, 32, 33, 100, 5000]), st.integers(0, 255)
)


def outcome(call: Callable[[], Any]) -> Any:
    """What it gives, or the class of its refusal."""
    try:
        return call()
    except (shmspace.ShmspaceError, ValueError) as error:
        return type(error)


class QueueMachine(RuleBasedStateMachine):
    """One queue, two handles on it, leases in any number; every call with timeout 0."""

    leases = Bundle("leases")

    @initialize(maxsize=st.integers(0, 4), most=st.sampled_from([None, 1, 2, 3]))
    def create(self, maxsize: int, most: int | None) -> None:
        self.space = shmspace.open(unique_name("machine"), size="4M")
        self.options: dict[str, Any] = {"maxsize": maxsize, "max_deliveries": most}
        self.maxsize, self.most = maxsize, most
        self.count = 0
        self.start()

    def start(self) -> None:
        self.handles = [self.space.queue("q", **self.options), self.space.queue("q")]
        self.ready: list[tuple[int, bytes, int]] = []  # place, value, deliveries
        self.leased: dict[int, tuple[shmspace.Lease, tuple[int, bytes, int]]] = {}
        self.dead: list[bytes] = []
        self.places = self.unfinished = 0
        self.shut = self.discarding = False

    def handle(self) -> shmspace.Queue:
        self.count += 1
        return self.handles[self.count % 2]

    def give(self, value: bytes) -> Any:
        if self.shut:
            return shmspace.Closed
        if 0 < self.maxsize <= len(self.ready):
            return shmspace.Full
        self.ready.append((self.places, value, 0))
        self.places += 1
        self.unfinished += 1
        return None

    def nothing(self) -> type[Exception]:
        return shmspace.Closed if self.shut else shmspace.Empty

    @rule(value=values, block=st.booleans())
    def put(self, value: bytes, block: bool) -> None:
        assert outcome(lambda: self.handle().put(value, block, 0)) == self.give(value)

    @rule(batch=st.lists(values, min_size=1, max_size=6))
    def put_many(self, batch: list[bytes]) -> None:
        given = [self.give(value) for value in batch]
        expected = given.count(None) if given[0] is None else given[0]
        assert outcome(lambda: self.handle().put_many(batch, timeout=0)) == expected

    @rule()
    def get(self) -> None:
        expected: Any = self.ready.pop(0)[1] if self.ready else self.nothing()
        assert outcome(self.handle().get_nowait) == expected

    @rule(count=st.integers(1, 5))
    def get_many(self, count: int) -> None:
        expected: Any = [value for _, value, _ in self.ready[:count]] or self.nothing()
        del self.ready[:count]
        assert outcome(lambda: self.handle().get_many(count, timeout=0)) == expected

    @rule(target=leases)
    def lease(self) -> int:
        handle = self.handle()
        if not self.ready:
            assert outcome(lambda: handle.lease(timeout=0)) == self.nothing()
            return -1
        place, value, deliveries = self.ready.pop(0)
        lease = handle.lease(timeout=0)
        assert (lease.value, lease.deliveries) == (value, deliveries + 1)
        self.leased[self.count] = (lease, (place, value, deliveries + 1))
        return self.count

    @rule(number=consumes(leases))
    def ack(self, number: int) -> None:
        if number in self.leased:
            self.leased.pop(number)[0].ack()
            self.unfinished -= self.unfinished > 0

    @rule(number=consumes(leases), way=st.sampled_from(["nack", "close", "forget", "exception"]))
    def nack(self, number: int, way: str) -> None:
        if number not in self.leased:
            return
        lease, entry = self.leased.pop(number)
        if way == "exception":
            with pytest.raises(KeyError), lease:
                raise KeyError
        elif way != "forget":
            getattr(lease, way)()
            lease.nack()
        del lease
        if self.discarding or (self.most and entry[2] >= self.most):
            self.unfinished -= self.unfinished > 0
            if not self.discarding:
                self.dead.append(entry[1])
        else:
            self.ready = sorted([*self.ready, entry])

    @precondition(lambda self: self.unfinished > len(self.ready) + len(self.leased) or not self.unfinished)
    @rule()
    def task_done(self) -> None:
        expected: Any = None if self.unfinished else ValueError
        self.unfinished -= self.unfinished > 0
        assert outcome(self.handle().task_done) == expected

    @rule()
    def get_dead_letter(self) -> None:
        expected: Any = self.dead.pop(0) if self.dead else shmspace.Empty
        self.handle().qsize()
        assert outcome(self.handle().dead_letters.get_nowait) == expected

    @precondition(lambda self: self.count > 12)
    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.handle().shutdown(immediate)
        self.shut = True
        if immediate:
            self.discarding = True
            self.unfinished -= len(self.ready)
            self.ready.clear()

    @precondition(lambda self: self.count > 12)
    @rule()
    def drop_and_create_afresh(self) -> None:
        old, leased = self.handles, [lease for lease, _ in self.leased.values()]
        old[0].drop()
        self.start()
        for handle in old:
            assert outcome(handle.get_nowait) is shmspace.Closed
        for lease in leased:
            lease.ack()
        for handle in old:
            handle.close()

    @precondition(lambda self: self.count > 4)
    @rule()
    def close_a_handle(self) -> None:
        self.handles.pop(self.count % 2).close()
        self.handles.append(self.space.queue("q"))

    @invariant()
    def numbers_agree(self) -> None:
        jobs = self.handles[0]
        assert (jobs.qsize(), jobs.unfinished_tasks) == (len(self.ready), self.unfinished)
        assert jobs.full() == (0 < self.maxsize <= len(self.ready))
        numbers = jobs.stat()
        assert (numbers.ready, numbers.leased, numbers.dead) == (len(self.ready), len(self.leased), len(self.dead))
        assert jobs.is_shutdown == self.shut
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.leased.clear()
            self.space.destroy()
            self.space.close()


keys = st.sampled_from(["", "a", "b", "k" * 300, b"\xff"])


class TuplesMachine(RuleBasedStateMachine):
    """A dict of deques."""

    @initialize(bound=st.sampled_from([None, 1, 3]))
    def create(self, bound: int | None) -> None:
        self.space = shmspace.open(unique_name("machine"), size="4M")
        self.bound, self.count = bound, 0
        self.start()

    def start(self) -> None:
        self.ts = self.space.tuples(bound=self.bound)
        self.model: dict[str | bytes, deque[bytes]] = {}
        self.shut = False

    def give(self, key: str | bytes, value: bytes) -> Any:
        if self.shut:
            return shmspace.Closed
        if self.bound and len(self.model.get(key, ())) >= self.bound:
            return shmspace.Full
        self.model.setdefault(key, deque()).append(value)
        return None

    def head(self, key: str | bytes, *, take: bool) -> Any:
        """The head of a key, or the refusal."""
        self.count += 1
        if key not in self.model:
            return shmspace.Closed if self.shut else shmspace.Empty
        head = self.model[key].popleft() if take else self.model[key][0]
        if not self.model[key]:
            del self.model[key]
        return head

    @rule(key=keys, value=values)
    def out(self, key: str | bytes, value: bytes) -> None:
        assert outcome(lambda: self.ts.out(key, value, timeout=0)) == self.give(key, value)

    @rule(key=keys, batch=st.lists(values, min_size=1, max_size=6))
    def out_many(self, key: str | bytes, batch: list[bytes]) -> None:
        given = [self.give(key, value) for value in batch]
        expected = given.count(None) if given[0] is None else given[0]
        assert outcome(lambda: self.ts.out_many(key, batch, timeout=0)) == expected

    @rule(key=keys)
    def take(self, key: str | bytes) -> None:
        assert outcome(lambda: self.ts.take(key, timeout=0)) == self.head(key, take=True)

    @rule(key=keys)
    def read(self, key: str | bytes) -> None:
        assert outcome(lambda: self.ts.read(key, timeout=0)) == self.head(key, take=False)

    @rule(key=keys, take=st.booleans())
    def try_it(self, key: str | bytes, take: bool) -> None:
        expected = self.head(key, take=take)
        call = self.ts.try_take if take else self.ts.try_read
        assert call(key, "absent") == ("absent" if isinstance(expected, type) else expected)

    @rule(key=keys, count=st.integers(1, 5))
    def take_many(self, key: str | bytes, count: int) -> None:
        expected: Any = [self.head(key, take=True) for _ in range(min(count, max(1, len(self.model.get(key, ())))))]
        if isinstance(expected[0], type):
            expected = expected[0]
        assert outcome(lambda: self.ts.take_many(key, count, timeout=0)) == expected

    @precondition(lambda self: self.count > 12)
    @rule(immediate=st.booleans())
    def shutdown(self, immediate: bool) -> None:
        self.ts.shutdown(immediate)
        self.shut = True
        if immediate:
            self.model.clear()

    @precondition(lambda self: self.count > 12)
    @rule()
    def drop_and_create_afresh(self) -> None:
        old = self.ts
        old.drop()
        self.start()
        assert outcome(lambda: old.take("a", timeout=0)) is shmspace.Closed
        old.close()

    @invariant()
    def numbers_agree(self) -> None:
        lengths = {key: self.ts.len(key) for key in self.ts.keys("")}
        assert lengths == {key: len(held) for key, held in self.model.items()}
        numbers = self.ts.stat()
        assert (numbers.keys, numbers.entries) == (len(self.model), sum(map(len, self.model.values())))
        assert numbers.nbytes >= sum(len(value) for held in self.model.values() for value in held)
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            self.space.destroy()
            self.space.close()


TestQueueMachine = QueueMachine.TestCase
TestQueueMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestTuplesMachine = TuplesMachine.TestCase
TestTuplesMachine.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)
