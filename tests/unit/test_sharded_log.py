"""Sharded logs: which key goes where, and that each shard is a log of its own."""

from __future__ import annotations

import pickle
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked


def fnv1a(key: bytes) -> int:
    """The 32-bit hash, as it is defined."""
    value = 2166136261
    for byte in key:
        value = (value ^ byte) * 16777619 % (1 << 32)
    return value


def pair(log: shmspace.ShardedLog) -> tuple[str, str, str]:
    """Two keys that share a shard and one that has another."""
    keys = [f"key {number}" for number in range(1000)]
    shard = log.shard_of(keys[0])
    return (
        keys[0],
        next(key for key in keys[1:] if log.shard_of(key) == shard),
        next(key for key in keys if log.shard_of(key) != shard),
    )


@pytest.mark.parametrize("shards", [2, 3, 64])
@pytest.mark.parametrize("key", ["", "foobar", "grüße", b"\xff\xfe\x00", "k" * 1000])
def test_the_shard_is_the_hash_of_the_key(space: shmspace.Space, key: str | bytes, shards: int) -> None:
    assert fnv1a(b"foobar") == 0xBF9CF968
    stored = key.encode() if isinstance(key, str) else key
    log = space.sharded_log("s", shards=shards)
    assert log.shards == shards
    assert log.shard_of(key) == log.shard_of(stored) == fnv1a(stored) % shards


def test_64_shards_is_the_default(space: shmspace.Space) -> None:
    assert space.sharded_log("s", segment_size=4).shards == 64


def test_each_shard_has_offsets_of_its_own(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=4)
    here, also, there = pair(log)
    assert [log.append(key, key.encode(), time=7) for key in (here, also, there, here)] == [0, 1, 0, 2]
    assert log.read(here, 1) == log.read(also, 1) == (1, 7, also.encode(), also.encode())
    assert log.read(there, 0) == (0, 7, there.encode(), there.encode())
    assert (log.range(here), log.range(also), log.range(there)) == ((0, 2), (0, 2), (0, 0))
    assert [record.key for record in log.read_batch(here, 0, 9)] == [key.encode() for key in (here, also, here)]
    assert log.consume(also, OLDEST, 2) == (2, list(log.read_batch(here, 0, 2)))
    assert (log.read(there, NEWEST).offset, log.read(here, NEWEST).offset) == (0, 2)
    with log.stream(also, 1) as stream:
        assert [stream.next(timeout=0).offset for _ in range(2)] == [1, 2]


def test_the_refusals_of_a_shard_are_those_of_a_log(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=2, segment_size=2, max_record=100)
    for number in range(5):
        log.append("k", b"%d" % number)
    with pytest.raises(shmspace.OutOfRange) as refusal:
        log.read("k", 0)
    assert (refusal.value.earliest, refusal.value.next) == (2, 5)
    other = next(key for key in "abcdef" if log.shard_of(key) != log.shard_of("k"))
    assert log.range(other) is None
    for call in (lambda: log.read("k", 5), lambda: log.read(other, 0), lambda: log.consume("k", 6)):
        with pytest.raises(shmspace.FutureOffset):
            call()
    with pytest.raises(shmspace.InvalidOffset):
        log.read(other, OLDEST)
    with pytest.raises(shmspace.OutOfRange):
        log.read_batch("k", 1, 5)
    with pytest.raises(shmspace.TooLarge):
        log.append("k", bytes(101))
    with pytest.raises(shmspace.CodecError):
        log.append("k", "text")
    with pytest.raises(ValueError, match="max_count"):
        log.consume("k", 0, 0)
    with pytest.raises(ValueError, match="timeout"):
        log.consume("k", 2, timeout=-1)


@pytest.mark.parametrize("call", ["append", "read", "read_batch", "consume", "range", "stream", "shard_of"])
def test_there_must_be_a_key(space: shmspace.Space, call: str) -> None:
    log: Any = space.sharded_log("s", shards=2)
    arguments = {"append": (b"x",), "read": (0,), "read_batch": (0, 1), "consume": (0,)}.get(call, ())
    with pytest.raises(shmspace.InvalidKey):
        getattr(log, call)(None, *arguments)
    with pytest.raises(TypeError):
        getattr(log, call)(7, *arguments)
    assert log.stat().records == 0


@pytest.mark.parametrize(("shards", "error"), [(1, ValueError), (0, ValueError), (-5, ValueError), (2.0, TypeError)])
def test_the_number_of_shards_is_checked(space: shmspace.Space, shards: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match="shards"):
        space.sharded_log("s", shards=shards)
    assert space.names() == []


def test_tombstones_times_and_codecs_are_those_of_a_log(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=2, codec="auto")
    log.append("k", {"a": 1})
    log.append("k", None, time=3)
    log.append("k", "")
    assert [record.value for record in log.read_batch("k", 0, 9)] == [{"a": 1}, None, ""]
    assert (log.read("k", 1).data, log.read("k", 1).time) == (None, 3)


def test_a_start_holds_for_every_shard(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=4, start_offset=100, segment_size=2)
    here, _, there = pair(log)
    assert [log.append(here, b"x") for _ in range(5)] == [100, 101, 102, 103, 104]
    assert (log.append(there, b"x"), log.range(here), log.range(there)) == (100, (102, 104), (100, 100))


# sharder=


def test_keys_may_have_a_shard_each(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=4, sharder=["a", b"b", ""])
    assert sorted({log.shard_of(key) for key in ("a", "b", "")}) == [0, 1, 2]
    for key in ("a", "b", b""):
        assert [log.append(key, b"x"), log.append(key, b"y")] == [0, 1]
    for key in ("c", b"\xff"):
        with pytest.raises(shmspace.NotFound):
            log.append(key, b"x")
        with pytest.raises(shmspace.NotFound):
            log.read(key, 0)
        with pytest.raises(shmspace.NotFound):
            log.range(key)
    with pytest.raises(shmspace.InvalidKey):
        log.append(None, b"x")  # type: ignore[arg-type]
    assert log.stat().records == 6


