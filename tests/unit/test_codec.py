"""What each codec takes, gives back and refuses; and that no bytes make decoding do anything else."""

from __future__ import annotations

import array
import collections
import enum
import mmap
import pickle
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta, timezone
from typing import Any

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shmspace import codec
from shmspace.codec import (
    AUTO,
    JSON,
    MSGPACK,
    NDARRAY,
    PICKLE,
    RAW,
    TUPLE,
    Codec,
    decode,
    get_codec,
)
from shmspace.errors import CodecError

AWARE = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=timezone(timedelta(hours=5, minutes=30)))
NAIVE = AWARE.replace(tzinfo=None)
CYCLE: list[object] = []
CYCLE.append(CYCLE)


class Colour(enum.IntEnum):
    RED = 1


class Text(str):
    __slots__ = ()


def round_trip(name: str, value: object) -> Any:
    number, data = get_codec(name).encode(value)
    return decode(number, bytes(data))


def same(left: object, right: object) -> bool:
    """Equal in type as well as in value: 1 is neither 1.0 nor True."""
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return type(left) is type(right) and len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, dict) and isinstance(right, dict):
        return list(left) == list(right) and all(same(left[key], right[key]) for key in left)
    return type(left) is type(right) and left == right


utf8 = st.text(st.characters(exclude_categories=["Cs"]))
integers = st.integers(-(1 << 63), (1 << 64) - 1)
plain_json = st.none() | st.booleans() | integers | st.floats(allow_nan=False, allow_infinity=False) | utf8
moments = st.datetimes(datetime(2, 1, 1), datetime(9998, 1, 1), timezones=st.just(timezone.utc))
plain = plain_json | st.binary() | st.floats(allow_nan=False) | moments


def nested(leaves: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(leaves, lambda inner: st.lists(inner) | st.dictionaries(utf8, inner), max_leaves=20)


class TestRoundTrips:
    @given(nested(plain))
    def test_auto_gives_values_back(self, value: object) -> None:
        assert same(round_trip("auto", value), value)

    @given(st.lists(nested(plain)).map(tuple))
    def test_auto_gives_a_tuple_back_as_a_tuple(self, value: object) -> None:
        assert same(round_trip("auto", value), value)

    @given(nested(plain))
    def test_msgpack_gives_values_back(self, value: object) -> None:
        assert same(round_trip("msgpack", value), value)

    @given(nested(plain_json))
    def test_json_gives_values_back(self, value: object) -> None:
        assert same(round_trip("json", value), value)

    @given(nested(plain) | st.sets(st.integers()))
    def test_pickle_gives_values_back(self, value: object) -> None:
        assert same(round_trip("pickle", value), value)

    @given(st.binary())
    def test_raw_gives_bytes_back(self, value: bytes) -> None:
        assert round_trip("raw", value) == value


@pytest.mark.parametrize(
    ("name", "value", "number"),
    [
        ("raw", b"a", RAW),
        ("auto", b"a", RAW),
        ("auto", "a", MSGPACK),
        ("auto", [b"a"], MSGPACK),
        ("auto", AWARE, MSGPACK),
        ("auto", (), TUPLE),
        ("msgpack", b"a", MSGPACK),
        ("msgpack", (1,), MSGPACK),
        ("json", None, JSON),
        ("pickle", b"a", PICKLE),
    ],
)
def test_the_stored_number_says_how_to_read_the_bytes(name: str, value: object, number: int) -> None:
    assert get_codec(name).encode(value)[0] == number


def test_the_numbers_are_part_of_the_format() -> None:
    assert (RAW, MSGPACK, JSON, PICKLE, NDARRAY, TUPLE, AUTO) == (0, 1, 2, 3, 4, 5, 127)


def test_nested_tuples_come_back_as_lists() -> None:
    assert same(round_trip("auto", (1, (2, (3,)), {"a": (4,)})), (1, [2, [3]], {"a": [4]}))
    assert same(round_trip("msgpack", (1, (2,))), [1, [2]])
    assert same(round_trip("json", [(1, (2,))]), [[1, [2]]])


def test_a_datetime_is_a_messagepack_timestamp_of_the_same_moment() -> None:
    _, data = get_codec("auto").encode(AWARE)
    assert bytes(data[:2]) == b"\xd7\xff"
    assert round_trip("auto", AWARE) == AWARE
    assert round_trip("auto", AWARE).tzinfo is timezone.utc


def bytes_likes() -> Iterator[tuple[object, bytes]]:
    area = mmap.mmap(-1, 4096)
    area[:3] = b"map"
    yield b"abc", b"abc"
    yield bytearray(b"abc"), b"abc"
    yield memoryview(b"abc"), b"abc"
    yield memoryview(b"abcdef")[::2], b"ace"
    yield memoryview(b"abcdef").cast("B", (2, 3)), b"abcdef"
    yield memoryview(b""), b""
    yield array.array("H", [1, 2]), struct.pack("=HH", 1, 2)
    yield array.array("d"), b""
    yield memoryview(array.array("i", [1, 2, 3]))[::2], struct.pack("=ii", 1, 3)
    yield area, b"map" + bytes(4093)


@pytest.mark.parametrize("name", ["raw", "auto"])
@pytest.mark.parametrize(("value", "data"), list(bytes_likes()), ids=lambda value: type(value).__name__)
def test_bytes_like_objects_are_stored_as_they_are(name: str, value: object, data: bytes) -> None:
    number, stored = get_codec(name).encode(value)
    assert (number, bytes(stored), len(stored)) == (RAW, data, len(data))


@pytest.mark.parametrize(
    "value",
    [
        {1},
        object(),
        1j,
        NAIVE,
        NAIVE.date(),
        {1: "a"},
        {"a": {None: 1}},
        [{Text("a"): 1}],
        Colour.RED,
        Text("a"),
        collections.OrderedDict(a=1),
        1 << 64,
        -(1 << 63) - 1,
        "\ud800",
        CYCLE,
        datetime.max.replace(tzinfo=timezone(timedelta(hours=-1))),
    ],
    ids=lambda value: type(value).__name__,
)
@pytest.mark.parametrize("name", ["auto", "msgpack", "json"])
@pytest.mark.parametrize("wrap", [lambda v: v, lambda v: [1, v], lambda v: {"a": [v]}, lambda v: (v, 1)])
def test_what_would_not_come_back_is_refused_at_any_depth(
    name: str, value: object, wrap: Callable[[object], object]
) -> None:
    with pytest.raises(CodecError, match=f"^codec '{name}' cannot store"):
        get_codec(name).encode(wrap(value))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), b"a", AWARE, [b"a"], [float("nan")]])
