"""What channels carry: each codec's values there and back, and clear refusals."""

from __future__ import annotations

import decimal
import enum
import json
import math
import os
import threading
import uuid
from datetime import date, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.scenario_channel import backwards, exchange_backwards, forwards

EVENING = datetime(2026, 2, 3, 21, 5, 7, 123456, tzinfo=timezone(timedelta(hours=-7)))
PLAIN: list[Any] = [
    None,
    True,
    False,
    0,
    -1,
    (1 << 64) - 1,
    -(1 << 63),
    0.5,
    -0.0,
    math.inf,
    "",
    "grüße \U0001f600",
    [],
    {},
    [1, [2, [3, None]], {"a": [True, 0.25]}],
    {"": {"nested": {"deep": "x" * 5000}}},
]


def carry(space: shmspace.Space, codec: str, value: object) -> Any:
    """Send a value through a channel with that codec; what arrives."""
    channel = space.channel(f"of {codec}", codec=codec)
    channel.send(value, timeout=0)
    return channel.recv(timeout=0)


def same(one: object, two: object) -> bool:
    """Equal, and of the same type through and through."""
    return repr(one) == repr(two) and one == two


# raw


@pytest.mark.parametrize("value", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_raw_carries_bytes(space: shmspace.Space, value: Any) -> None:
    assert same(carry(space, "raw", value), bytes(value))


@pytest.mark.parametrize("value", ["text", 1, None, [b"x"], {}])
def test_raw_refuses_everything_else(space: shmspace.Space, value: Any) -> None:
    with pytest.raises(shmspace.CodecError, match=type(value).__name__):
        carry(space, "raw", value)


# auto


@pytest.mark.parametrize("value", [b"", b"abc", bytearray(b"abc"), memoryview(b"abc")])
def test_auto_carries_bytes_as_they_are(space: shmspace.Space, value: Any) -> None:
    assert same(carry(space, "auto", value), bytes(value))


@pytest.mark.parametrize("value", PLAIN, ids=lambda value: repr(value)[:20])
@pytest.mark.parametrize("codec", ["auto", "msgpack", "pickle"])
def test_plain_values_come_back_as_they_were(space: shmspace.Space, codec: str, value: Any) -> None:
    assert same(carry(space, codec, value), value)


@pytest.mark.parametrize("value", [(), (1,), (1, "a", None), ([1], {"k": 2.5})])
def test_auto_gives_a_tuple_back_as_a_tuple(space: shmspace.Space, value: Any) -> None:
    assert same(carry(space, "auto", value), value)


def test_nested_tuples_come_back_as_lists(space: shmspace.Space) -> None:
    assert same(carry(space, "auto", (1, (2, (3,)))), (1, [2, [3]]))
    assert same(carry(space, "auto", [(1, 2)]), [[1, 2]])
    assert same(carry(space, "auto", {"k": (1,)}), {"k": [1]})


@pytest.mark.parametrize("value", [EVENING, EVENING.astimezone(timezone.utc)])
@pytest.mark.parametrize("codec", ["auto", "msgpack"])
def test_aware_datetimes_come_back_as_the_same_instant(
    space: shmspace.Space, codec: str, value: datetime
) -> None:
    back = carry(space, codec, value)
    assert isinstance(back, datetime)
    assert back.tzinfo is not None
    assert back == value


class Colour(enum.Enum):
    RED = 1


UNWELCOME = [
    object(),
    {1, 2},
    frozenset({1}),
    1j,
    decimal.Decimal("1.5"),
    uuid.UUID(int=1),
    date(2026, 2, 3),
    timedelta(1),
    Colour.RED,
    range(3),
    len,
]


@pytest.mark.parametrize("value", UNWELCOME, ids=lambda value: type(value).__name__)
def test_auto_refuses_other_types_and_names_the_type_and_the_way_out(
    space: shmspace.Space, value: Any
) -> None:
    with pytest.raises(shmspace.CodecError) as refusal:
        carry(space, "auto", value)
    assert type(value).__name__ in str(refusal.value)
    assert "pickle" in str(refusal.value)


def test_auto_says_so_when_no_codec_takes_a_value(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.CodecError, match=r"_thread\.lock.*no codec would take it"):
        carry(space, "auto", threading.Lock())


@pytest.mark.parametrize("wrap", [lambda value: [value], lambda value: {"k": value}])
@pytest.mark.parametrize("value", [{1, 2}, object(), 1j])
def test_auto_refuses_other_types_inside_too(space: shmspace.Space, wrap: Any, value: Any) -> None:
    with pytest.raises(shmspace.CodecError):
        carry(space, "auto", wrap(value))


BEYOND = [
    1 << 64,
    -(1 << 63) - 1,
    [1 << 64],
    EVENING.replace(tzinfo=None),
    {"when": EVENING.replace(tzinfo=None)},
    {1: "key is no text"},
    {None: 1},
    "\udc80",
]


@pytest.mark.parametrize("value", BEYOND, ids=ascii)
@pytest.mark.parametrize("codec", ["auto", "msgpack"])
def test_values_without_a_faithful_encoding_are_refused(
    space: shmspace.Space, codec: str, value: Any
) -> None:
    with pytest.raises(shmspace.CodecError):
        carry(space, codec, value)
    assert space.channel(f"of {codec}").stat().waiting == 0


@pytest.mark.parametrize("codec", ["auto", "msgpack", "json"])
def test_a_value_that_contains_itself_is_refused(space: shmspace.Space, codec: str) -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(shmspace.CodecError):
        carry(space, codec, endless)


# json


@pytest.mark.parametrize("value", [None, True, 1, "x", [1, [2]], {"a": {"b": 0.5}}])
def test_json_carries_what_json_can_say(space: shmspace.Space, value: Any) -> None:
    assert same(carry(space, "json", value), value)


def test_json_is_stored_as_json(space: shmspace.Space) -> None:
    channel = space.channel("c", codec="json")
    channel.send({"grüße": [1, 2.5, None]})
    assert json.loads(channel.reader().read()) == {"grüße": [1, 2.5, None]}


@pytest.mark.parametrize("value", [object(), {1, 2}, 1j])
def test_json_refuses_what_json_cannot_say(space: shmspace.Space, value: Any) -> None:
    with pytest.raises(shmspace.CodecError):
        carry(space, "json", value)


# pickle


@pytest.mark.parametrize("value", [{1, 2}, 1j, Colour.RED, (1, (2,)), 1 << 100, b"x"])
def test_pickle_carries_what_pickle_can(space: shmspace.Space, value: Any) -> None:
    assert same(carry(space, "pickle", value), value)


def test_what_cannot_be_pickled_is_refused(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.CodecError):
        carry(space, "pickle", threading.Lock())


def test_in_a_private_space_pickle_is_adopted(space: shmspace.Space) -> None:
    space.channel("c", codec="pickle").send({1, 2})
    with shmspace.open(space.name) as again:
        assert again.channel("c").recv(timeout=0) == {1, 2}


@pytest.mark.parametrize("mode", [0o660, 0o606, 0o622])
def test_where_others_may_write_the_opener_must_allow_pickle_too(
    space_name: str, mode: int
) -> None:
    with shmspace.open(space_name, size="1M", mode=mode, allow_pickle=True) as space:
        space.channel("c", codec="pickle").send({1, 2})
        with shmspace.open(space_name, mode=mode) as careful:
            with pytest.raises(shmspace.CodecError, match="allow_pickle"):
                careful.channel("c").reader()
            with pytest.raises(shmspace.CodecError):
                careful.channel("new", codec="pickle").reader()
        with shmspace.open(space_name, mode=mode, allow_pickle=True) as trusting:
            assert trusting.channel("c").recv(timeout=0) == {1, 2}
        space.destroy()


def test_where_others_may_only_read_pickle_needs_no_second_consent(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", mode=0o644) as space:
        assert carry(space, "pickle", {1, 2}) == {1, 2}
        space.destroy()


def test_no_pickle_comes_out_of_a_channel_that_did_not_ask_for_it(space: shmspace.Space) -> None:
    for codec in ("auto", "msgpack", "json", "raw"):
        with pytest.raises(shmspace.CodecError):
            carry(space, codec, os.system)


# Arrays


def test_arrays_come_back_as_arrays_of_their_own(space: shmspace.Space) -> None:
    np = pytest.importorskip("numpy")
    for sent in (
        np.arange(12, dtype="<i4").reshape(3, 4),
        np.arange(12, dtype=">f8").reshape(3, 4).T,
        np.arange(20)[::3],
        np.array(2.5),
        np.zeros((0, 3), dtype="u1"),
        np.array(["a", "grüße"]),
    ):
        back = carry(space, "auto", sent)
        assert (back.dtype, back.shape) == (sent.dtype, sent.shape)
        assert np.array_equal(back, sent)
        assert back.flags.writeable


def test_a_received_array_is_nobody_elses(space: shmspace.Space) -> None:
    np = pytest.importorskip("numpy")
    channel = space.channel("c", delivery="all")
    readers = [channel.reader(), channel.reader()]
    channel.send(np.zeros(2000))
    readers[0].recv()[:] = 1
    assert float(readers[1].recv().sum()) == 0


def test_arrays_of_objects_are_refused(space: shmspace.Space) -> None:
    np = pytest.importorskip("numpy")
    with pytest.raises(shmspace.CodecError):
        carry(space, "auto", np.array([object()], dtype=object))


# Codecs of one's own


@pytest.fixture(scope="session")
def own_number() -> int:
    shmspace.register_codec("backwards", 217, backwards, forwards)
    return 217


def test_an_own_codec_carries_its_values_to_another_process(
    space: shmspace.Space, own_number: int
) -> None:
    channel = space.channel("c", codec="backwards")
    channel.send("from here")
    with Peer(exchange_backwards, space.name, own_number) as peer:
        assert peer.said() == "from here"
        assert channel.recv() == "from there"


@pytest.mark.usefixtures("own_number")
def test_an_own_codec_stores_what_it_made(space: shmspace.Space) -> None:
    channel = space.channel("c", codec="backwards")
    channel.send("abc")
    assert channel.reader().read() == b"cba"


@pytest.mark.usefixtures("own_number")
def test_what_an_own_encoder_raises_is_the_cause(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.CodecError) as refusal:
        carry(space, "backwards", "refuse me")
    assert isinstance(refusal.value.__cause__, KeyError)


@pytest.mark.usefixtures("own_number")
def test_what_an_own_decoder_raises_is_the_cause(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.CodecError) as refusal:
        carry(space, "backwards", "refuse me later")
    assert isinstance(refusal.value.__cause__, KeyError)


@pytest.mark.usefixtures("own_number")
def test_a_process_that_does_not_know_the_codec_is_told_so(space: shmspace.Space) -> None:
    channel = space.channel("c", codec="backwards")
    channel.send("abc")

    def receive(far: Puppet) -> Any:
        far.do("space.channel", "c", keep="ch")
        return far.do("ch.recv")

    with Puppet(space.name) as far, pytest.raises(shmspace.CodecError):
        receive(far)


@pytest.mark.parametrize("number", [127, 256, 0, -1])
def test_a_number_out_of_range_is_refused(number: int) -> None:
    with pytest.raises(ValueError, match=str(number)):
        shmspace.register_codec("out of range", number, backwards, forwards)


def test_a_number_or_a_name_can_be_used_once(own_number: int) -> None:
    for name, number in (("backwards", 218), ("another", own_number), ("json", 219)):
        with pytest.raises(ValueError, match=f"{name}|{number}"):
            shmspace.register_codec(name, number, backwards, forwards)


# Anything at all

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text("abü"), inner),
    max_leaves=20,
)
quickly = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@quickly
@given(value=values)
@pytest.mark.parametrize("codec", ["auto", "msgpack"])
def test_any_plain_value_comes_back_as_it_was(
    space: shmspace.Space, codec: str, value: Any
) -> None:
    assert same(carry(space, codec, value), value)


@quickly
@given(data=st.binary(max_size=5000))
@pytest.mark.parametrize("codec", ["auto", "raw"])
def test_any_bytes_come_back_as_they_were(space: shmspace.Space, codec: str, data: bytes) -> None:
    assert same(carry(space, codec, data), data)
