"""How values become bytes: the codecs and the number that is stored with every record.

The number says how the bytes of one record are to be read, in any language and whatever codec its structure has:

======  =========  =====================================================================================
number  name       bytes of the record
======  =========  =====================================================================================
0       raw        the data itself
1       msgpack    one MessagePack object; points in time as its timestamp extension (type -1), UTC
2       json       one JSON text, UTF-8
3       pickle     a Python pickle, protocol 5
4       (ndarray)  one NumPy array
5       (tuple)    one MessagePack array, which is a tuple in Python
127     auto       only as the option of a structure, never of a record: each is 0, 1, 4 or 5, as its value is
128..   own        as registered with `register_codec`
======  =========  =====================================================================================

All others up to 127 are kept for later. The form of an array is told in `shmspace.ndarray`.

Values keep their type or are refused: a subclass of a plain type would come back as the plain one, so only pickle
takes it. There are two exceptions: tuples in containers come back as lists, bytes-like objects always as bytes.
"""

from __future__ import annotations

import math
import pickle
import re
import threading
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any, ClassVar, Final, NamedTuple, NoReturn, TypeAlias

import msgspec

from . import ndarray
from .errors import CodecError
from .ndarray import Refused

__all__ = ["AUTO", "JSON", "MSGPACK", "NDARRAY", "PICKLE", "RAW", "TUPLE"]
__all__ += ["Codec", "decode", "get_codec", "register_codec"]

BytesLike: TypeAlias = "bytes | bytearray | memoryview"

RAW: Final = 0
MSGPACK: Final = 1
JSON: Final = 2
PICKLE: Final = 3
NDARRAY: Final = 4
TUPLE: Final = 5
AUTO: Final = 127
_OWN_FIRST: Final = 128
_OWN_LAST: Final = 255

_STR: Final[frozenset[type]] = frozenset({str})
# Exact types that need no look before msgspec packs them; it refuses integers beyond 64 bits itself.
_PLAIN: Final[frozenset[type]] = frozenset({str, int, float, bool, type(None)})
_PLAIN_JSON: Final[frozenset[type]] = frozenset({str, bool, type(None)})
_BYTES_TYPES: Final[frozenset[type]] = frozenset({bytes, bytearray, memoryview})


# MessagePack and JSON

_pack: Final = msgspec.msgpack.Encoder().encode
_json_dump: Final = msgspec.json.Encoder().encode
_json_load: Final = msgspec.json.Decoder().decode


def _check(value: Any, plain: frozenset[type], check_leaf: Callable[[Any], None]) -> None:
    """Refuse what msgspec would take but give back as another type, at any depth.

    Most containers hold only plain values: `issuperset` finds that out without a step of Python per item.
    """
    kind = type(value)
    items: Any
    if kind is dict:
        if not _STR.issuperset(map(type, value)):
            bad = next(key for key in value if type(key) is not str)
            raise Refused(f"a key of a dict must be str, not {_type_name(bad)}")
        items = value.values()
    elif kind is list or kind is tuple:
        items = value
    else:
        check_leaf(value)
        return
    if not plain.issuperset(map(type, items)):
        for item in items:
            if type(item) not in plain:
                _check(item, plain, check_leaf)


def _check_msgpack_leaf(value: Any) -> None:
    kind = type(value)
    if kind is datetime:
        if value.utcoffset() is None:
            raise Refused("a datetime needs a time zone: value.astimezone()")
        value.astimezone(timezone.utc)  # raises where UTC leaves the years 1 to 9999
    elif kind not in _PLAIN and kind not in _BYTES_TYPES:
        raise Refused(f"{_type_name(value)} is none of the types that this codec takes")


def _check_json_leaf(value: Any) -> None:
    kind = type(value)
    if kind is float:
        if not math.isfinite(value):
            raise Refused(f"JSON has no {value}")
    elif kind is int:
        if not -(1 << 63) <= value < 1 << 64:
            raise Refused("an integer must fit 64 bits")
    elif kind not in _PLAIN_JSON:
        raise Refused(f"JSON has no {_type_name(value)}")


