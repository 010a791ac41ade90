"""Names and options of channels: what is allowed, what is adopted, what is refused."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace

# Names


@pytest.mark.parametrize("opening", ["reader", "writer"])
def test_opening_a_reader_or_a_writer_creates_the_channel(
    space: shmspace.Space, opening: str
) -> None:
    getattr(space.channel("c"), opening)().close()
    assert space.exists("channel", "c")


@pytest.mark.parametrize("name", ["c", "a" * 255, "é" * 127, "with space / and *", b"bytes"])
def test_every_valid_name_works(space: shmspace.Space, name: str | bytes) -> None:
    text = name.decode() if isinstance(name, bytes) else name
    space.channel(name).send(b"x")
    assert space.channels() == [text]
    assert space.channel(text).name == text
    assert space.channel(text).recv(timeout=0) == b"x"


BAD_NAMES = [
    "",
    "a" * 256,
    "é" * 128,
    "a\0b",
    "a\nb",
    "\x1f",
    "\x7f",
    "\x85",
    "\udc80",
    b"\xff",
    b"",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_an_invalid_name_is_refused(space: shmspace.Space, name: str | bytes) -> None:
    with pytest.raises(shmspace.InvalidName):
        space.channel(name).reader()
    assert space.names() == []


@pytest.mark.parametrize("name", [None, 7, ["c"]])
def test_a_name_that_is_no_text_is_a_type_error(space: shmspace.Space, name: Any) -> None:
    with pytest.raises(TypeError):
        space.channel(name).reader()


# Options


def test_the_defaults_are_those_of_a_plain_queue(space: shmspace.Space) -> None:
    channel = space.channel("c")
    assert channel.stat().capacity == 100
    channel.send_many(range(100), timeout=0)
    with pytest.raises(shmspace.Full):
        channel.send(b"x", timeout=0)


OPTIONS: list[tuple[str, Any, Any]] = [
    ("capacity", 37, 41),
    ("delivery", "all", "one"),
    ("delivery", "one", "all"),
    ("replay", 3, 5),
    ("replay", 3, 0),
    ("overflow", "error", "oldest"),
    ("overflow", "oldest", "wait"),
    ("max_message", 1111, 2222),
    ("codec", "json", "raw"),
]


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_another_explicit_option_is_a_mismatch_that_names_both(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.channel("c", **{option: there}).reader().close()
    with pytest.raises(shmspace.OptionsMismatch, match=option) as refusal:
        space.channel("c", **{option: asked}).reader()
    assert str(there) in str(refusal.value)
    assert str(asked) in str(refusal.value)


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_the_same_explicit_option_and_none_at_all_are_welcome(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.channel("c", **{option: there}).reader().close()
    space.channel("c", **{option: there}).reader().close()
    space.channel("c").reader().close()
    assert asked != there


def test_opening_without_options_adopts_those_that_are_there(space: shmspace.Space) -> None:
    space.channel("c", capacity=2, overflow="error").reader().close()
    adopted = space.channel("c")
    adopted.send_many([b"x"] * 2)
    with pytest.raises(shmspace.Full):
        adopted.send(b"x")


OUT_OF_RANGE: list[dict[str, Any]] = [
    {"capacity": 0},
    {"capacity": -1},
    {"delivery": "some"},
    {"delivery": ""},
    {"replay": -1},
    {"replay": 101},
    {"replay": 6, "capacity": 5},
    {"replay": 1, "delivery": "one"},
    {"overflow": "newest"},
    {"max_message": -1},
    {"max_message": "lots"},
    {"codec": "yaml"},
]
WRONG_TYPE: list[dict[str, Any]] = [
    {"capacity": "5"},
    {"capacity": 1.5},
    {"replay": "1"},
    {"replay": 1.0},
    {"max_message": 1.5},
    {"max_message": []},
    {"no_such_option": 1},
]


@pytest.mark.parametrize("options", OUT_OF_RANGE, ids=str)
def test_an_option_out_of_range_is_a_value_error(
    space: shmspace.Space, options: dict[str, Any]
) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        space.channel("c", **options).reader()
    assert space.names() == []


@pytest.mark.parametrize("options", WRONG_TYPE, ids=str)
def test_an_option_of_the_wrong_type_is_a_type_error(
    space: shmspace.Space, options: dict[str, Any]
) -> None:
    with pytest.raises(TypeError):
        space.channel("c", **options).reader()
    assert space.names() == []
