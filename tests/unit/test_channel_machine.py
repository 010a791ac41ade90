"""Channels against a model of ten lines, in any order of calls that hypothesis can think of.

Property: with every kind of delivery, overflow and replay, whatever is called in whatever order,
each reader gets exactly what the model says, each refusal is the model's, and the region is sound.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    invariant,
    precondition,
    rule,
)

import shmspace
from tests.helpers.leftovers import unique_name

messages = st.builds(
    lambda size, number: bytes([number]) * size,
    st.sampled_from([0, 1, 9, 100, 4096, 5000]),
    st.integers(0, 255),
)


class Model:
    """One queue for everybody (number 0), or one for each reader."""

    def __init__(self, *, shared: bool, capacity: int, replay: int, overflow: str) -> None:
        self.shared, self.capacity, self.replay, self.overflow = shared, capacity, replay, overflow
        self.queues: dict[int, list[bytes]] = {0: []} if shared else {}
        self.lost: dict[int, int] = {0: 0}
        self.history: list[bytes] = []
        self.sent = 0

    def open(self, reader: int) -> None:
        if not self.shared:
            self.queues[reader], self.lost[reader] = list(self.history), 0

    def send(self, message: bytes) -> bool:
        full = any(len(queue) >= self.capacity for queue in self.queues.values())
        if full and self.overflow != "oldest":
            return False
        for reader, queue in self.queues.items():
            queue.append(message)
            self.lost[reader] += len(queue) > self.capacity
            del queue[: -self.capacity]
        self.history = [*self.history, message][-self.replay :] if self.replay else []
        self.sent += 1
        return True


class ChannelMachine(RuleBasedStateMachine):
    """Several readers and writers in one process, every call with timeout 0."""

    readers = Bundle("readers")
    writers = Bundle("writers")
    pins = Bundle("pins")

    @initialize(
        delivery=st.sampled_from(["one", "all"]),
        capacity=st.integers(1, 4),
        replay=st.integers(0, 4),
        overflow=st.sampled_from(["wait", "error", "oldest"]),
    )
    def create(self, delivery: str, capacity: int, replay: int, overflow: str) -> None:
        replay = min(replay, capacity)
        self.options: dict[str, Any] = {"capacity": capacity, "overflow": overflow}
        self.options |= {"replay": replay} if replay else {"delivery": delivery}
        self.space = shmspace.open(unique_name("machine"), size="4M")
        self.count = 0
        self.pinned: dict[int, tuple[AbstractContextManager[memoryview], memoryview, bytes]] = {}
        self.start(
            Model(
                shared=not replay and delivery == "one",
                capacity=capacity,
                replay=replay,
                overflow=overflow,
            )
        )

    def start(self, model: Model) -> None:
        self.model = model
        self.channel = self.space.channel("c", **self.options)
        self.open_readers: dict[int, shmspace.Reader] = {}
        self.open_writers: dict[int, shmspace.Writer] = {}
        self.rest: dict[int, bytes] = {}
        self.had_writer = self.shut = self.emptied = False

    def number(self) -> int:
        self.count += 1
        return self.count

    def ended(self) -> bool:
        return self.shut or (self.had_writer and not self.open_writers)

    # Opening and closing

    @precondition(lambda self: not (self.emptied and self.model.replay))
    @rule(target=readers)
    def open_reader(self) -> int:
        number = self.number()
        self.open_readers[number] = self.channel.reader(timeout=0)
        self.model.open(number)
        return number

    @rule(target=writers)
    def open_writer(self) -> int:
        number = self.number()
        self.open_writers[number] = self.channel.writer(timeout=0)
        self.had_writer = True
        return number

    @rule(number=consumes(readers))
    def close_reader(self, number: int) -> None:
        if number in self.open_readers:
            self.open_readers.pop(number).close()
            self.model.queues.pop(number, None)
            self.model.lost.pop(number, None)

    @rule(number=consumes(writers))
    def close_writer(self, number: int) -> None:
        if number in self.open_writers:
            self.open_writers.pop(number).close()

    # Sending

    def expect_send(self, message: bytes) -> type[Exception] | None:
        if self.shut:
            return shmspace.Closed
        return None if self.model.send(message) else shmspace.Full

    @rule(message=messages)
    def send(self, message: bytes) -> None:
        refusal = self.expect_send(message)
        if refusal is None:
            self.channel.send(message, timeout=0)
        else:
            with pytest.raises(refusal):
                self.channel.send(message, timeout=0)

    @rule(number=writers, message=messages)
    def write(self, number: int, message: bytes) -> None:
        if number not in self.open_writers:
            return
        refusal = self.expect_send(message)
        if refusal is None:
            assert self.open_writers[number].write(message) == len(message)
        else:
            with pytest.raises(refusal):
                self.open_writers[number].write(message)

    @rule(number=writers, message=messages)
    def reserve(self, number: int, message: bytes) -> None:
        if number not in self.open_writers:
            return
        refusal = self.expect_send(message)
        if refusal is None:
            self.fill(self.open_writers[number], message)
        else:
            with pytest.raises(refusal):
                self.fill(self.open_writers[number], message)

    def fill(self, writer: shmspace.Writer, message: bytes) -> None:
        with writer.reserve(len(message)) as view:
            view[:] = message

    @rule(batch=st.lists(messages, max_size=6))
    def send_many(self, batch: list[bytes]) -> None:
        if self.shut and batch:
            with pytest.raises(shmspace.Closed):
                self.channel.send_many(batch, timeout=0)
        elif not self.shut:
            taken = [self.model.send(message) for message in batch]
            if batch and not taken[0]:
                with pytest.raises(shmspace.Full):
                    self.channel.send_many(batch, timeout=0)
            else:
                assert self.channel.send_many(batch, timeout=0) == sum(taken)

    # Receiving

    def expect_receive(self, number: int) -> type[Exception] | list[bytes]:
        """The refusal, or the queue with at least one message in it."""
        key = 0 if self.model.shared else number
        if not self.model.shared and self.model.lost[key]:
            return shmspace.Lagged
        return self.model.queues[key] or (shmspace.EndOfStream if self.ended() else shmspace.Empty)

    def refused(self, number: int, refusal: type[Exception], call: Any) -> None:
        with pytest.raises(refusal) as raised:
            call()
        if isinstance(raised.value, shmspace.Lagged):
            assert raised.value.lost == self.model.lost[number]
            self.model.lost[number] = 0

    @rule(number=readers)
    def recv(self, number: int) -> None:
        reader = self.open_readers.get(number)
        if reader is None:
            return
        if number in self.rest:
            assert reader.recv() == self.rest.pop(number)
            return
        expected = self.expect_receive(number)
        if isinstance(expected, list):
            assert reader.recv() == expected.pop(0)
        else:
            self.refused(number, expected, reader.recv)

    @rule(number=readers, max_count=st.integers(1, 5))
    def recv_many(self, number: int, max_count: int) -> None:
        reader = self.open_readers.get(number)
        if reader is None or number in self.rest:
            return
        expected = self.expect_receive(number)
        if isinstance(expected, list):
            assert reader.recv_many(max_count) == expected[:max_count]
            del expected[:max_count]
        else:
            self.refused(number, expected, lambda: reader.recv_many(max_count))

    @rule(number=readers, nbytes=st.sampled_from([1, 50, 4500, -1]))
    def read(self, number: int, nbytes: int) -> None:
        reader = self.open_readers.get(number)
        if reader is None:
            return
        whole = self.rest.pop(number, b"")
        if not whole:
            expected = self.expect_receive(number)
            if isinstance(expected, list):
                if not expected[0]:
                    return
                whole = expected.pop(0)
            elif expected is not shmspace.EndOfStream:
                self.refused(number, expected, lambda: reader.read(nbytes))
                return
        size = len(whole) if nbytes < 0 else nbytes
        assert reader.read(nbytes) == whole[:size]
        if whole[size:]:
            self.rest[number] = whole[size:]

    @rule(target=pins, number=readers)
    def pin(self, number: int) -> int:
        pin = self.number()
        reader = self.open_readers.get(number)
        if reader is None or number in self.rest:
            return pin
        expected = self.expect_receive(number)
        if isinstance(expected, list):
            manager = reader.recv_view()
            self.pinned[pin] = (manager, manager.__enter__(), expected.pop(0))
        else:
            self.refused(number, expected, lambda: reader.recv_view().__enter__())
        return pin

    @rule(pin=consumes(pins))
    def let_go(self, pin: int) -> None:
        if pin in self.pinned:
            manager, view, message = self.pinned.pop(pin)
            assert bytes(view) == message
            manager.__exit__(None, None, None)

    # Ending

    @precondition(lambda self: self.count > 8)
    @rule()
    def shutdown(self) -> None:
        self.channel.shutdown()
        self.shut = True

    @precondition(lambda self: self.count > 8)
    @precondition(lambda self: self.model.shared or not any(self.model.lost.values()))
    @rule()
    def shutdown_immediately(self) -> None:
        self.channel.shutdown(immediate=True)
        self.shut = self.emptied = True
        for queue in self.model.queues.values():
            queue.clear()

    @precondition(lambda self: self.count > 4)
    @rule()
    def drop_and_create_afresh(self) -> None:
        old = [self.channel.recv, *(reader.recv for reader in self.open_readers.values())]
        self.channel.drop()
        model = self.model
        self.start(
            Model(
                shared=model.shared,
                capacity=model.capacity,
                replay=model.replay,
                overflow=model.overflow,
            )
        )
        for recv in old:
            with pytest.raises(shmspace.Closed):
                recv()

    # Always

    @invariant()
    def numbers_agree(self) -> None:
        numbers = self.channel.stat()
        assert numbers.capacity == self.model.capacity
        assert numbers.readers == len(self.open_readers)
        assert numbers.writers == len(self.open_writers)
        assert numbers.sent == self.model.sent
        if self.model.shared:
            assert numbers.waiting == len(self.model.queues[0])
            assert self.emptied or numbers.dropped == self.model.lost[0]

    @invariant()
    def the_region_is_sound(self) -> None:
        assert self.space.check() == []

    def teardown(self) -> None:
        if hasattr(self, "space"):
            try:
                for pin in list(self.pinned):
                    self.let_go(pin)
            finally:
                self.space.destroy()
                self.space.close()


TestChannelMachine = ChannelMachine.TestCase
TestChannelMachine.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
