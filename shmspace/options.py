"""Checks of arguments that all structures share: pure functions, nothing of shared memory.

Each takes what the caller gave and returns the one form that the code below works with, or raises: `TypeError` for the
wrong type, `ValueError` (or `InvalidName`) for a value out of range. ``what`` is the argument's name, for the text.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Collection
from datetime import datetime, timedelta, timezone
from numbers import Real

from .errors import InvalidName

__all__ = [
    "check_choice",
    "check_count",
    "check_space_name",
    "check_structure_name",
    "check_timeout",
    "name_to_str",
    "parse_size",
    "time_ns",
    "timeout_ns",
]

_SIZE = re.compile(r"([0-9]{1,20})([KMGT]?)", re.ASCII | re.IGNORECASE)
_UNITS = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}
_SPACE_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,99}", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")  # C0, DEL, C1
_EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)

SIZE_MAX_BYTES = (1 << 62) - 1  # member tokens are locks on bytes of the region file from 2^62 on
STRUCTURE_NAME_MAX_BYTES = 255
_TIMEOUT_MAX_NS = 1 << 62  # 146 years; a deadline of now plus this still fits a signed 64-bit word


def _integer(value: object, what: str, wanted: str) -> int:
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} must be {wanted}, not {type(value).__name__}")
    return operator.index(value)


def parse_size(value: object, *, what: str) -> int:
    """Give a size in bytes, from an int or a text such as ``"64M"`` (K, M, G, T: powers of 1024, either case).

    Raises `ValueError` for another text and for less than 1 byte, `TypeError` for another type.

    >>> parse_size("64M", what="size")
    67108864
    """
    if isinstance(value, str):
        match = _SIZE.fullmatch(value.strip())
        if match is None:
            raise ValueError(f'{what} must be a number of bytes or a text such as "64M" or "1G", not {value!r}')
        size = int(match[1]) * _UNITS[match[2].upper()]
    else:
        size = _integer(value, what, 'a number of bytes or a text such as "64M"')
    if not 1 <= size <= SIZE_MAX_BYTES:
        raise ValueError(f"{what} must be from 1 to {SIZE_MAX_BYTES} bytes, not {value!r}")
    return size


def check_space_name(name: object) -> str:
    """Give the name of a space back: 1 to 100 of ``A-Z a-z 0-9 . _ -``, no leading dot, else `InvalidName`.

    >>> check_space_name("build-7")
    'build-7'
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a space must be str, not {type(name).__name__}")
    if _SPACE_NAME.fullmatch(name) is None:
        raise InvalidName(
            f"{_short(name)} cannot name a space: "
            "a name has 1 to 100 of A-Z a-z 0-9 . _ - and does not begin with a dot"
        )
    return str(name)


def check_structure_name(name: object) -> bytes:
    """Give the stored form of a structure's name: 1 to 255 bytes of UTF-8 without control characters.

    Takes str or bytes. Raises `InvalidName` for other text, `TypeError` for another type.

    >>> check_structure_name("größe")
    b'gr\\xc3\\xb6\\xc3\\x9fe'
    """
    try:
        if isinstance(name, str):
            text, data = name, name.encode()
        elif isinstance(name, bytes):
            text, data = name.decode(), bytes(name)
        else:
            raise TypeError(f"the name of a structure must be str or bytes, not {type(name).__name__}")
    except UnicodeError as error:
        raise InvalidName(f"{_short(name)} cannot name a structure: it is not UTF-8 text") from error
    if not 1 <= len(data) <= STRUCTURE_NAME_MAX_BYTES:
        raise InvalidName(
            f"{_short(name)} cannot name a structure: it has {len(data)} bytes of UTF-8, "
            f"and a name has 1 to {STRUCTURE_NAME_MAX_BYTES}"
        )
    if _CONTROL.search(text):
        raise InvalidName(f"{_short(name)} cannot name a structure: it has a control character in it")
    return data


def _short(name: object) -> str:
    text = repr(name)
    return text if len(text) <= 120 else text[:117] + "..."


def name_to_str(name: bytes) -> str | bytes:
    """Give a stored name or key as users see it: str, or the bytes themselves where they are not UTF-8.

    >>> name_to_str(b"jobs"), name_to_str(b"\\xff")
    ('jobs', b'\\xff')
    """
    try:
        return name.decode()
    except UnicodeDecodeError:
        return name


def check_timeout(timeout: object) -> float | None:
    """Give a timeout in seconds, or None for no limit.

    Raises `ValueError` if it is negative, NaN or infinite, `TypeError` if it is no number (or a bool).

    >>> check_timeout(2), check_timeout(None)
    (2.0, None)
    """
    if timeout is None:
        return None
    if isinstance(timeout, bool) or not isinstance(timeout, Real):
        raise TypeError(f"timeout must be None or a number of seconds, not {type(timeout).__name__}")
    try:
        seconds = float(timeout)
    except OverflowError:
        seconds = math.inf
    if not 0 <= seconds < math.inf:
        raise ValueError(f"timeout must be None, 0 or a positive, finite number of seconds, not {seconds!r}")
    return seconds


def timeout_ns(timeout: object) -> int:
    """Give a timeout in whole nanoseconds, -1 for no limit; what is above zero stays so. Raises as `check_timeout`.

    >>> timeout_ns(None), timeout_ns(0), timeout_ns(1.5), timeout_ns(1e-12)
    (-1, 0, 1500000000, 1)
    """
    if timeout is None:  # the usual case, and on the path of every call
        return -1
    seconds = check_timeout(timeout)
    return -1 if seconds is None else math.ceil(min(seconds * 1e9, _TIMEOUT_MAX_NS))


def check_choice(value: object, *, what: str, choices: Collection[str]) -> str:
    """Give `value` back if it is one of `choices`; else `ValueError`, or `TypeError` if it is no str.

    >>> check_choice("one", what="delivery", choices=("one", "all"))
    'one'
    """
    if not isinstance(value, str):
        raise TypeError(f"{what} must be str, not {type(value).__name__}")
    if value not in choices:
        raise ValueError(f"{what} must be one of {', '.join(map(repr, choices))}, not {value!r}")
    return value


def check_count(value: object, *, what: str, least: int, most: int) -> int:
    """Give a whole number from `least` to `most` back; else `ValueError`, or `TypeError` for a bool or another type.

    >>> check_count(100, what="capacity", least=1, most=2**32)
    100
    """
    count = _integer(value, what, "a whole number")
    if not least <= count <= most:
        raise ValueError(f"{what} must be from {least} to {most}, not {count}")
    return count


def time_ns(value: object) -> int:
    """Give a time in nanoseconds since the epoch, UTC, from such an int or an aware datetime.

    Raises `ValueError` for a naive datetime and beyond signed 64 bits, `TypeError` for another type.

    >>> time_ns(datetime(1970, 1, 1, 0, 0, 1, 5, tzinfo=timezone.utc))
    1000005000
    """
    if isinstance(value, datetime):
        if value.utcoffset() is None:
            raise ValueError(f"the time {value.isoformat()} has no time zone; give it one: value.astimezone()")
        # By integers: a float of seconds cannot tell microseconds of today apart reliably.
        nanoseconds = (value - _EPOCH) // timedelta(microseconds=1) * 1000
    else:
        nanoseconds = _integer(value, "a time", "whole nanoseconds since the epoch or an aware datetime")
    if not -(1 << 63) <= nanoseconds < 1 << 63:
        raise ValueError(f"the time {value} is beyond what 64 bits of nanoseconds hold (years 1678 to 2262)")
    return nanoseconds
