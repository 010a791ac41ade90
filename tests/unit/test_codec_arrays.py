"""NumPy arrays through the codecs: they come back equal, writable and their own, and a lying record does no harm."""

from __future__ import annotations

import struct
import tracemalloc
import warnings
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmspace.codec import NDARRAY, RAW, decode, get_codec
from shmspace.errors import CodecError

np = pytest.importorskip("numpy")
hnp = pytest.importorskip("hypothesis.extra.numpy")

STRUCTURED = np.dtype([("id", ">i2"), ("at", "<M8[us]"), ("grid", "<f4", (2, 3)), ("in", [("x", "u1"), ("y", "S3")])])

PADDED = [np.dtype([("a", "u1"), ("b", "<f8")], align=True), np.zeros(1, STRUCTURED)[["id", "in"]].dtype]


def round_trip(value: Any) -> Any:
    number, data = get_codec("auto").encode(value)
    assert number == NDARRAY
    return decode(number, bytes(data))


def record(description: object, order: object, shape: object, data: bytes) -> bytes:
    """Bytes of an array record with whatever its maker claims."""
    head = msgspec.msgpack.encode([description, order, shape])
    start = -(-(8 + len(head)) // 16) * 16
    return struct.pack("<II", start, len(head)) + head.ljust(start - 8, b"\0") + data


def check_same(result: Any, value: Any) -> None:
    assert type(result) is np.ndarray
    assert (result.dtype, result.shape) == (value.dtype, value.shape)
    if value.dtype in PADDED:
        assert (result == value).all()  # padding between fields has no value
    else:
        assert result.tobytes() == value.tobytes()
    assert result.flags.writeable
    assert result.flags.owndata


@given(
    hnp.arrays(
        hnp.scalar_dtypes() | hnp.array_dtypes(),
        hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4),
    ),
    st.booleans(),
)
def test_any_array_without_objects_comes_back(value: Any, transposed: bool) -> None:
    value = value.T if transposed else value
    check_same(round_trip(value), value)


@pytest.mark.parametrize(
    "value",
    [
        np.array(5),
        np.zeros((0, 3)),
        np.arange(24, dtype=">i4").reshape(2, 3, 4),
        np.arange(24).reshape(2, 3, 4)[::-1, ::2, 1:3],
        np.array(["a", "größe"]),
        np.array([b"a", b"bc"]),
        np.array(["2024-01-01", "NaT"], dtype="M8[ns]"),
        np.zeros(3, dtype=STRUCTURED),
        np.zeros(3, dtype=PADDED[0]),
        np.zeros(3, dtype=PADDED[1]),
        np.zeros(6, dtype=PADDED[0])[::2],
        np.zeros(3, dtype="V5"),
        np.zeros(3, dtype="S0"),
        np.array([True, False]),
        np.array([1 + 2j], dtype="c8"),
        np.broadcast_to(np.arange(3), (1000, 3)),
    ],
    ids=lambda value: f"{value.dtype.str}{value.shape}",
)
def test_notable_arrays_come_back(value: Any) -> None:
    check_same(round_trip(value), value)


def test_fortran_order_is_kept() -> None:
    value = np.asfortranarray(np.arange(6).reshape(2, 3))
    result = round_trip(value)
    assert result.flags.f_contiguous
    assert not result.flags.c_contiguous
    check_same(result, value)


def test_a_result_is_not_the_callers_memory() -> None:
    value = np.arange(4)
    result = round_trip(value)
    result[0] = 9
    assert value[0] == 0


def test_padding_between_fields_carries_nothing_out_of_the_process() -> None:
    spread = np.frombuffer(b"\xff" * 64, dtype=PADDED[0])[::2]
    _, data = get_codec("auto").encode(spread)
    assert bytes(data)[-16:] == b"\xff" + bytes(7) + b"\xff" * 8


def test_elements_are_aligned_in_the_record() -> None:
    _, data = get_codec("auto").encode(np.zeros(3, dtype=STRUCTURED))
    start, size = struct.unpack_from("<II", data)
    assert start % 16 == 0
    assert msgspec.msgpack.decode(bytes(data)[8 : 8 + size])[1:] == ["C", [3]]
    assert len(data) == start + 3 * STRUCTURED.itemsize


def test_the_format_is_as_written_down() -> None:
    assert get_codec("auto").encode(np.array([1, 2], "<u2")) == (
        NDARRAY,
        record("<u2", "C", [2], b"\1\0\2\0"),
    )


