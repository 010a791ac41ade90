"""Many messages with one call: send_many and recv_many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import shmspace
from tests.helpers.peer_wait import blocked


@pytest.fixture(params=["channel", "handles"])
def ends(space: shmspace.Space, request: pytest.FixtureRequest) -> Iterator[tuple[Any, Any]]:
    """What to send with and what to receive with: the channel, or a writer and a reader."""
    channel = space.channel("c", capacity=10, max_message=100)
    if request.param == "channel":
        yield channel, channel
    else:
        with channel.writer() as writer, channel.reader() as reader:
            yield writer, reader


def test_send_many_gives_the_number_sent(ends: tuple[Any, Any]) -> None:
    out, into = ends
    assert out.send_many([b"a", b"", "c", 4]) == 4
    assert into.recv_many(10) == [b"a", b"", "c", 4]


def test_send_many_of_nothing_is_zero(ends: tuple[Any, Any]) -> None:
    out, into = ends
    assert out.send_many([]) == 0
    with pytest.raises(shmspace.Empty):
        into.recv_many(1, timeout=0)


def test_send_many_of_nothing_is_zero_in_a_full_channel_too(ends: tuple[Any, Any]) -> None:
    out, _ = ends
    out.send_many(range(10))
    assert out.send_many([], timeout=0) == 0


def test_send_many_takes_any_iterable(ends: tuple[Any, Any]) -> None:
    out, into = ends
    assert out.send_many(number * number for number in range(4)) == 4
    assert out.send_many({"a": 1, "b": 2}) == 2
    assert into.recv_many(10) == [0, 1, 4, 9, "a", "b"]


def test_send_many_leaves_the_callers_list_alone(ends: tuple[Any, Any]) -> None:
    out, _ = ends
    values = [b"a", [1, (2, 3)], {"k": "v"}]
    out.send_many(values)
    assert values == [b"a", [1, (2, 3)], {"k": "v"}]


@pytest.mark.parametrize(
    ("bad", "error"), [(object(), shmspace.CodecError), (bytes(101), shmspace.TooLarge)]
)
@pytest.mark.parametrize("place", [0, 2, 4])
def test_one_bad_value_and_nothing_is_sent(
    ends: tuple[Any, Any], bad: Any, error: type[Exception], place: int
) -> None:
    out, into = ends
    values: list[Any] = [1, 2, 3, 4]
    values.insert(place, bad)
    with pytest.raises(error):
        out.send_many(values)
    with pytest.raises(shmspace.Empty):
        into.recv(timeout=0)


def test_values_are_checked_before_waiting_for_room(ends: tuple[Any, Any]) -> None:
    out, into = ends
    out.send_many(range(10))
    with pytest.raises(shmspace.CodecError):
        out.send_many([1, object()])
    assert into.recv_many(20) == list(range(10))


def test_send_many_of_more_than_the_capacity_waits_for_readers(ends: tuple[Any, Any]) -> None:
    out, into = ends
    call = blocked(out.send_many, range(35))
    got: list[int] = []
    while len(got) < 35:
        got += into.recv_many(7)
    assert (call.result(), got) == (35, list(range(35)))


def test_send_many_of_something_that_is_not_iterable_is_a_type_error(
    ends: tuple[Any, Any],
) -> None:
    out, _ = ends
    with pytest.raises(TypeError):
        out.send_many(7)


def test_an_iterable_that_raises_sends_nothing(ends: tuple[Any, Any]) -> None:
    def broken() -> Iterator[int]:
        yield 1
        raise KeyError("on purpose")

    out, into = ends
    with pytest.raises(KeyError):
        out.send_many(broken())
    with pytest.raises(shmspace.Empty):
        into.recv(timeout=0)


def test_recv_many_gives_at_most_max_count_in_order(ends: tuple[Any, Any]) -> None:
    out, into = ends
    out.send_many(range(10))
    assert into.recv_many(3) == [0, 1, 2]
    assert into.recv_many(1) == [3]
    assert into.recv_many(1000) == [4, 5, 6, 7, 8, 9]


def test_recv_many_waits_for_the_first_only(ends: tuple[Any, Any]) -> None:
    out, into = ends
    call = blocked(into.recv_many, 5)
    out.send("x")
    assert call.result() == ["x"]


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_recv_many_without_a_first_is_empty(ends: tuple[Any, Any], timeout: float) -> None:
    _, into = ends
    with pytest.raises(shmspace.Empty):
        into.recv_many(5, timeout=timeout)


def test_recv_many_gives_what_there_is_with_timeout_zero(ends: tuple[Any, Any]) -> None:
    out, into = ends
    out.send_many([1, 2])
    assert into.recv_many(5, timeout=0) == [1, 2]


@pytest.mark.parametrize("max_count", [0, -1])
def test_recv_many_of_less_than_one_is_a_value_error(ends: tuple[Any, Any], max_count: int) -> None:
    out, into = ends
    out.send("x")
    with pytest.raises(ValueError, match="max_count"):
        into.recv_many(max_count)
    assert into.recv(timeout=0) == "x"


@pytest.mark.parametrize("max_count", [None, "5", 1.5])
def test_recv_many_of_no_number_is_a_type_error(ends: tuple[Any, Any], max_count: Any) -> None:
    _, into = ends
    with pytest.raises(TypeError):
        into.recv_many(max_count)


def test_a_huge_max_count_costs_nothing(ends: tuple[Any, Any]) -> None:
    out, into = ends
    out.send("x")
    assert into.recv_many(1 << 40) == ["x"]


def test_recv_many_gives_the_rest_before_the_end(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer:
        writer.send_many([1, 2])
    assert channel.recv_many(5) == [1, 2]
    with pytest.raises(shmspace.EndOfStream):
        channel.recv_many(5)


def test_many_large_messages_go_through_a_small_space(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as space:
        channel = space.channel("c", capacity=4)
        values = [bytes([number]) * 100_000 for number in range(40)]
        call = blocked(channel.send_many, values)
        got: list[bytes] = []
        while len(got) < 40:
            got += channel.recv_many(4)
        assert got == values
        assert call.result() == 40


class Unreadable:
    """Pickles well, and cannot be made again."""

    def __reduce__(self) -> tuple[Any, ...]:
        return int, ("no number",)


def test_a_message_that_cannot_be_read_takes_no_other_with_it(space: shmspace.Space) -> None:
    channel = space.channel("c", codec="pickle")
    channel.send_many(["a", Unreadable(), "b", Unreadable(), Unreadable(), "c"])
    got: list[Any] = []
    for _ in range(6):
        try:
            got.append(channel.recv_many(10, timeout=0))
        except shmspace.CodecError:
            got.append("unreadable")
    assert got == [["a"], "unreadable", ["b"], "unreadable", "unreadable", ["c"]]
