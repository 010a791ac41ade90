"""Defaults that can be told from the same value given by the caller.

Options are fixed by whoever creates a space or a structure. Opening it again without an option adopts it; another
explicit value is an error, even the default's. So a default is an object of its own that only looks like the value.

>>> size = DefaultStr("1G")
>>> size, given(size), given("1G")
('1G', False, True)
"""

from __future__ import annotations

__all__ = ["DefaultInt", "DefaultStr", "DefaultTuple", "given"]


class DefaultInt(int):
    """A whole number that the caller did not give."""


class DefaultStr(str):
    """A text that the caller did not give."""

    __slots__ = ()


class DefaultTuple(tuple[str, ...]):
    """Texts that the caller did not give."""

    __slots__ = ()


def given(value: object) -> bool:
    """Say whether the caller gave this value."""
    return value is not None and not isinstance(value, DefaultInt | DefaultStr | DefaultTuple)