def test_a_memory_map_is_an_array(tmp_path: Any) -> None:
    value = np.memmap(tmp_path / "file", dtype="u1", shape=(3,), mode="w+")
    check_same(round_trip(value), np.zeros(3, "u1"))


def test_raw_takes_the_bytes_of_an_array() -> None:
    assert bytes(get_codec("raw").encode(np.arange(3, dtype=">u2"))[1]) == b"\0\0\0\1\0\2"
    number, data = get_codec("raw").encode(np.zeros(2, dtype=np.dtype([("a", "<i2"), ("Offset", "u1")])))
    assert (number, bytes(data)) == (RAW, bytes(6))


@pytest.mark.parametrize(
    "value",
    [
        np.array([object()]),
        np.zeros(2, dtype=[("a", "i4"), ("b", "O")]),
        np.ma.array([1], mask=[True]),
        np.rec.array([(1, 2.0)]),
        np.float64(1),
        np.int64(1),
        np.bool_(True),
        np.str_("a"),
        np.bytes_(b"a"),
        np.datetime64("2024-01-01"),
        [np.float64(1)],
        [np.zeros(1)],
    ],
    ids=lambda value: f"{type(value).__name__}",
)
def test_what_would_lose_its_type_is_refused(value: Any) -> None:
    with pytest.raises(CodecError, match=r"^codec 'auto' cannot store .*'pickle'"):
        get_codec("auto").encode(value)


@pytest.mark.parametrize("value", [np.array([object()]), np.zeros(2, dtype=[("a", "O")]), np.float64(1)])
def test_raw_refuses_references_and_scalars(value: Any) -> None:
    with pytest.raises(CodecError, match=r"^codec 'raw' cannot store"):
        get_codec("raw").encode(value)


@pytest.mark.parametrize(
    "data",
    [
        record("<f8", "C", [3], bytes(23)),
        record("<f8", "C", [3], bytes(25)),
        record("<f8", "C", [1 << 40], bytes(8)),
        record("<f8", "C", [1 << 62, 4], b""),
        record("<f8", "C", [-1], b""),
        record("<f8", "C", [-1, -1], bytes(8)),
        record("<f8", "C", [True], bytes(8)),
        record("<f8", "C", 1, bytes(8)),
        record("<f8", "K", [1], bytes(8)),
        record("<f8", None, [1], bytes(8)),
        record("<u1", "C", [1] * 100, bytes(1)),
        record("|V0", "C", [1 << 63, 1 << 63], b""),
        record("|O", "C", [1], bytes(8)),
        record([["a", "|O"]], "C", [1], bytes(8)),
        record("f8,f8", "C", [1], bytes(16)),
        record("float64", "C", [1], bytes(8)),
        record("|V9999999999", "C", [1], bytes(8)),
        record("nonsense", "C", [1], b""),
        record(5, "C", [1], bytes(8)),
        record([["a"]], "C", [1], bytes(8)),
        record([["a", "<f8", [-1]]], "C", [1], bytes(8)),
        record([["a", "<f8", [1 << 40]]], "C", [1], bytes(8)),
        record([["a", "<f8"], ["a", "<f8"]], "C", [1], bytes(16)),
        record([[5, "<f8"]], "C", [1], bytes(8)),
        struct.pack("<II", 16, 9) + bytes(8),
        struct.pack("<II", 1 << 31, 4) + bytes(8),
        struct.pack("<II", 16, 0xFFFFFFFF) + bytes(8),
        struct.pack("<II", 17, 4) + bytes(40),
        struct.pack("<II", 0, 0) + bytes(40),
        b"\x10\0\0",
    ],
)
def test_a_record_that_lies_is_a_codec_error_and_allocates_nothing(data: bytes) -> None:
    tracemalloc.start()
    try:
        with pytest.raises(CodecError):
            decode(NDARRAY, data)
        assert tracemalloc.get_traced_memory()[1] < 1 << 20
    finally:
        tracemalloc.stop()


@given(st.data())
def test_a_damaged_record_gives_an_array_or_a_codec_error(data: st.DataObject) -> None:
    encoded = bytearray(get_codec("auto").encode(np.zeros((2, 3), dtype=STRUCTURED))[1])
    for place in data.draw(st.lists(st.integers(0, 120), min_size=1, max_size=4)):
        encoded[place] = data.draw(st.integers(0, 255))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        try:
            result = decode(NDARRAY, bytes(encoded))
        except CodecError:
            return
    assert result.nbytes <= len(encoded)
