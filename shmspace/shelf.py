"""What queues and tuple spaces have in common: values, put and taken. The calls are native (hot_values.c)."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from . import _native, options
from ._native import ffi, lib
from .codec import Codec, get_codec
from .errors import CodecError
from .handle import PATIENCE_NS, NamedHandle

if TYPE_CHECKING:
    pass

__all__ = ["Shelf", "codec_option"]


def codec_option(name: str) -> bytes:
    """Give the name of a codec as a structure keeps it; raises `CodecError` when there is none or it is too long."""
    if not isinstance(name, str):
        raise TypeError(f"codec must be the name of a codec, not {type(name).__name__}")
    encoded = get_codec(name).name.encode()
    if len(encoded) > 31:
        raise CodecError(f"the name of codec {name!r} is longer than 31 bytes, which a structure can keep")
    return encoded


class Shelf(_native.Shelf, NamedHandle):  # type: ignore[misc]  # a native type
    """A structure of values that are put and taken."""

    _codec: Codec

    def _bind_values(self, queue: Any, tuples: Any, lane: int) -> None:
        """Tell the native methods what they need."""
        addresses = [int(ffi.cast("uintptr_t", pointer or ffi.NULL)) for pointer in (queue, tuples)]
        self._bind(*addresses, lane, self._codec, 1 << 62)

    def _refuse_length(self, length: int) -> None:
        raise _native.error(lib.SHM_TOO_LARGE, f"a value of {length} bytes does not fit into {self}; nothing was put")

    def _shut_down(self, call: Callable[..., int], immediate: bool) -> None:
        pointer = self._pointer
        status = _native.patiently(lambda limit: call(pointer, bool(immediate), limit), PATIENCE_NS)
        if status != lib.SHM_OK:
            raise self._exception(status, "shutdown", 0)

    def _peers(self, *, writers: bool) -> list[Any]:
        return []


def deadline_of(timeout: float | None) -> float:
    """Give when a timeout is over, on the monotonic clock in seconds."""
    timeout_ns = options.timeout_ns(timeout)
    return math.inf if timeout_ns < 0 else time.monotonic() + timeout_ns / 1e9
