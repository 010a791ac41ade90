"""`shmspace.limits`: rate limits of the package `limits`, shared by all processes of the machine."""

from __future__ import annotations

import asyncio
import pickle
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import limits
import limits.aio.strategies
import limits.storage
import limits.strategies
import pytest

import shmspace
from shmspace.limit_windows import Windows
from shmspace.limits import AsyncShmspaceStorage, ShmspaceStorage
from tests.helpers.peer import Peer

STRATEGIES = ("fixed", "moving", "sliding")
LIMITERS: dict[str, Any] = {
    "fixed": limits.strategies.FixedWindowRateLimiter,
    "moving": limits.strategies.MovingWindowRateLimiter,
    "sliding": limits.strategies.SlidingWindowCounterRateLimiter,
}
AIO_LIMITERS: dict[str, Any] = {
    "fixed": limits.aio.strategies.FixedWindowRateLimiter,
    "moving": limits.aio.strategies.MovingWindowRateLimiter,
    "sliding": limits.aio.strategies.SlidingWindowCounterRateLimiter,
}
ODD_KEYS = ("*", "a//b", "/", "", "a\nb\x7f", "ä€😀", "\ud800", "%2A", "x" * 5000, "y" * 5000, "LIMITER/1.2.3.4/GET /")


class Clock:
    """What the windows take for the time; the store has the machine's clock."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def time(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr("shmspace.limit_windows.time", made)
    return made


@pytest.fixture
def storage(space_name: str) -> Iterator[Any]:
    made = limits.storage.storage_from_string(f"shmspace://{space_name}", size="16M")
    yield made
    made.close()  # type: ignore[union-attr]


@pytest.fixture
def windows(storage: Any) -> Windows:
    return Windows(storage.store)


# What limits asks for


def test_limits_finds_the_storages_by_their_schemes(storage: Any, space_name: str) -> None:
    assert type(storage) is ShmspaceStorage
    assert isinstance(storage, limits.storage.Storage)
    other: Any = limits.storage.storage_from_string(f"async+shmspace://{space_name}")
    assert type(other) is AsyncShmspaceStorage
    other.close()


def test_the_uri_names_the_space_and_the_store(space_name: str) -> None:
    storage = ShmspaceStorage(f"shmspace://{space_name}/web", size="2M")
    assert (storage.space.name, storage.store.name) == (space_name, "web")
    storage.close()
    storage = ShmspaceStorage(f"shmspace://{space_name}")
    assert storage.store.name == "limits"
    storage.close()


@pytest.mark.parametrize("uri", [None, "", "shmspace://", "shmspace:///store", "shmspace://a/b/c", "shmspace://a?b=c"])
def test_another_uri_is_refused(uri: str | None) -> None:
    with pytest.raises(ValueError, match="shmspace://NAME/STORE"):
        ShmspaceStorage(uri)


def test_a_store_that_was_made_for_more_can_be_used(space: shmspace.Space) -> None:
    space.store("mine", no_events=["quiet/*"])["a/key"] = 1
    storage = ShmspaceStorage(f"shmspace://{space.name}/mine")
    assert storage.incr("key", 60) == 1
    storage.reset()
    assert space.store("mine")["a/key"] == 1
    storage.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_limit_is_reached_and_can_be_cleared(storage: Any, strategy: str) -> None:
    limiter, item = LIMITERS[strategy](storage), limits.parse("3/hour")
    assert [limiter.test(item, "ann"), limiter.hit(item, "ann"), limiter.hit(item, "ann", cost=2)] == [True] * 3
    assert [limiter.test(item, "ann"), limiter.hit(item, "ann")] == [False] * 2
    assert limiter.get_window_stats(item, "ann").remaining == 0
    assert limiter.hit(item, "bob")
    limiter.clear(item, "ann")
    assert limiter.get_window_stats(item, "ann").remaining == 3
    assert limiter.hit(item, "ann")


@pytest.mark.parametrize("strategy", ["moving", "sliding"])
def test_what_is_refused_takes_no_place(storage: Any, strategy: str) -> None:
    limiter, item = LIMITERS[strategy](storage), limits.parse("3/hour")
    assert [limiter.hit(item, cost=cost) for cost in (2, 2, 4, 1)] == [True, False, False, True]


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_it_does_what_the_storage_in_memory_does(storage: Any, strategy: str) -> None:
    ours, item = LIMITERS[strategy](storage), limits.parse("5/hour")
    theirs = LIMITERS[strategy](limits.storage.MemoryStorage())
    for cost in (1, 1, 2, 3, 1, 1):
        assert ours.test(item, "x", cost=cost) == theirs.test(item, "x", cost=cost)
        assert ours.hit(item, "x", cost=cost) == theirs.hit(item, "x", cost=cost)
        (reset, remaining), (reset_there, remaining_there) = (
            limiter.get_window_stats(item, "x") for limiter in (ours, theirs)
        )
        assert remaining == remaining_there
        assert reset == pytest.approx(reset_there, abs=5)


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_coroutines_share_the_limits(storage: Any, strategy: str) -> None:
    async def hits() -> list[bool]:
        made = AsyncShmspaceStorage(f"shmspace://{storage.space.name}")
        limiter = AIO_LIMITERS[strategy](made)
        assert await made.check()
        found = [await limiter.hit(item, "ann"), await limiter.hit(item, "ann"), await limiter.test(item, "ann")]
        assert (await limiter.get_window_stats(item, "ann")).remaining == 0
        made.close()
        return found

    item = limits.parse("3/hour")
    assert LIMITERS[strategy](storage).hit(item, "ann")
    assert asyncio.run(hits()) == [True, True, False]
    assert not LIMITERS[strategy](storage).hit(item, "ann")


@pytest.mark.parametrize("key", ODD_KEYS)
def test_every_text_is_a_key_of_its_own(storage: Any, key: str) -> None:
    assert [storage.incr(other, 60) for other in ODD_KEYS] == [1] * len(ODD_KEYS)
    assert storage.incr(key, 60) == 2
    assert storage.acquire_entry(key, 1, 60)
    assert not storage.acquire_entry(key, 1, 60)
    assert storage.acquire_sliding_window_entry(key, 1, 60)
    storage.clear(key)
    assert (storage.get(key), storage.get_moving_window(key, 1, 60)[1]) == (0, 0)
    assert sum(map(storage.get, ODD_KEYS)) == len(ODD_KEYS) - 1


def test_reset_forgets_all_windows_and_says_how_many(storage: Any) -> None:
    storage.incr("a", 60)
    storage.incr("b", 60)
    storage.acquire_entry("a", 1, 60)
    storage.acquire_sliding_window_entry("a", 1, 60)
    assert storage.reset() == 4
    assert (storage.get("a"), len(storage.store)) == (0, 0)


def test_windows_give_no_events(storage: Any) -> None:
    with storage.store.watch() as events:
        storage.incr("a", 60)
        storage.clear("a")
        storage.reset()
        with pytest.raises(shmspace.Empty):
            events.next(timeout=0)


def test_a_storage_that_is_closed_is_not_healthy_and_raises(space_name: str) -> None:
    storage = ShmspaceStorage(f"shmspace://{space_name}", size="2M")
    wrapping = ShmspaceStorage(f"shmspace://{space_name}", wrap_exceptions=True)
    assert storage.check()
    storage.close()
    wrapping.close()
    assert not storage.check()
    with pytest.raises(shmspace.Closed):
        storage.incr("a", 60)
    with pytest.raises(limits.errors.StorageError):
        wrapping.incr("a", 60)


def test_a_storage_can_be_pickled(storage: Any) -> None:
    storage.incr("a", 60)
    other = pickle.loads(pickle.dumps(storage))
    assert other.get("a") == 1
    other.close()


# When windows end


def test_a_fixed_window_begins_with_its_first_hit_and_ends(windows: Windows, clock: Clock) -> None:
    begin = clock.now
    assert windows.end_fixed("a") == begin
    assert [windows.hit_fixed("a", 10), windows.hit_fixed("a", 10, 2)] == [1, 3]
    clock.now += 9.9
    assert (windows.count_fixed("a"), windows.end_fixed("a")) == (3, begin + 10)
    clock.now += 0.1
    assert (windows.count_fixed("a"), windows.end_fixed("a")) == (0, clock.now)
    assert (windows.hit_fixed("a", 10), windows.end_fixed("a")) == (1, clock.now + 10)


def test_a_fixed_window_can_be_prolonged(windows: Windows, clock: Clock) -> None:
    windows.hit_fixed("a", 10)
    clock.now += 9
    assert windows.hit_fixed("a", 10, prolong=True) == 2
    assert windows.end_fixed("a") == clock.now + 10


def test_a_moving_window_forgets_hit_by_hit(windows: Windows, clock: Clock) -> None:
    begin = clock.now
    for _ in range(3):
        assert windows.hit_moving("a", 3, 10)
        clock.now += 1
    assert not windows.hit_moving("a", 3, 10)
    assert windows.look_moving("a", 3, 10) == (begin, 3)
    clock.now = begin + 10.5
    assert windows.look_moving("a", 3, 10) == (begin + 1, 2)
    assert [windows.hit_moving("a", 3, 10) for _ in range(2)] == [True, False]
    clock.now += 100
    assert windows.look_moving("a", 3, 10) == (clock.now, 0)


def test_a_clock_that_steps_back_lets_nobody_in(windows: Windows, clock: Clock) -> None:
    for strategy in (windows.hit_moving, windows.hit_sliding):
        assert strategy("a", 2, 10)
        clock.now -= 3600
        assert strategy("a", 2, 10)
        assert not strategy("a", 2, 10)
        clock.now += 3600
    windows.hit_fixed("a", 10)
    clock.now -= 3600
    assert (windows.hit_fixed("a", 10), windows.end_fixed("a")) == (2, clock.now + 10)


def test_a_window_of_another_length_is_another_window(windows: Windows) -> None:
    for seconds in (1, 86400):
        assert [windows.hit_sliding("a", 2, seconds, 2) for _ in range(2)] == [True, False]


def test_a_sliding_window_counts_a_part_of_the_one_before(windows: Windows, clock: Clock) -> None:
    clock.now = 1000.0
    for _ in range(10):
        assert windows.hit_sliding("a", 10, 100)
    assert not windows.hit_sliding("a", 10, 100)
    assert windows.look_sliding("a", 100) == (0, 0.0, 10, 200.0)
    clock.now = 1125.0  # three quarters of the one before count: 7.5
    assert windows.look_sliding("a", 100) == (10, 75.0, 0, 175.0)
    assert [windows.hit_sliding("a", 10, 100) for _ in range(4)] == [True, True, True, False]
    clock.now = 1300.0
    assert windows.look_sliding("a", 100) == (0, 0.0, 0, 200.0)


def test_windows_that_are_over_leave_the_store(windows: Windows) -> None:
    windows.hit_fixed("a", 0.05)
    windows.hit_moving("a", 5, 0.05)
    windows.hit_sliding("a", 5, 0.025)
    with windows.store.watch() as events, pytest.raises(shmspace.Empty):
        events.next(timeout=0.2)
    assert len(windows.store) == 0


# Several processes


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_processes_together_take_exactly_as_many_places_as_there_are(storage: Any, strategy: str) -> None:
    """Property: the hits that succeed in all processes are as many as the limit says."""
    with Peer(hit_all, storage.space.name, strategy) as one, Peer(hit_all, storage.space.name, strategy) as other:
        assert [one.said(), other.said()] == ["ready"] * 2
        for peer in (one, other):
            peer.tell("go")
        assert one.said() + other.said() == 1000


def hit_all(talk: Any, name: str, strategy: str) -> None:
    storage = ShmspaceStorage(f"shmspace://{name}")
    limiter, item = LIMITERS[strategy](storage), limits.parse("1000/day")
    talk.send("ready")
    talk.recv()
    talk.send(sum(limiter.hit(item, "all") for _ in range(900)))
    storage.close()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_process_that_is_killed_takes_nothing_with_it(storage: Any, strategy: str) -> None:
    """Property: whenever somebody is killed, hits that were told of count, at most one more does, and hits go on."""
    limiter, item = LIMITERS[strategy](storage), limits.parse("1000000/day")
    for round_number in range(5):
        key = f"round{round_number}"
        with Peer(hit_for_ever, storage.space.name, strategy, key) as peer:
            for _ in range(50 * (round_number + 1)):
                told = peer.said()
            peer.kill()
        count = 1_000_000 - limiter.get_window_stats(item, key).remaining
        assert count >= told
        assert limiter.hit(item, key)
        assert 1_000_000 - limiter.get_window_stats(item, key).remaining == count + 1


def hit_for_ever(talk: Any, name: str, strategy: str, key: str) -> None:
    limiter = LIMITERS[strategy](ShmspaceStorage(f"shmspace://{name}"))
    item, count = limits.parse("1000000/day"), 0
    while limiter.hit(item, key):
        count += 1
        talk.send(count)


# Without limits


def test_the_module_can_be_imported_without_limits_and_says_what_is_missing() -> None:
    program = """if True:
        import sys
        sys.modules["limits"] = None
        import shmspace.limits
        try:
            shmspace.limits.ShmspaceStorage("shmspace://x")
        except ImportError as error:
            print(error)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "shmspace.limits needs the package limits: pip install limits\n"
