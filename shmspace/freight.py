"""How calls and results travel between the processes of one program: pickles, with large buffers beside them.

A buffer of `LARGE_BYTES` or more is not pickled: all of one value are gathered in one message of a channel of its own,
reserved in shared memory, and copied out once at the other end. They can be read again until that channel is dropped:
a task that has to be tried again finds its arguments.

A load is: four bytes of zero and the pickled value; or, with buffers beside it, two 32-bit little-endian words (1, and
the length of the list of buffers), that list, pickled, and the pickled value.
"""

from __future__ import annotations

import copyreg
import io
import pickle
import struct
import sys
from collections import ChainMap
from multiprocessing.reduction import ForkingPickler
from typing import Any

from .channel import open_existing
from .space import Space

__all__ = ["LARGE_BYTES", "ForkPickler", "drop", "has_buffers", "lifted", "pack", "unpack"]

LARGE_BYTES = 256 << 10

_ALIGN = 64
_WRITABLE, _READONLY, _BYTEARRAY = 0, 1, 2
_NONE = bytes(4)
_HEAD = struct.Struct("<II")
_reducers: Any = ForkingPickler


class ForkPickler(pickle.Pickler):
    """As multiprocessing's `ForkingPickler`, made in a third of the time."""

    dispatch_table = ChainMap(_reducers._extra_reducers, copyreg.dispatch_table)  # type: ignore[arg-type]


class _Lifted:
    """A bytes-like object that pickle would take as a part of its stream, or (a memoryview) not at all."""

    __slots__ = ("_data",)

    def __init__(self, data: Any) -> None:
        self._data = data

    def __reduce_ex__(self, protocol: Any) -> tuple[Any, ...]:
        data = self._data
        if type(data) is not memoryview:
            return _set_down, (type(data), pickle.PickleBuffer(data))
        whole = data if data.c_contiguous else (bytes if data.readonly else bytearray)(data)
        return _view_of, (pickle.PickleBuffer(whole), data.format, data.shape)


def _set_down(wanted: Any, data: Any) -> Any:
    return data if type(data) is wanted else wanted(data)


def _view_of(data: Any, form: str, shape: tuple[int, ...]) -> memoryview:
    view = memoryview(data)
    return view if (form, shape) == ("B", view.shape) else view.cast("B").cast(form, shape)  # type: ignore[call-overload]


def _is_large(value: Any) -> bool:
    kind = type(value)
    return kind is memoryview or ((kind is bytes or kind is bytearray) and len(value) >= LARGE_BYTES)


def lifted(value: Any) -> Any:
    """Give what to pickle in place of a value: large bytes-like objects at its top, or one level below, marked."""
    kind = type(value)
    if kind is tuple or kind is list:
        return kind(map(lifted_one, value)) if any(map(_is_large, value)) else value
    if kind is dict:
        if any(map(_is_large, value.values())):
            return {key: lifted_one(item) for key, item in value.items()}
        return value
    return lifted_one(value)


def lifted_one(value: Any) -> Any:
    """Give what to pickle in place of one object."""
    return _Lifted(value) if _is_large(value) else value


def pack(value: object, space: Space, name: str) -> bytes:
    """Give a value as bytes; its large buffers, if any, go into the channel of that name.

    Raises whatever its pickling raises, and `SpaceFull`.
    """
    buffers: list[memoryview] = []

    def keep(buffer: pickle.PickleBuffer) -> bool:
        try:
            raw = buffer.raw()
        except BufferError:
            return True  # not in one piece
        if raw.nbytes < LARGE_BYTES:
            return True
        buffers.append(raw)
        return False

    room = io.BytesIO()
    room.write(_NONE)
    ForkPickler(room, 5, buffer_callback=keep).dump(value)
    if not buffers:
        return room.getvalue()
    table = pickle.dumps((name, [(_kind_of(raw), raw.nbytes) for raw in buffers]))
    _send(space, name, buffers)
    return b"".join([_HEAD.pack(1, len(table)), table, room.getbuffer()[len(_NONE) :]])


def _kind_of(raw: memoryview) -> int:
    if raw.readonly:
        return _READONLY
    return _BYTEARRAY if type(raw.obj) is bytearray else _WRITABLE


def _aligned(size: int) -> int:
    return -(-size // _ALIGN) * _ALIGN


def _send(space: Space, name: str, buffers: list[memoryview]) -> None:
    total = sum(_aligned(raw.nbytes) for raw in buffers)
    with space.channel(name, capacity=1, replay=1, max_message=total, codec="raw") as channel:
        try:
            with channel.writer() as writer, writer.reserve(total) as view:
                start = 0
                for raw in buffers:
                    view[start : start + raw.nbytes] = raw
                    start += _aligned(raw.nbytes)
        except BaseException:
            channel.drop()
            raise


def unpack(data: memoryview, space: Space) -> Any:
    """Give the value; raises whatever its unpickling raises, `NotFound` when its buffers are not there any more."""
    if not has_buffers(data):
        return pickle.loads(data[4:])
    _, length = _HEAD.unpack_from(data)
    start = _HEAD.size + length
    name, sizes = pickle.loads(data[_HEAD.size : start])
    return pickle.loads(data[start:], buffers=_receive(space, name, sizes))


def _receive(space: Space, name: str, sizes: list[tuple[int, int]]) -> list[Any]:
    with (
        open_existing(space, name) as channel,
        channel.reader() as reader,
        reader.recv_view(timeout=0) as view,
    ):
        found, start = [], 0
        for kind, size in sizes:
            found.append(_copied(view[start : start + size], kind))
            start += _aligned(size)
        return found


def _copied(view: memoryview, kind: int) -> Any:
    if kind == _READONLY:
        return bytes(view)
    numpy = sys.modules.get("numpy")
    if kind == _BYTEARRAY or numpy is None:
        return bytearray(view)
    made = numpy.empty(len(view), "u1")  # in huge pages, where there are: a tenth of the page faults
    made[:] = numpy.frombuffer(view, "u1")
    return made


def has_buffers(load: bytes | memoryview) -> bool:
    """Say whether a load has buffers beside it, which somebody must `drop`."""
    return load[0] != 0


def drop(space: Space, name: str) -> None:
    """Give back the memory of the buffers of that name, if there are any."""
    space.delete("channel", name)
