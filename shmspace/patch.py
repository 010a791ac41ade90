"""JSON merge patches (RFC 7396): what a value becomes when part of it is given anew."""

from __future__ import annotations

from typing import Any

__all__ = ["merged"]


def merged(value: Any, partial: Any) -> Any:
    """Give the value with `partial` merged into it, by the algorithm of RFC 7396, section 2; neither is changed.

    >>> merged({"a": 1, "b": {"c": 2, "d": 3}}, {"a": None, "b": {"c": 4}})
    {'b': {'c': 4, 'd': 3}}
    >>> merged("text", {"a": {"b": None}})
    {'a': {}}
    """
    if not isinstance(partial, dict):
        return partial
    result = dict(value) if isinstance(value, dict) else {}
    for name, part in partial.items():
        if part is None:
            result.pop(name, None)
        else:
            result[name] = merged(result.get(name), part)
    return result
