"""Values of messages as text and as JSON, both ways.

JSON has no bytes: bytes that are UTF-8 become a string, others ``{"base64": "..."}``, and such an object given as input
becomes bytes again. It has no NaN and no infinities either: they become their names as strings.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import json
import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any


def to_json(value: Any) -> Any:
    """Turn a value into what JSON can say, losing as little as possible.

    >>> to_json((1, b"text", b"\\xff", {"a": None}))
    [1, 'text', {'base64': '/w=='}, {'a': None}]
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return _bytes_to_json(bytes(value))
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(to_json(key)): to_json(item) for key, item in value.items()}
    if hasattr(value, "_asdict"):  # a named tuple
        return to_json(value._asdict())
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_json(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, list | tuple | set | frozenset):
        return [to_json(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars, without importing NumPy
        return to_json(value.tolist())
    return str(value)


def _bytes_to_json(data: bytes) -> Any:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return {"base64": base64.b64encode(data).decode("ascii")}


def to_line(value: Any) -> str:
    """Write a value as one line of JSON.

    >>> to_line({"n": 1})
    '{"n": 1}'
    """
    return json.dumps(to_json(value))


def to_text(value: Any) -> str:
    """Write a value for people: text as it is, everything else as JSON.

    >>> to_text("hello"), to_text(b"hello"), to_text(["hello"])
    ('hello', 'hello', '["hello"]')
    """
    found = to_json(value)
    return found if isinstance(found, str) else json.dumps(found)


def from_json(text: str | bytes) -> Any:
    """Read one JSON text; ``{"base64": "..."}`` becomes bytes. Raises `ValueError` if it is not JSON.

    >>> from_json('[1, {"base64": "/w=="}]')
    [1, b'\\xff']
    """
    return json.loads(text, object_hook=_restore_bytes, parse_constant=_refuse_constant)


def _restore_bytes(found: dict[str, Any]) -> Any:
    if found.keys() != {"base64"} or not isinstance(found["base64"], str):
        return found
    try:
        return base64.b64decode(found["base64"], validate=True)
    except binascii.Error as error:
        raise ValueError(f"{found['base64']!r} is not base64: {error}") from error


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
