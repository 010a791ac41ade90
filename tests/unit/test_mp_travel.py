"""How queues of `shmspace.mp` get to other processes, who has them, and that nothing is left when nobody does."""

from __future__ import annotations

import contextlib
import copy
import gc
import multiprocessing
import os
import pickle
import signal
import weakref
from pathlib import Path
from typing import Any

import pytest

import shmspace
from shmspace import mp
from tests.helpers import leftovers, scenario_mp
from tests.helpers.peer import Peer
from tests.helpers.peer_wait import until
from tests.helpers.scenario_mp import METHODS, context, started

KINDS = (mp.Queue, mp.SimpleQueue, mp.JoinableQueue)


def held(pid: int | str = "self") -> int:
    """How many private spaces a process has open or mapped."""
    place = Path(f"/proc/{pid}")
    found = {line.split()[4] for line in (place / "maps").read_text().splitlines() if "memfd:shmspace" in line}
    for descriptor in (place / "fd").iterdir():
        with contextlib.suppress(FileNotFoundError):  # that of the listing itself
            if "memfd:shmspace" in os.readlink(descriptor):
                found.add(str(os.stat(descriptor).st_ino))
    return len(found)


def shared_memory() -> int:
    """Bytes of shared memory that the machine uses."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("Shmem:"))
    return int(line.split()[1]) * 1024


@pytest.fixture
def before() -> int:
    """How many private spaces this process has before a test."""
    gc.collect()
    return held()


# To other processes


@pytest.mark.parametrize("method", METHODS)
def test_values_go_there_and_back(method: str) -> None:
    values = [1, "text", b"bytes" * 50_000, {"deep": [(1, 2), {3}]}, 1 << 99]
    with mp.Queue() as there, mp.Queue() as back, started(method, scenario_mp.echo, there, back):
        for value in values:
            there.put(value)
            assert back.get() == value
        there.put(None)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("kind", KINDS)
def test_it_is_there_what_it_is_here(kind: type[mp.Queue], method: str) -> None:
    ours, theirs = multiprocessing.Pipe()
    made = mp.Queue(3) if kind is mp.Queue else kind()
    with made as queue, ours, theirs:
        queue.put_many("abc")
        with started(method, scenario_mp.describe, queue, theirs):
            assert ours.recv() == (kind.__name__, queue.maxsize, 3, False, kind is mp.Queue)


def test_many_producers_and_consumers_share_a_queue() -> None:
    with mp.Queue(5) as queue, mp.Queue() as books:
        consumers = [started("fork", scenario_mp.collect, queue, books) for _ in range(3)]
        with consumers[0], consumers[1], consumers[2]:
            with (
                started("fork", scenario_mp.put_numbers, queue, 0, 500),
                started("spawn", scenario_mp.put_numbers, queue, 500, 1000),
            ):
                pass
            for _ in range(3):
                queue.put(None)
        got = books.get_many(1) + books.get_many(1) + books.get_many(1)
    assert sorted(number for book in got for number in book) == list(range(1000))
    for book in got:
        for first in (0, 500):
            mine = [number for number in book if first <= number < first + 500]
            assert mine == sorted(mine)


@pytest.mark.parametrize("method", METHODS)
def test_a_queue_goes_through_a_queue(method: str) -> None:
    with mp.Queue() as outer, mp.Queue() as inner:
        got = context(method).Event()
        with started(method, scenario_mp.get_a_queue_and_put, outer, got):
            outer.put(inner)
            assert inner.get() == "through the inner one"
            assert got.is_set()


def test_a_sender_that_has_closed_it_before_it_was_fetched_is_told_about() -> None:
    inner = mp.Queue()
    with mp.Queue() as outer:
        outer.put(inner)
        inner.close()
        with pytest.raises(shmspace.CodecError, match="which sent it, has") as refusal:
            outer.get()
        assert isinstance(refusal.value.__cause__, shmspace.NotFound)


def test_a_descriptor_that_is_another_file_by_now_is_not_taken_for_the_queue() -> None:
    inner = mp.Queue()
    pickled = pickle.dumps(inner)
    inner.close()
    others = [mp.Queue() for _ in range(3)]
    with pytest.raises(shmspace.NotFound, match="which sent it"):
        pickle.loads(pickled)
    for other in others:
        other.close()


def test_a_closed_queue_cannot_be_sent() -> None:
    queue = mp.Queue()
    queue.close()
    with pytest.raises(ValueError, match="closed"):
        pickle.dumps(queue)


def test_a_copy_in_the_same_process_is_the_same_queue() -> None:
    with mp.Queue(2) as queue, pickle.loads(pickle.dumps(queue)) as another, copy.copy(queue) as third:
        queue.put("a")
        third.put("b")
        assert (another.get(), another.get(), another.maxsize) == ("a", "b", 2)


def test_a_child_that_closes_it_leaves_it_open_for_others() -> None:
    with mp.Queue() as queue, started("fork", scenario_mp.close_what_is_there, queue):
        assert queue.get() == "before"
        queue.put("after")
        assert queue.get() == "after"


def test_a_plain_fork_has_the_queue_too() -> None:
    with mp.Queue() as there, mp.Queue() as back:
        child = os.fork()
        if not child:
            try:
                scenario_mp.echo(there, back)
            finally:
                os._exit(0)
        there.put("x")
        assert back.get() == "x"
        there.put(None)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


# Ends


def test_it_has_no_name_in_any_directory() -> None:
    with mp.Queue() as queue:
        assert os.readlink(queue.space.path).startswith("/memfd:")


def test_its_memory_goes_with_the_last_object(before: int) -> None:
    queue = mp.Queue()
    queue.put_many([bytes(1 << 20), "x"])
    lease = queue.lease()
    assert held() == before + 1
    gone = weakref.ref(queue)
    del queue, lease
    assert gone() is None
    assert held() == before


def test_copies_keep_it_until_the_last_one_goes(before: int) -> None:
    first = mp.Queue()
    second = pickle.loads(pickle.dumps(first))
    first.close()
    del first
    second.put("still there")
    assert (second.get(), held()) == ("still there", before + 1)
    second.close()
    del second
    assert held() == before


def test_many_queues_come_and_go_without_a_trace(before: int) -> None:
    descriptors = len(os.listdir("/proc/self/fd"))
    for number in range(50):
        with mp.Queue() as queue:
            queue.put(number)
        del queue
    assert (held(), len(os.listdir("/proc/self/fd"))) == (before, descriptors)


@pytest.mark.parametrize("method", ["spawn", "forkserver"])
def test_a_child_has_only_those_that_it_was_given(method: str) -> None:
    """By fork it has all that the parent has."""
    with mp.Queue() as given, mp.Queue() as another:
        with context(method).Pool(1, scenario_mp.remember, (given,)) as pool:
            pid = pool.apply(scenario_mp.put_what_was_remembered, (7,))
            assert held(pid) == 1
            pool.close()
            pool.join()
        assert (given.get(), another.qsize()) == (7, 0)


def test_processes_that_end_without_closing_it_leave_no_member_behind() -> None:
    with mp.Queue() as queue:
        for _ in range(3):
            with started("fork", scenario_mp.put_numbers, queue, 0, 3):
                pass
        assert queue.get_many(9) == [0, 1, 2] * 3
        assert [member.pid for member in queue.space.members() if member.alive] == [os.getpid()]
        assert queue.space.check() == []


def make_one(talk: Any) -> None:
    queue = mp.Queue()
    queue.put(bytes(1 << 20))
    talk.send(queue)
    talk.recv()


def test_whoever_has_it_keeps_it_when_its_maker_is_killed(before: int) -> None:
    with Peer(make_one) as peer:
        queue = peer.said()
        peer.kill()
    with queue:
        assert held() == before + 1
        assert queue.get() == bytes(1 << 20)
        queue.put("and works on")
        assert queue.get() == "and works on"
        assert queue.space.check() == []
    del queue
    assert held() == before


BLOCK = 128 << 20


def make_a_big_one_and_share_it(talk: Any) -> None:
    queue = mp.Queue()
    child = context("fork").Process(target=scenario_mp.put_and_wait_for_ever, args=(queue, bytes(BLOCK)), daemon=True)
    child.start()
    until(queue.qsize, "the child to put")
    talk.send(child.pid)
    talk.recv()


@pytest.mark.parametrize("last", ["parent", "child"])
def test_nothing_is_left_when_all_who_had_it_are_killed(last: str) -> None:
    """No name in /dev/shm, and the machine has its memory again."""
    files = leftovers.strays()
    with Peer(make_a_big_one_and_share_it) as peer:
        child = peer.said()
        full = shared_memory()
        for who in ("child", "parent") if last == "parent" else ("parent", "child"):
            if who == "parent":
                peer.kill()
            else:
                os.kill(child, signal.SIGKILL)
    until(lambda: shared_memory() < full - BLOCK // 2, "the memory to be given back")
    assert leftovers.strays() <= files
