"""Tuple spaces: values under keys, keys of every kind, bounds, numbers, options, the end."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked

# In and out


def test_the_values_of_a_key_come_in_the_order_they_went_in(space: shmspace.Space) -> None:
    ts = space.tuples()
    for number in range(300):
        ts.out("a", number)
        ts.out("b", -number)
    assert [ts.take("a") for _ in range(300)] == list(range(300))
    assert ts.take_many("b", 1000) == [-number for number in range(300)]


def test_read_leaves_the_value(space: shmspace.Space) -> None:
    ts = space.tuples()
    ts.out_many("k", ["x", "y"])
    assert [ts.read("k"), ts.try_read("k"), ts.read("k", timeout=0)] == ["x"] * 3
    assert (ts.len("k"), ts.take("k"), ts.read("k")) == (2, "x", "y")


SIZES = [0, 1, 8, 31, 32, 33, 64, 255, 4095, 4096, 4097, 65536, 1 << 20, 5 << 20]


@pytest.mark.parametrize("size", SIZES)
def test_a_value_of_any_size_is_read_and_taken_whole(space: shmspace.Space, size: int) -> None:
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    ts = space.tuples()
    ts.out("k", data, timeout=0)
    assert ts.read("k", timeout=0) == data
    assert ts.try_read("k") == data
    assert ts.take("k", timeout=0) == data
    ts.out("k", data)
    assert ts.try_take("k") == data
    ts.out("k", data)
    assert ts.take_many("k", 5) == [data]


@pytest.mark.parametrize("codec", ["raw", "auto", "json", "msgpack", "pickle"])
def test_values_go_through_the_codec(space: shmspace.Space, codec: str) -> None:
    ts = space.tuples(codec=codec)
    value: Any = b"x" if codec == "raw" else ["text", None, 1.5, {"a": 1}]
    ts.out("k", value)
    ts.out_many("k", [value, value])
    assert [ts.read("k"), ts.take("k"), *ts.take_many("k", 5)] == [value] * 4
    refused: Any = lambda: 0  # noqa: E731
    with pytest.raises(shmspace.CodecError):
        ts.out("k", refused)
    with pytest.raises(shmspace.CodecError):
        ts.out_many("k", [value, refused])
    assert ts.keys() == []


def test_arrays_go_through(space: shmspace.Space) -> None:
    numpy = pytest.importorskip("numpy")
    ts = space.tuples()
    ts.out("k", numpy.arange(10_000).reshape(100, 100))
    assert ts.read("k").sum() == ts.take("k").sum() == sum(range(10_000))


def test_values_pass_between_processes(space: shmspace.Space) -> None:
    ts = space.tuples()
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        ts.out("there", b"x")
        assert far.do("ts.take", "there") == b"x"
        far.do("ts.out", "back", b"y" * 100_000)
        assert far.do("ts.read", "back") == ts.read("back") == ts.take("back") == b"y" * 100_000


def test_try_take_and_try_read_never_wait_and_give_the_default(space: shmspace.Space) -> None:
    ts = space.tuples()
    missing = object()
    for call in (ts.try_take, ts.try_read):
        assert call("k") is None
        assert call("k", missing) is missing
        assert call("k", default=missing) is missing
    ts.out("k", None)
    assert ts.try_read("k", missing) is None
    assert ts.try_take("k", missing) is None
    assert ts.try_take("k", missing) is missing


# Keys

KEYS: list[str | bytes] = ["", "a", "ключ", "\0", "a\nb", "with space/*", b"\xff\xfe", b"bytes"]
KEYS += ["x" * 65536, b"\xff" * 65536]


@pytest.mark.parametrize("key", KEYS, ids=lambda key: ascii(key[:12]))
def test_any_key_is_a_key(space: shmspace.Space, key: str | bytes) -> None:
    ts = space.tuples()
    ts.out(key, "one")
    ts.out_many(key, ["two", "three"])
    ts.out("another", "other")
    shown = key.decode() if key == b"bytes" and isinstance(key, bytes) else key
    assert set(ts.keys()) == {shown, "another"}
    assert (ts.len(key), ts.read(key), ts.try_read(key), ts.waiting(key)) == (3, "one", "one", 0)
    assert (ts.take(key), ts.try_take(key), ts.take_many(key, 5)) == ("one", "two", ["three"])
    assert ts.keys() == ["another"]


def test_text_and_its_utf8_are_one_key(space: shmspace.Space) -> None:
    ts = space.tuples()
    ts.out("größe", 1)
    assert ts.take("größe".encode(), timeout=0) == 1


def test_keys_that_resemble_one_another_are_kept_apart(space: shmspace.Space) -> None:
    ts = space.tuples()
    keys: list[str | bytes] = ["", "\0", "\0\0", "a", "a\0", "A", " a", "x" * 65535, "x" * 65536, b"\xff", b"\xff\xff"]
    for number, key in enumerate(keys):
        ts.out(key, number)
    assert [ts.take(key, timeout=0) for key in keys] == list(range(len(keys)))


def test_keys_are_those_with_values_sorted_by_bytes_and_by_prefix(space: shmspace.Space) -> None:
    ts = space.tuples()
    for key in ("b", "a", "é", b"\xff", "ab", "", "Z"):
        ts.out(key, 1)
    assert ts.keys() == ["", "Z", "a", "ab", "b", "é", b"\xff"]
    assert ts.keys("a") == ["a", "ab"]
    assert ts.keys(prefix=b"\xc3") == ["é"]
    assert ts.keys("nothing") == []
    ts.take("a")
    assert ts.keys("a") == ["ab"]


@pytest.mark.parametrize("key", [None, 7, ["k"], ("k",), bytearray(b"k")])
def test_a_key_that_is_neither_text_nor_bytes_is_a_type_error(space: shmspace.Space, key: Any) -> None:
    ts = space.tuples()
    calls: list[Callable[[], Any]] = [
        lambda: ts.out(key, 1),
        lambda: ts.out_many(key, [1]),
        lambda: ts.take(key, timeout=0),
        lambda: ts.read(key, timeout=0),
        lambda: ts.take_many(key, 1, timeout=0),
        lambda: ts.try_take(key),
        lambda: ts.try_read(key),
        lambda: ts.len(key),
        lambda: ts.waiting(key),
        lambda: ts.keys(key),
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    assert ts.keys() == []


def test_a_key_that_is_no_utf8_text_is_a_value_error(space: shmspace.Space) -> None:
    ts = space.tuples()
    for call in (ts.try_take, ts.len, lambda key: ts.out(key, 1)):
        with pytest.raises(ValueError, match="surrogates|UTF-8"):
            call("\udc80")


def test_a_hundred_thousand_keys(space_name: str) -> None:
    count = 100_000
    with shmspace.open(space_name, size="256M") as space:
        ts = space.tuples()
        for number in range(count):
            ts.out(f"key/{number}", number)
        numbers = ts.stat()
        assert (numbers.keys, numbers.entries) == (count, count)
        assert len(ts.keys()) == count
        assert ts.keys("key/9999") == ["key/9999", *(f"key/9999{digit}" for digit in range(10))]
        full = space.stat().used
        for number in range(count):
            assert ts.take(f"key/{number}", timeout=0) == number
        assert ts.stat() == (0, 0, 0, 0)
        emptied = space.stat().used
        assert emptied < full / 4
        for number in range(0, count, 7):
            ts.out(f"key/{number}", number)
        assert ts.stat().keys == len(range(0, count, 7))
        assert space.check() == []


# Many and bounds


def test_a_bound_is_for_each_key(space: shmspace.Space) -> None:
    ts = space.tuples(bound=2)
    for key in ("a", "b"):
        assert ts.out_many(key, range(5), timeout=0) == 2
        for timeout in (0, 0.01):
            with pytest.raises(shmspace.Full):
                ts.out(key, "x", timeout=timeout)
        with pytest.raises(shmspace.Full):
            ts.out_many(key, "x", timeout=0.01)
        assert ts.len(key) == 2
    ts.take("a")
    ts.out("a", "fits", timeout=0)
    with pytest.raises(shmspace.Full):
        ts.out("b", "x", timeout=0)
    assert ts.take_many("a", 9) == [1, "fits"]


def test_out_waits_for_room_under_its_key(space: shmspace.Space) -> None:
    ts = space.tuples(bound=1)
    ts.out("a", 1)
    ts.out("b", 1)
    one, two = blocked(ts.out, "a", 2), blocked(ts.out_many, "b", [2, 3])
    assert ts.take("b") == 1
    assert ts.take("b") == 2
    assert two.result() == 2
    assert not one.done
    assert ts.take("a") == 1
    one.result()
    assert (ts.take("a", timeout=0), ts.take("b", timeout=0)) == (2, 3)


def test_everyone_who_waits_for_room_gets_it(space: shmspace.Space) -> None:
    ts = space.tuples(bound=1)
    ts.out("k", -1)
    calls = [blocked(ts.out, "k", number) for number in range(8)]
    assert sorted(ts.take("k", timeout=20) for _ in range(9)) == list(range(-1, 8))
    for call in calls:
        call.result()


def test_reading_makes_no_room(space: shmspace.Space) -> None:
    ts = space.tuples(bound=1)
    ts.out("k", 1)
    ts.read("k")
    with pytest.raises(shmspace.Full):
        ts.out("k", 2, timeout=0)


@pytest.mark.parametrize("count", [0, -1, -(1 << 70)])
def test_take_many_of_less_than_one_is_a_value_error(space: shmspace.Space, count: int) -> None:
    ts = space.tuples()
    ts.out("k", 1)
    with pytest.raises(ValueError, match="max_count"):
        ts.take_many("k", count)
    assert ts.len("k") == 1


def test_out_many_of_nothing_makes_no_key(space: shmspace.Space) -> None:
    ts = space.tuples()
    assert ts.out_many("k", []) == 0
    assert ts.out_many("k", iter(())) == 0
    assert (ts.keys(), ts.stat()) == ([], (0, 0, 0, 0))


@pytest.mark.parametrize("timeout", [-1, math.nan, math.inf, -math.inf])
def test_an_impossible_timeout_is_a_value_error(space: shmspace.Space, timeout: float) -> None:
    ts = space.tuples()
    ts.out("k", 1)
    calls: list[Callable[[], Any]] = [
        lambda: ts.out("k", 2, timeout=timeout),
        lambda: ts.out_many("k", [2], timeout=timeout),
        lambda: ts.take("k", timeout=timeout),
        lambda: ts.read("k", timeout=timeout),
        lambda: ts.take_many("k", 1, timeout=timeout),
    ]
    for call in calls:
        with pytest.raises(ValueError, match="timeout"):
            call()
    assert ts.len("k") == 1


# Numbers


def test_stat_counts(space: shmspace.Space) -> None:
    ts = space.tuples()
    assert ts.stat() == (0, 0, 0, 0)
    ts.out_many("a", [bytes(10_000), b"x"])
    ts.out("b", b"y")
    call = blocked(ts.take, "c")
    numbers = ts.stat()
    assert (numbers.keys, numbers.entries, numbers.waiting) == (2, 3, 1)
    assert 10_002 <= numbers.nbytes < 20_000
    ts.out("c", b"")
    call.result()
    assert ts.take_many("a", 5) == [bytes(10_000), b"x"]
    ts.take("b")
    assert ts.stat() == (0, 0, 0, 0)


def test_waiting_counts_takers_and_readers_of_the_key(space: shmspace.Space) -> None:
    ts = space.tuples()
    calls = [blocked(ts.take, "k"), blocked(ts.read, "k"), blocked(ts.take_many, "k", 3), blocked(ts.take, "other")]
    with Puppet(space.name) as far:
        far.do("space.tuples", keep="ts")
        far.begin("ts.take", "k").until_blocked()
        assert (ts.waiting("k"), ts.waiting("other"), ts.waiting("none")) == (4, 1, 0)
        assert (ts.len("k"), ts.keys()) == (0, [])
        ts.out("other", 1)
        ts.out_many("k", range(3))
        for call in calls:
            call.result()
        far.result()
    assert (ts.waiting("k"), ts.stat().waiting) == (0, 0)


def test_traffic_leaves_memory_flat(space: shmspace.Space) -> None:
    ts = space.tuples()

    def traffic(rounds: int) -> None:
        for turn in range(rounds):
            key = f"key {turn % 97}" * (1 + turn % 3)
            ts.out(key, turn)
            ts.out_many(key, [b"x" * (turn % 700), None])
            ts.read(key)
            ts.try_take("absent")
            assert ts.take_many(key, 10) == [turn, b"x" * (turn % 700), None]
            with pytest.raises(shmspace.Empty):
                ts.take(key, timeout=0)

    traffic(1000)
    before = space.stat().used
    traffic(20_000)
    assert space.stat().used <= before + 65536
    assert ts.stat() == (0, 0, 0, 0)


def test_keys_that_come_and_go_leave_memory_flat(space: shmspace.Space) -> None:
    ts = space.tuples()

    def come_and_go(start: int) -> None:
        for number in range(start, start + 20_000):
            ts.out(f"request/{number}", number)
            assert ts.take(f"request/{number}") == number

    come_and_go(0)
    before = space.stat().used
    come_and_go(20_000)
    come_and_go(40_000)
    assert space.stat().used <= before + 65536


# Options and handles

OPTIONS: list[tuple[str, Any, Any]] = [("bound", 3, 4), ("codec", "json", "raw"), ("codec", "json", "auto")]


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_another_explicit_option_is_a_mismatch_that_names_both(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.tuples("t", **{option: there})
    space.tuples("t", **{option: there})
    space.tuples("t")
    with pytest.raises(shmspace.OptionsMismatch, match=option) as refusal:
        space.tuples("t", **{option: asked})
    assert str(there) in str(refusal.value)
    assert str(asked) in str(refusal.value)


OUT_OF_RANGE: list[dict[str, Any]] = [{"bound": 0}, {"bound": -1}, {"bound": 1 << 70}, {"codec": "yaml"}, {"ack": "x"}]


@pytest.mark.parametrize("options", OUT_OF_RANGE, ids=str)
def test_an_option_out_of_range_is_a_value_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        space.tuples("t", **options)
    assert space.names() == []


@pytest.mark.parametrize("options", [{"bound": "5"}, {"bound": 1.5}, {"bound": True}, {"codec": 7}, {"x": 1}], ids=str)
def test_an_option_of_the_wrong_type_is_a_type_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        space.tuples("t", **options)
    assert space.names() == []


def test_the_name_has_a_default_and_each_name_its_own_keys(space: shmspace.Space) -> None:
    space.tuples().out("k", "default")
    space.tuples("other").out("k", "other")
    assert space.names("tuples") == ["default", "other"]
    assert (space.tuples("default").take("k"), space.tuples("other").take("k")) == ("default", "other")
    for bad in ("", "a" * 256, "a\nb"):
        with pytest.raises(shmspace.InvalidName):
            space.tuples(bad)


def test_a_pickled_handle_attaches_by_name_and_adopts_the_options(space: shmspace.Space) -> None:
    ts = space.tuples("t", bound=1, codec="json")
    ts.out("k", ["x"])
    other = pickle.loads(pickle.dumps(ts))
    assert (other.name, other.space.name) == ("t", space.name)
    with pytest.raises(shmspace.Full):
        other.out("k", 1, timeout=0)
    assert other.take("k") == ["x"]
    other.space.close()
    assert not ts.closed
