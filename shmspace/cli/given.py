"""Values that a command was given, as arguments or on standard input, and how they go out one by one."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from shmspace.cli.output import plural
from shmspace.cli.refusal import Misuse, Refusal
from shmspace.cli.value import from_json
from shmspace.errors import CodecError, Timeout


def values_given(values: Sequence[str], as_json: bool) -> Iterable[Any]:
    """Give the values of the arguments, or of the lines of standard input if there are none.

    All arguments are looked at before the first is used; standard input cannot wait for its own end.
    """
    return _parsed(values, as_json) if values else _lines(as_json)


def put_each(put: Callable[[Any], object], values: Iterable[Any], noun: str) -> None:
    """Have each value put; a refusal says how many went out before it."""
    count = 0
    try:
        for value in values:
            _put_one(put, value)
            count += 1
    except (Timeout, CodecError) as error:
        if count == 0:
            raise
        raise Refusal(f"{error} ({plural(count, noun)} before it went out)") from error


def _put_one(put: Callable[[Any], object], value: Any) -> None:
    try:
        put(value)
    except CodecError:
        # A shell has no other way to write bytes than text, so that is what text means to a structure of bytes.
        if not isinstance(value, str):
            raise
        put(value.encode())


def _parsed(values: Sequence[str], as_json: bool) -> list[Any]:
    found = []
    for number, value in enumerate(values, 1):
        data = os.fsencode(value)
        found.append(_json(data, f"value {number}") if as_json else _text(data))
    return found


def _lines(as_json: bool) -> Iterator[Any]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        data = line.removesuffix(b"\n")
        yield _json(data, f"line {number}") if as_json else _text(data)


def _json(data: bytes, what: str) -> Any:
    try:
        return from_json(data)
    except ValueError as error:
        raise Misuse(f"{what} is not JSON: {error}") from error


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