def test_json_refuses_what_json_does_not_have(value: object) -> None:
    with pytest.raises(CodecError, match="JSON has no"):
        get_codec("json").encode(value)


@pytest.mark.parametrize("value", ["a", None, 1, [b"a"], (1,)])
def test_raw_refuses_what_is_not_bytes_like(value: object) -> None:
    with pytest.raises(CodecError, match=r"^codec 'raw' cannot store .* 'auto', 'msgpack'"):
        get_codec("raw").encode(value)


def test_a_refusal_names_the_type_and_the_codecs_that_take_it() -> None:
    with pytest.raises(CodecError, match=r"type set .*; these would take it: 'pickle'$"):
        get_codec("auto").encode({1})
    with pytest.raises(CodecError, match=r"type function .*; no codec would take it$"):
        get_codec("auto").encode(lambda: None)
    with pytest.raises(CodecError, match=r"test_codec\.Text"):
        get_codec("auto").encode(Text("a"))


def test_a_pickle_that_fails_is_a_codec_error_with_its_cause() -> None:
    with pytest.raises(CodecError) as caught:
        get_codec("pickle").encode(lambda: None)
    assert isinstance(caught.value.__cause__, AttributeError | pickle.PicklingError)


class TestDecoding:
    @given(st.integers(-1, 256).filter(lambda n: n not in (PICKLE, 140)), st.binary())
    @example(MSGPACK, b"\x91" * 100_000)
    @example(MSGPACK, b"\xdd\xff\xff\xff\xff")
    @example(MSGPACK, b"\xc7\x01\x05x")
    @example(TUPLE, b"\x01")
    @example(JSON, b"[" * 100_000)
    @example(JSON, b"1" * 10_000)
    @example(JSON, b'"\xff"')
    @example(NDARRAY, b"")
    def test_any_bytes_give_a_value_or_a_codec_error(self, number: int, data: bytes) -> None:
        try:
            decode(number, data)
        except CodecError:
            return

    @pytest.mark.parametrize("data", [b"", b"\x80\x05", b"garbage", b"cno.such.module\nname\n."])
    def test_a_damaged_pickle_is_a_codec_error(self, data: bytes) -> None:
        with pytest.raises(CodecError, match="codec number 3"):
            decode(PICKLE, data)

    def test_an_unknown_number_is_named(self) -> None:
        with pytest.raises(CodecError, match="no codec has the number 77 here"):
            decode(77, b"")
        with pytest.raises(CodecError, match=r"the number 177 here; .*register_codec"):
            decode(177, b"")

    @pytest.mark.parametrize("name", ["raw", "auto", "msgpack", "json"])
    def test_a_pickle_is_read_only_where_the_codec_is_pickle(self, name: str) -> None:
        data = pickle.dumps(5)
        with pytest.raises(CodecError, match="the record is a pickle"):
            get_codec(name).decode(PICKLE, data)
        assert get_codec("pickle").decode(PICKLE, data) == 5

    def test_bytes_come_back_as_bytes_of_their_own(self) -> None:
        data = bytearray(b"abc")
        for value in (decode(RAW, data), get_codec("auto").decode(RAW, data)):  # type: ignore[arg-type]
            assert same(value, b"abc")