def _unknown_extension(code: int, data: memoryview) -> NoReturn:
    raise Refused(f"MessagePack extension type {code} is not known here")


_unpack: Final = msgspec.msgpack.Decoder(ext_hook=_unknown_extension).decode


def _unpack_tuple(data: bytes) -> tuple[object, ...]:
    value = _unpack(data)
    if type(value) is not list:
        raise Refused("a tuple must be a MessagePack array")
    return tuple(value)


# The codecs


class Shortcut(NamedTuple):
    """How native code makes bytes of the commonest values by itself, with the same result as `Codec.encode`.

    ``pack(value)``, or ``pack(value, argument)`` where there is an argument, gives `bytes`. It is called for plain ones
    (str, int, float, bool, None, bytes), for lists, tuples and dicts with str keys that have only these in them, all of
    exactly these types; or for every value if `takes_all`. ``unpack(data)`` reads records of both numbers.
    """

    number: int
    tuple_number: int
    """The number of records of tuples, which `unpack` gives as lists if it is another one."""
    pack: Callable[..., bytes]
    argument: Any
    takes_all: bool
    unpack: Callable[[bytes], Any]


class Codec:
    """One way to turn values into bytes; `get_codec` hands them out.

    `name` is the option's name, `number` what a structure stores for it.
    """

    __slots__ = ("name", "number")

    passes_bytes: ClassVar[bool] = False
    """Whether `bytes` are stored as they are, with the number of raw."""
    shortcut: ClassVar[Shortcut | None] = None

    def __init__(self, name: str, number: int) -> None:
        self.name = name
        self.number = number

    def __repr__(self) -> str:
        return f"<Codec {self.name!r} ({self.number})>"

    def encode(self, value: object) -> tuple[int, BytesLike]:
        """Give the number to store with the record, and its bytes.

        The bytes may be the caller's own buffer: copy them before the call returns. Raises `CodecError` if the codec
        does not take the value; the text names its type and the codecs that would.

        >>> get_codec("auto").encode([1, None])
        (1, b'\\x92\\x01\\xc0')
        """
        try:
            return self._encode(value)
        except Exception as error:
            self._refuse(value, error)

    def decode(self, number: int, data: bytes) -> Any:
        """Give the value of a record of this codec's structure; raises `CodecError` if it cannot be read.

        Unlike the function `decode` this reads no pickles, unless the codec is the one that makes them: whoever may
        write to a structure that was not opened for pickles must not be able to run code in its readers.

        >>> get_codec("auto").decode(1, b"\\x92\\x01\\xc0")
        [1, None]
        """
        if number == RAW:
            return data if type(data) is bytes else bytes(data)
        if number == PICKLE and self.number != PICKLE:
            raise CodecError(
                f"the record is a pickle, but its structure has the codec {self.name!r}; "
                "pickles are read only where the structure was created and opened with codec='pickle'"
            )
        return decode(number, data)

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        raise NotImplementedError

    def _refuse(self, value: object, error: Exception) -> NoReturn:
        reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
        text = f"codec {self.name!r} cannot store a value of type {_type_name(value)} ({reason})"
        takers = [repr(other.name) for other in _BUILTIN if other is not self and other._takes(value)]
        text += f"; these would take it: {', '.join(takers)}" if takers else "; no codec would take it"
        raise CodecError(text) from (None if isinstance(error, Refused) else error)

    def _refuse_record(self, number: int, error: Exception) -> NoReturn:
        _refuse_record(number, error)

    def _takes(self, value: object) -> bool:
        try:
            self._encode(value)
        except Exception:
            return False
        return True


def _type_name(value: object) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


class _Raw(Codec):
    __slots__ = ()
    passes_bytes = True

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        return RAW, value if type(value) is bytes else _as_bytes(value)


