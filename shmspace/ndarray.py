"""One NumPy array as the bytes of a record, for readers in any language.

The record is: two 32-bit little-endian numbers, the position of the first element counted from the start of the record
(a multiple of 16) and the size of the description in bytes; the description, a MessagePack array ``[type, order,
shape]``; zero bytes up to the first element; the elements without gaps, up to the end of the record.

``type`` is NumPy's name of the element's type with its byte order (``"<f8"``, ``">i4"``, ``"<M8[ns]"``) or, for
structured ones, the list of fields that the NPY format uses (``[[name, type], [name, type, shape], ...]``; a field
named ``""`` is padding); ``order`` is ``"C"`` (last index runs fastest) or ``"F"`` (first does); ``shape`` lists the
lengths, none for a single element.

NumPy is optional, and never imported to encode: who has an array has imported it.
"""

from __future__ import annotations

import functools
import math
import struct
import sys
from typing import TYPE_CHECKING, Any, Final

import msgspec

if TYPE_CHECKING:
    import numpy

__all__ = ["Refused", "from_bytes", "is_array", "is_scalar", "to_bytes"]

_ALIGN_BYTES: Final = 16
_HEAD: Final = struct.Struct("<II")
_pack: Final = msgspec.msgpack.Encoder().encode
_unpack: Final = msgspec.msgpack.Decoder().decode


class Refused(Exception):
    """A value or a record that cannot be taken; its text is the reason."""


def _numpy_if_loaded() -> Any:
    return sys.modules.get("numpy")


def is_array(value: object) -> bool:
    """Tell whether it is an array that `to_bytes` may take; one of a subclass is `Refused`."""
    numpy = _numpy_if_loaded()
    if numpy is None or not isinstance(value, numpy.ndarray):
        return False
    if type(value) is not numpy.ndarray and type(value) is not numpy.memmap:
        raise Refused("a subclass of numpy.ndarray would lose its class; numpy.asarray(value) gives a plain array")
    return True


def is_scalar(value: object) -> bool:
    """Tell whether it is a single NumPy value, such as ``numpy.float64(1)``."""
    numpy = _numpy_if_loaded()
    return numpy is not None and isinstance(value, numpy.generic)


@functools.lru_cache(maxsize=256)
def _dtype_to_description(dtype: numpy.dtype[Any]) -> object:
    from numpy.lib import format as npy

    if dtype.hasobject:
        raise Refused(f"an array of dtype {dtype} holds Python objects")
    description = npy.dtype_to_descr(dtype)
    if npy.descr_to_dtype(description) != dtype:  # such as the types that other packages add to NumPy
        raise Refused(f"the dtype {dtype} cannot be written down")
    return description


def to_bytes(value: Any) -> bytes:
    """Give the record of an array; raises `Refused` if its elements cannot be written down."""
    # The transpose of an array in Fortran order is the same memory in C order.
    fortran = value.flags.f_contiguous and not value.flags.c_contiguous
    header = _pack((_dtype_to_description(value.dtype), "F" if fortran else "C", value.shape))
    end = _HEAD.size + len(header)
    start = -(-end // _ALIGN_BYTES) * _ALIGN_BYTES
    parts: list[Any] = [_HEAD.pack(start, len(header)), header, bytes(start - end)]
    if value.nbytes:
        rows = value.T if fortran else value
        if not rows.flags.c_contiguous:
            import numpy

            # Not copy(): it would leave padding between fields as the heap had it, for others to read.
            rows = numpy.zeros(value.shape, value.dtype)
            rows[...] = value
        # As bytes first: many element types have no buffer of their own. join() then makes the only copy.
        parts.append(rows.reshape(-1).view("u1").data)
    return b"".join(parts)


def _description_to_dtype(description: object) -> numpy.dtype[Any]:
    import numpy
    from numpy.lib import format as npy

    if not isinstance(description, str):
        description = _fields_from_lists(description)
    dtype = npy.descr_to_dtype(description)  # type: ignore[arg-type]
    # NumPy also understands many a short or composed name; only what it writes itself is a description.
    if dtype.hasobject or (isinstance(description, str) and dtype.str != description):
        raise Refused(f"{description!r} describes no element type")
    assert isinstance(dtype, numpy.dtype)
    return dtype


def _fields_from_lists(fields: object) -> list[tuple[object, ...]]:
    """Give back the tuples that NumPy wants and MessagePack does not have: in fields, shapes and titled names."""
    if type(fields) is not list:
        raise Refused("an element type is a text or a list of fields")
    result: list[tuple[object, ...]] = []
    for field in fields:
        name, kind, *shape = field
        name = tuple(name) if type(name) is list else name
        result.append((name, kind if isinstance(kind, str) else _fields_from_lists(kind), *map(tuple, shape)))
    return result


def from_bytes(data: bytes) -> object:
    """Give the array in memory of its own; NumPy sees no length that was not checked against the bytes there are."""
    try:
        import numpy
    except ImportError:
        raise Refused("it is an array, and NumPy is not installed; install shmspace[numpy]") from None
    start, size = _HEAD.unpack_from(data)
    end = _HEAD.size + size
    if start % _ALIGN_BYTES or not end <= start <= len(data):
        raise Refused("the head of the array is damaged")
    description, order, shape = _unpack(data[_HEAD.size : end])
    if order not in ("C", "F") or type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
        raise Refused("the description of the array is damaged")
    dtype = _description_to_dtype(description)
    if math.prod(shape) * dtype.itemsize != len(data) - start:
        raise Refused(f"an array of {dtype} and shape {shape} does not take {len(data) - start} bytes")
    view = memoryview(data)[start:]
    return numpy.ndarray(shape, dtype, view, order=order).copy("K")
