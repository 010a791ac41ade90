"""Tuple spaces: keyed bags of values, first in first out (Linda's out, in, rd, inp, rdp).

`out`, `take`, `read` and their kin are native methods; see _native/hot_values.c.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, Any, NamedTuple

from . import _native, options
from ._native import ffi, lib
from .defaults import given
from .errors import NotDurable
from .handle import PATIENCE_NS
from .shelf import Shelf, codec_option

if TYPE_CHECKING:
    from .aio_values import TuplesAio
    from .space import Space

__all__ = ["Tuples", "TuplesStat"]

_COUNT_MOST = 1 << 32
_GIVEN = {"codec": lib.SHM_GIVEN_CODEC, "bound": lib.SHM_GIVEN_BOUND}


class TuplesStat(NamedTuple):
    """A tuple space in numbers."""

    keys: int
    """Keys that have values."""
    entries: int
    """Values."""
    nbytes: int
    """Bytes of the values."""
    waiting: int
    """Blocked calls that want a value."""


class Tuples(Shelf):
    """A tuple space; `Space.tuples` gives it. A key is a queue of values; any key, also the empty one."""

    _kind = "tuples"
    _native_kind = "tuples"

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._begin(space, name, wanted, given_bits, create)

    def _open_native(self) -> None:
        self._open_named(lib.shm_tuples_open)
        found = ffi.new("shm_tuples_options *")
        lib.shm_tuples_get_options(self._raw, found)
        self._codec = self._allowed_codec(_native.text(found.codec))
        self._bind_values(None, self._raw, 0)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name)

    out = _native.Shelf._out
    """``out(key, value, timeout=None)``: add a value at the key's end; with a `bound` it waits for room.

    Raises `Full`, `Closed` (shut down or deleted), `CodecError`, `SpaceFull`.
    """
    out_many = _native.Shelf._out_many
    """``out_many(key, values, timeout=None) -> int``: add values in order as room appears; how many."""
    take = _native.Shelf._take
    """``take(key, timeout=None)``: remove the key's oldest value and give it; waits while there is none.

    Those who wait are served in the order they came. If this process dies before the call returns the value goes back
    to where it was. Raises `Empty`, `Closed` (shut down and empty, or deleted), `CodecError`.
    """
    take_many = _native.Shelf._take_many
    """``take_many(key, max_count, timeout=None) -> list``: take up to so many values; waits for the first only."""
    read = _native.Shelf._read
    """``read(key, timeout=None)``: give the key's oldest value and leave it there."""
    try_take = _native.Shelf._try_take
    """``try_take(key, default=None)``: take a value that is there, else give the default; never waits."""
    try_read = _native.Shelf._try_read
    """``try_read(key, default=None)``: read a value that is there, else give the default; never waits."""

    def len(self, key: str | bytes) -> int:
        """Give how many values the key has."""
        return self._count(lib.shm_tuples_length, key)

    def waiting(self, key: str | bytes) -> int:
        """Give how many calls wait for a value of the key, to take it or to read it."""
        return self._count(lib.shm_tuples_waiting, key)

    def _count(self, call: Any, key: str | bytes) -> int:
        self._look_there()
        data = key_bytes(key)
        count = int(call(self._raw, data, len_(data)))
        if count < 0:
            raise self._exception(count, "counting", 0)
        return count

    def keys(self, prefix: str | bytes = "") -> list[str | bytes]:
        """Give the keys that have values and begin with `prefix`, in byte order."""
        self._look_there()
        start, pointer = key_bytes(prefix), self._raw
        blob, size = ffi.new("uint8_t **"), ffi.new("uint64_t *")
        status = _native.patiently(
            lambda limit: lib.shm_tuples_keys(pointer, start, len_(start), limit, blob, size), PATIENCE_NS
        )
        if status != lib.SHM_OK:
            raise self._exception(status, "keys", PATIENCE_NS)
        try:
            data = bytes(ffi.buffer(blob[0], size[0])) if size[0] else b""
        finally:
            lib.shm_tuples_free_keys(blob[0])
        found, at = [], 0
        while at < len_(data):
            (length,) = struct.unpack_from("<I", data, at)
            found.append(data[at + 4 : at + 4 + length])
            at += 4 + length
        return [options.name_to_str(key) for key in sorted(found)]

    def shutdown(self, immediate: bool = False) -> None:
        """No more input, for everybody: `out` raises `Closed`, and `take` and `read` do when nothing is there.

        `immediate` discards what is there. Everyone blocked wakes.
        """
        self._shut_down(lib.shm_tuples_shutdown, immediate)

    def stat(self) -> TuplesStat:
        """Give counts and bytes; looks at every key."""
        self._look_there()
        facts, pointer = ffi.new("shm_tuples_facts *"), self._raw
        status = _native.patiently(lambda limit: lib.shm_tuples_stat(pointer, limit, facts), PATIENCE_NS)
        if status != lib.SHM_OK:
            raise self._exception(status, "stat", PATIENCE_NS)
        return TuplesStat(
            keys=int(facts.keys),
            entries=int(facts.values),
            nbytes=int(facts.size_bytes),
            waiting=int(facts.waiting),
        )

    @property
    def aio(self) -> TuplesAio:
        """The same calls as coroutines."""
        from .aio_values import TuplesAio

        return TuplesAio(self)


len_ = len  # the method of that name is in the way inside the class


def key_bytes(key: str | bytes) -> bytes:
    """Give a key as it is stored. Raises `TypeError` for what is neither text nor bytes."""
    if isinstance(key, str):
        return key.encode()
    if isinstance(key, bytes):
        return key
    raise TypeError(f"a key must be str or bytes, not {type(key)!r}")


def _unpickle(space: Space, name: bytes) -> Tuples:
    return Tuples(space, name, ffi.new("shm_tuples_options *", {"codec": b"auto"}), 0, False)


def open_tuples(space: Space, name: str | bytes, *, bound: int | None, codec: str, durable: bool) -> Tuples:
    """Check the options of `Space.tuples`, and open it."""
    data = options.check_structure_name(name)
    if durable:
        raise NotDurable(f"tuples {name!r}: durable=True needs a space with persist=, which this version has not yet")
    most = 0 if bound is None else options.check_count(bound, what="bound", least=1, most=_COUNT_MOST)
    bits = sum(bit for option, bit in _GIVEN.items() if given({"bound": bound, "codec": codec}[option]))
    wanted = ffi.new("shm_tuples_options *")
    wanted.bound = most
    wanted.codec = codec_option(codec)
    return Tuples(space, data, wanted, bits, True)