class _Auto(Codec):
    __slots__ = ()
    passes_bytes = True
    shortcut = Shortcut(MSGPACK, TUPLE, _pack, None, takes_all=False, unpack=_unpack)

    def encode(self, value: object) -> tuple[int, BytesLike]:
        """See `Codec.encode`: the same, with the commonest types first since it is on the path of every call."""
        kind = type(value)
        if kind is bytes:
            return RAW, value  # type: ignore[return-value]
        try:
            return (MSGPACK, _pack(value)) if kind in _PLAIN else self._encode(value)
        except Exception as error:
            self._refuse(value, error)

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        kind = type(value)
        if kind in _PLAIN:
            return MSGPACK, _pack(value)
        if kind is dict or kind is list or kind is tuple or kind is datetime:
            _check(value, _PLAIN, _check_msgpack_leaf)
            return TUPLE if kind is tuple else MSGPACK, _pack(value)
        if ndarray.is_array(value):
            return NDARRAY, ndarray.to_bytes(value)
        return RAW, _as_bytes(value)


class _MessagePack(Codec):
    __slots__ = ()
    shortcut = Shortcut(MSGPACK, MSGPACK, _pack, None, takes_all=False, unpack=_unpack)

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        if type(value) not in _PLAIN:
            _check(value, _PLAIN, _check_msgpack_leaf)
        return MSGPACK, _pack(value)


class _Json(Codec):
    __slots__ = ()

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        _check(value, _PLAIN_JSON, _check_json_leaf)
        return JSON, _json_dump(value)


class _Pickle(Codec):
    __slots__ = ()
    shortcut = Shortcut(PICKLE, PICKLE, pickle.dumps, 5, takes_all=True, unpack=pickle.loads)

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        return PICKLE, pickle.dumps(value, protocol=5)


class _Own(Codec):
    __slots__ = ("_from_bytes", "_to_bytes")

    def __init__(
        self, name: str, number: int, encode: Callable[[Any], object], decode: Callable[[bytes], object]
    ) -> None:
        super().__init__(name, number)
        self._to_bytes = encode
        self._from_bytes = decode

    def _encode(self, value: object) -> tuple[int, BytesLike]:
        data = self._to_bytes(value)
        try:
            return self.number, _as_bytes(data)
        except Refused as error:
            raise TypeError(f"its encode function gave {_type_name(data)} instead of bytes") from error


# Bytes-like objects


def _as_bytes(value: object) -> BytesLike:
    """Give any bytes-like object as something whose `len` is its number of bytes, without a copy where possible."""
    if type(value) is bytes or type(value) is bytearray:
        return value
    if ndarray.is_scalar(value):
        raise Refused("a NumPy scalar is no bytes-like object; value.item() gives a plain one")
    try:
        view = memoryview(value)  # type: ignore[arg-type]
    except TypeError:
        raise Refused("it is none of the types that this codec takes") from None
    # References to Python objects mean nothing to another process. (The names of fields stand between colons.)
    if "O" in re.sub(":[^:]*:", "", view.format):
        raise Refused("its elements are Python objects")
    if not view.c_contiguous or not view.nbytes:
        return view.tobytes()
    try:
        return view.cast("B")
    except TypeError:
        return view.tobytes()  # a format that cast() does not know, such as that of a structured array


# The registry

_BUILTIN: Final[tuple[Codec, ...]] = (
    _Raw("raw", RAW),
    _Auto("auto", AUTO),
    _MessagePack("msgpack", MSGPACK),
    _Json("json", JSON),
    _Pickle("pickle", PICKLE),
)
_by_name: Final[dict[str, Codec]] = {codec.name: codec for codec in _BUILTIN}
_by_number: Final[dict[int, Codec]] = {codec.number: codec for codec in _BUILTIN}
_registering = threading.Lock()
_decoders: Final[dict[int, Callable[[bytes], object]]] = {
    RAW: bytes,
    MSGPACK: _unpack,
    JSON: _json_load,
    PICKLE: pickle.loads,
    NDARRAY: ndarray.from_bytes,
    TUPLE: _unpack_tuple,
}


