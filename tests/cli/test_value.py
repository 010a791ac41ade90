"""Values as JSON and as text, both ways."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any, NamedTuple

import pytest

from shmspace.cli.value import from_json, to_json, to_line, to_text


class Point(NamedTuple):
    x: int
    y: bytes


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, True),
        (7, 7),
        (0.5, 0.5),
        ("text", "text"),
        (b"", ""),
        (b"text", "text"),
        ("grün".encode(), "grün"),
        (b"\xff\x00", {"base64": "/wA="}),
        (bytearray(b"a"), "a"),
        (memoryview(b"a"), "a"),
        ([1, b"\xff"], [1, {"base64": "/w=="}]),
        ((1, 2), [1, 2]),
        ({"a": (1,)}, {"a": [1]}),
        ({1: 2}, {"1": 2}),
        (Point(1, b"y"), {"x": 1, "y": "y"}),
        (datetime.datetime(2026, 1, 2, 3, 4, tzinfo=datetime.timezone.utc), "2026-01-02T03:04:00+00:00"),
        (math.inf, "inf"),
        (math.nan, "nan"),
        (object, "<class 'object'>"),
    ],
)
def test_every_value_has_a_form_in_json(value: Any, expected: Any) -> None:
    assert to_json(value) == expected
    assert json.loads(to_line(value)) == expected


def test_arrays_become_lists() -> None:
    numpy = pytest.importorskip("numpy")
    assert to_json({"a": numpy.arange(4).reshape(2, 2), "b": numpy.float64(0.5)}) == {"a": [[0, 1], [2, 3]], "b": 0.5}


def test_a_line_of_json_is_one_line_whatever_is_in_the_value() -> None:
    assert "\n" not in to_line("two\nlines\u2028\x85")
    assert to_line("two\nlines").isascii()


def test_text_is_text_as_it_is_and_json_otherwise() -> None:
    assert [to_text(value) for value in ("a b", b"a b", b"\xff", ["a"])] == [
        "a b",
        "a b",
        '{"base64": "/w=="}',
        '["a"]',
    ]


@pytest.mark.parametrize(
    "value", [None, 1, "a", [1, {"b": [b"\xff\xfe"]}], b"\xff", {"base64": 1}, {"base64": "x", "y": 1}]
)
def test_what_was_written_as_json_is_read_back(value: Any) -> None:
    assert from_json(to_line(value)) == value


@pytest.mark.parametrize("text", ["", "{", "nonsense", "NaN", "-Infinity", '{"base64": "%"}', '{"base64": "a"}'])
def test_what_is_not_json_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="."):
        from_json(text)