class TestRegistry:
    @pytest.fixture(autouse=True)
    def _own_registry(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("_by_name", "_by_number", "_decoders"):
            monkeypatch.setattr(codec, name, dict(getattr(codec, name)))

    def test_an_own_codec_stores_its_number(self) -> None:
        codec.register_codec("upper", 140, lambda text: text.upper().encode(), lambda data: data.decode().lower())
        assert get_codec("upper").encode("abc") == (140, b"ABC")
        assert decode(140, b"ABC") == "abc"
        assert get_codec("auto").decode(140, b"ABC") == "abc"
        assert get_codec(140) is get_codec("upper")

    def test_a_name_and_a_number_are_taken_once(self) -> None:
        codec.register_codec("own", 140, bytes, bytes)
        for name, number in (("own", 141), ("other", 140), ("json", 142)):
            with pytest.raises(ValueError, match="is there already"):
                codec.register_codec(name, number, bytes, bytes)
        assert repr(get_codec("own")) == "<Codec 'own' (140)>"

    @pytest.mark.parametrize("number", [-1, 0, 127, 256])
    def test_a_number_outside_the_range_is_a_value_error(self, number: int) -> None:
        with pytest.raises(ValueError, match="from 128 to 255"):
            codec.register_codec("own", number, bytes, bytes)

    def test_arguments_of_another_type_are_a_type_error(self) -> None:
        wrong: list[tuple[Any, Any, Any, Any]] = [
            (b"own", 140, bytes, bytes),
            ("own", True, bytes, bytes),
            ("own", "140", bytes, bytes),
            ("own", 140, None, bytes),
            ("own", 140, bytes, None),
        ]
        for arguments in wrong:
            with pytest.raises(TypeError):
                codec.register_codec(*arguments)
        with pytest.raises(ValueError, match="must not be empty"):
            codec.register_codec("", 140, bytes, bytes)

    def test_what_an_own_codec_raises_is_the_cause(self) -> None:
        def fail(value: object) -> bytes:
            raise KeyError("broken")

        codec.register_codec("own", 140, fail, fail)
        with pytest.raises(CodecError, match="KeyError: 'broken'") as caught:
            get_codec("own").encode(1)
        assert isinstance(caught.value.__cause__, KeyError)
        with pytest.raises(CodecError) as caught:
            decode(140, b"")
        assert isinstance(caught.value.__cause__, KeyError)

    def test_an_own_codec_that_gives_no_bytes_is_refused(self) -> None:
        codec.register_codec("own", 140, str, bytes)
        with pytest.raises(CodecError, match="gave str instead of bytes") as caught:
            get_codec("own").encode(1)
        assert isinstance(caught.value.__cause__, TypeError)

    def test_an_unknown_codec_is_refused(self) -> None:
        with pytest.raises(CodecError, match="there is no codec 'zip'"):
            get_codec("zip")
        with pytest.raises(CodecError, match="no codec has the number 126"):
            get_codec(126)
        with pytest.raises(TypeError, match="must be the name"):
            get_codec(None)  # type: ignore[arg-type]

    def test_every_builtin_codec_is_found_by_its_name_and_by_its_number(self) -> None:
        for name in ("raw", "auto", "msgpack", "json", "pickle"):
            found = get_codec(name)
            assert isinstance(found, Codec)
            assert get_codec(found.number) is found
            assert found.name == name


def test_numpy_is_not_imported_for_values_that_are_no_arrays() -> None:
    program = (
        "import sys; from shmspace import codec\n"
        "for value in (b'a', [1, {'a': None}], (1,), bytearray(1)): codec.get_codec('auto').encode(value)\n"
        "try: codec.get_codec('auto').encode({1})\n"
        "except codec.CodecError: pass\n"
        "assert 'numpy' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)


def test_the_messagepack_of_other_writers_is_understood() -> None:
    assert decode(MSGPACK, msgspec.msgpack.encode({1: "integer key"})) == {1: "integer key"}