def decode(number: int, data: bytes) -> Any:
    """Give the value of a record from its stored number and bytes, whatever the codec of its structure.

    Raises `CodecError` for a number that is not known here and for bytes that are not of that form, nothing else.
    A pickle can run any code: where not everybody who may write is trusted, use `Codec.decode`.

    >>> decode(5, b"\\x92\\x01\\x02")
    (1, 2)
    """
    decoder = _decoders.get(number)
    if decoder is None:
        raise CodecError(f"no codec has the number {number} here{_hint(number)}")
    try:
        return decoder(data if type(data) is bytes else bytes(data))
    except Exception as error:
        _refuse_record(number, error)


def _refuse_record(number: int, error: Exception) -> NoReturn:
    reason = str(error) if isinstance(error, Refused) else f"{type(error).__name__}: {error}"
    text = f"the record cannot be read as codec number {number} ({reason})"
    raise CodecError(text) from (None if isinstance(error, Refused) else error)


def _hint(number: int) -> str:
    if _OWN_FIRST <= number <= _OWN_LAST:
        return "; it is an application's own: call shmspace.register_codec for it first"
    return "; the record is damaged, or from a newer version of shmspace"


def get_codec(name: str | int) -> Codec:
    """Give the codec of that option's name, or of the number that a structure has stored for it.

    Raises `CodecError` if there is none.

    >>> get_codec("json").number, get_codec(127).name
    (2, 'auto')
    """
    if isinstance(name, bool) or not isinstance(name, str | int):
        raise TypeError(f"codec must be the name of a codec, not {type(name).__name__}")
    if isinstance(name, int):
        if name not in _by_number:
            raise CodecError(f"no codec has the number {name} here{_hint(name)}")
        return _by_number[name]
    if name not in _by_name:
        raise CodecError(
            f"there is no codec {name!r}; there are {', '.join(map(repr, _by_name))} "
            "and those made known with shmspace.register_codec"
        )
    return _by_name[name]


def register_codec(name: str, number: int, encode: Callable[[Any], object], decode: Callable[[bytes], object]) -> None:
    """Make an own codec known to this process, as ``codec=name`` and for records that carry its number.

    `number` is from 128 to 255 and must mean the same in every program that uses the space. `encode` turns a value
    into a bytes-like object, `decode` turns bytes into a value; what they raise becomes the cause of a `CodecError`.
    Raises `ValueError` if the number is out of range, or the name or the number is taken.

    >>> register_codec("hex", 200, bytes.fromhex, bytes.hex)
    >>> get_codec("hex").encode("ff00")
    (200, b'\\xff\\x00')
    >>> get_codec("hex").decode(200, b"\\xff\\x00")
    'ff00'
    """
    if not isinstance(name, str):
        raise TypeError(f"the name of a codec must be str, not {type(name).__name__}")
    if isinstance(number, bool) or not isinstance(number, int):
        raise TypeError(f"the number of a codec must be int, not {type(number).__name__}")
    if not callable(encode) or not callable(decode):
        raise TypeError("encode and decode of a codec must be callable")
    if not name:
        raise ValueError("the name of a codec must not be empty")
    if not _OWN_FIRST <= number <= _OWN_LAST:
        raise ValueError(f"the number of an own codec must be from {_OWN_FIRST} to {_OWN_LAST}, not {number}")
    with _registering:
        for taken in (_by_name.get(name), _by_number.get(number)):
            if taken is not None:
                raise ValueError(f"codec {name!r} ({number}) cannot be registered: {taken!r} is there already")
        _decoders[number] = decode
        _by_number[number] = _by_name[name] = _Own(name, number, encode, decode)