@pytest.mark.parametrize("sharder", [["a", "b", "c"], ["a", "a"], ["a", b"a"]])
def test_too_many_keys_or_one_twice_are_refused(space: shmspace.Space, sharder: list[Any]) -> None:
    with pytest.raises(ValueError, match="sharder"):
        space.sharded_log("s", shards=2, sharder=sharder)
    assert space.names() == []


def test_as_many_keys_as_shards_are_welcome(space: shmspace.Space) -> None:
    keys = [f"k{number}" for number in range(100)]
    log = space.sharded_log("s", shards=100, sharder=keys, segment_size=2)
    assert [log.append(key, b"x") for key in keys] == [0] * 100
    assert space.sharded_log("s").shard_of("k99") == log.shard_of("k99")


def test_another_process_adopts_the_keys(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=2, sharder=["a", "b"])
    with Puppet(space.name) as far:
        far.do("space.sharded_log", "s", keep="log")
        assert far.do("log.append", "b", b"far") == 0
        assert log.read("b", 0).data == b"far"
        with pytest.raises(shmspace.NotFound):
            far.do("log.append", "c", b"x")
        call = blocked(log.consume, "a", 0, timeout=None)
        far.do("log.append", "b", b"other")
        call.until_blocked()
        far.do("log.append", "a", b"mine")
        assert [record.value for record in call.result()[1]] == [b"mine"]


# As a structure


@pytest.mark.parametrize(
    ("option", "there", "asked"),
    [
        ("shards", 4, 5),
        ("sharder", ["a", "b"], ["a", "c"]),
        ("sharder", ["a", "b"], ["b", "a"]),
        ("segment_size", 5, 6),
        ("codec", "json", "raw"),
        ("key_index", True, False),
    ],
)
def test_another_explicit_option_is_a_mismatch(space: shmspace.Space, option: str, there: Any, asked: Any) -> None:
    space.sharded_log("s", **{option: there})
    with pytest.raises(shmspace.OptionsMismatch, match=option):
        space.sharded_log("s", **{option: asked})
    space.sharded_log("s", **{option: there})
    space.sharded_log("s")


def test_the_shards_are_not_listed(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=4)
    for key in "abcdefgh":
        log.append(key, b"x")
    space.log("s").append(b"a log has names of its own")
    assert (space.names("sharded_log"), space.names("log"), space.names()) == (["s"], ["s"], ["s"])
    assert (log.name, log.closed) == ("s", False)
    for part in ("ShardedLog", "'s'", space.name):
        assert part in repr(log)


def test_stat_counts_all_shards(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=4)
    here, _, there = pair(log)
    for key in (here, here, there):
        log.append(key, b"data")
    numbers = log.stat()
    assert (numbers.records, numbers.next_offset) == (3, 2)
    assert numbers.nbytes == 2 * space.log("l").size(b"data", here) + space.log("l").size(b"data", there)


@pytest.mark.parametrize("how", ["close", "close the space", "drop", "delete", "destroy"])
def test_the_end_is_for_all_shards(space_name: str, how: str) -> None:
    with shmspace.open(space_name, size="4M") as space:
        log = space.sharded_log("s", shards=3)
        keys = pair(log)
        calls = [blocked(next, log.stream(key)) for key in keys]
        calls += [blocked(log.consume, key, 0, timeout=None) for key in keys]
        ends = {"close": log.close, "close the space": space.close, "drop": log.drop, "destroy": space.destroy}
        ends.get(how, lambda: space.delete("sharded_log", "s"))()
        for call in calls:
            with pytest.raises(shmspace.Closed):
                call.result()
        with pytest.raises(shmspace.Closed):
            log.append(keys[0], b"x")
        with pytest.raises(shmspace.Closed):
            log.range(keys[0])


def test_a_dropped_one_gives_its_memory_back_and_is_made_afresh(space: shmspace.Space) -> None:
    space.sharded_log("s", shards=4).drop()
    before = space.stat().used
    for shards in (2, 3, 64):
        log = space.sharded_log("s", shards=shards, segment_size=16)
        for number in range(200):
            log.append(f"{number}", bytes(number * 50))
        log.drop()
        log.close()
        assert space.names() == []
    assert space.stat().used <= before + (1 << 16)


def test_a_pickled_one_attaches_by_name(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=3, codec="json")
    log.append("k", [1])
    other = pickle.loads(pickle.dumps(log))
    assert (other.name, other.shards, other.read("k", 0).value) == ("s", 3, [1])
    other.append("k", [2])
    assert log.read("k", NEWEST).value == [2]
    other.space.close()


def test_a_read_only_space_lets_read(space: shmspace.Space) -> None:
    log = space.sharded_log("s", shards=2)
    log.append("k", b"x")
    with shmspace.open(space.name, readonly=True) as view:
        seen = view.sharded_log("s")
        assert (seen.read("k", 0), seen.range("k")) == (log.read("k", 0), (0, 0))
        call = blocked(next, seen.stream("k", NEWEST))
        with pytest.raises(shmspace.ReadOnly):
            seen.append("k", b"y")
        log.append("k", b"z")
        assert call.result().data == b"z"
        with pytest.raises(shmspace.NotFound):
            view.sharded_log("none")


def test_shards_need_memory_only_when_they_are_used(space: shmspace.Space) -> None:
    before = space.stat().used
    log = space.sharded_log("s", shards=64)
    assert space.stat().used - before < 1 << 17
    log.append("k", b"x")
    assert log.read("k", 0).data == b"x"
