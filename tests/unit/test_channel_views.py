"""Views into shared memory: reserving room to write into, and pinned messages to read from."""

from __future__ import annotations

from typing import Any

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked

SIZES = [1, 64, 4095, 4096, 4097, 100_000, 1 << 20]

# reserve


@pytest.mark.parametrize("size", SIZES)
def test_what_is_written_into_a_reserved_view_is_sent_on_exit(
    space: shmspace.Space, size: int
) -> None:
    channel = space.channel("c")
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    with channel.writer().reserve(size) as view:
        assert (view.nbytes, view.readonly) == (size, False)
        view[:] = data
    assert channel.recv(timeout=0) == data


def test_nothing_is_sent_before_the_exit(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer() as writer:
        with writer.reserve(3) as view:
            view[:] = b"abc"
            with pytest.raises(shmspace.Empty):
                channel.recv(timeout=0)
        assert channel.recv(timeout=0) == b"abc"


def test_a_reservation_is_dropped_on_an_exception(space: shmspace.Space) -> None:
    channel = space.channel("c")

    def give_up() -> None:
        with channel.writer().reserve(10_000) as view:
            view[:3] = b"abc"
            raise KeyError("on purpose")

    with pytest.raises(KeyError):
        give_up()
    assert (channel.stat().waiting, channel.stat().sent) == (0, 0)


def test_an_open_reservation_holds_up_nobody(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    with channel.writer() as writer:
        with writer.reserve(3) as view:
            for turn in range(5):
                channel.send(turn, timeout=0)
                assert channel.recv(timeout=0) == turn
            view[:] = b"abc"
        assert channel.recv(timeout=0) == b"abc"


def test_the_place_of_a_reservation_is_that_of_its_exit(space: shmspace.Space) -> None:
    channel = space.channel("c")
    writer = channel.writer()
    first, second = writer.reserve(1), writer.reserve(1)
    first.__enter__()[:] = b"1"
    second.__enter__()[:] = b"2"
    writer.send(b"3")
    second.__exit__(None, None, None)
    first.__exit__(None, None, None)
    assert channel.recv_many(5) == [b"3", b"2", b"1"]


def test_a_view_of_nothing_is_an_empty_message(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer().reserve(0) as view:
        assert view.nbytes == 0
    assert channel.recv(timeout=0) == b""


def test_reserving_over_max_message_is_too_large(space: shmspace.Space) -> None:
    writer = space.channel("c", max_message=100).writer()
    with pytest.raises(shmspace.TooLarge), writer.reserve(101):
        pass


def test_reserving_less_than_nothing_is_a_value_error(space: shmspace.Space) -> None:
    writer = space.channel("c").writer()
    with pytest.raises(ValueError, match="nbytes"), writer.reserve(-1):
        pass


@pytest.mark.parametrize("nbytes", [None, "5", 1.5])
def test_reserving_no_number_is_a_type_error(space: shmspace.Space, nbytes: Any) -> None:
    writer = space.channel("c").writer()
    with pytest.raises(TypeError), writer.reserve(nbytes):
        pass


def test_reserving_in_a_full_channel_is_full(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send("there")
    with pytest.raises(shmspace.Full), channel.writer().reserve(3, timeout=0):
        pass
    assert channel.recv_many(5) == ["there"]


def test_reserving_waits_for_room(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send("there")

    def write() -> None:
        with channel.writer().reserve(3) as view:
            view[:] = b"abc"

    call = blocked(write)
    assert channel.recv() == "there"
    assert channel.recv() == b"abc"
    call.result()


def test_reserving_with_oldest_drops_the_oldest(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1, overflow="oldest")
    channel.send("there")
    with channel.writer().reserve(3, timeout=0) as view:
        view[:] = b"abc"
    assert channel.recv_many(5) == [b"abc"]
    assert channel.stat().dropped == 1


def test_a_reserved_view_is_of_no_use_after_its_exit(space: shmspace.Space) -> None:
    channel = space.channel("c")
    with channel.writer().reserve(3) as view:
        view[:] = b"abc"
    with pytest.raises(ValueError, match="released"):
        view[0] = 0
    assert channel.recv() == b"abc"


def test_a_reserved_message_is_seen_by_every_reader_of_all(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    readers = [channel.reader(), channel.reader()]
    with channel.writer().reserve(5000) as view:
        view[:] = b"x" * 5000
    assert [reader.recv(timeout=0) for reader in readers] == [b"x" * 5000] * 2


def test_reservations_that_do_not_fit_are_space_full_and_leave_nothing(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c", max_message="2M")
        with pytest.raises(shmspace.SpaceFull), channel.writer().reserve(2 << 20):
            pass
        for _ in range(50):
            with channel.writer().reserve(200_000) as view:
                view[-1] = 7
            assert len(channel.recv()) == 200_000


# recv_view


@pytest.mark.parametrize("size", SIZES)
def test_a_view_shows_the_message(space: shmspace.Space, size: int) -> None:
    data = (b"%09d" % size * (size // 9 + 1))[:size]
    channel = space.channel("c")
    channel.send(data)
    with channel.reader().recv_view(timeout=0) as view:
        assert view.nbytes == size
        assert bytes(view) == data


def test_a_received_view_is_read_only(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"abc")
    with channel.reader().recv_view() as view:
        assert view.readonly
        with pytest.raises(TypeError):
            view[0] = 0


def test_the_message_is_taken_at_entry(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=2)
    channel.send_many([b"a", b"b"])
    reader, other = channel.reader(), channel.reader()
    with reader.recv_view() as view:
        assert other.recv(timeout=0) == b"b"
        with pytest.raises(shmspace.Empty):
            other.recv(timeout=0)
        assert bytes(view) == b"a"


def test_a_pinned_message_takes_no_room_in_the_channel(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"a")
    with channel.reader().recv_view() as view:
        channel.send(b"b", timeout=0)
        assert bytes(view) == b"a"
    assert channel.recv(timeout=0) == b"b"


@pytest.mark.parametrize("size", [10, 5000])
@pytest.mark.parametrize("delivery", ["one", "all"])
def test_a_pinned_message_stays_as_it_is_whatever_is_sent(
    space: shmspace.Space, delivery: str, size: int
) -> None:
    channel = space.channel("c", capacity=2, delivery=delivery, overflow="oldest")
    reader = channel.reader()
    channel.send(b"x" * size)
    with reader.recv_view() as view:
        for number in range(500):
            channel.send(bytes([number % 256]) * size)
        assert bytes(view) == b"x" * size


def test_a_message_is_taken_although_the_block_raises(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"a")
    with pytest.raises(KeyError), channel.reader().recv_view():
        raise KeyError("on purpose")
    with pytest.raises(shmspace.Empty):
        channel.recv(timeout=0)


def test_a_received_view_is_of_no_use_after_its_exit(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"abc")
    with channel.reader().recv_view() as view:
        pass
    with pytest.raises(ValueError, match="released"):
        view[0]


def test_many_messages_can_be_pinned_at_once_and_let_go_in_any_order(
    space: shmspace.Space,
) -> None:
    channel = space.channel("c")
    reader = channel.reader()
    messages = [bytes([number]) * (number * 700) for number in range(10)]
    channel.send_many(messages)
    pins = [reader.recv_view() for _ in messages]
    views = [pin.__enter__() for pin in pins]
    assert [bytes(view) for view in views] == messages
    for number in (3, 9, 0, 1, 8, 2, 7, 4, 6):
        pins[number].__exit__(None, None, None)
        channel.send(b"y" * 9000)
        channel.recv()
    assert bytes(views[5]) == messages[5]
    pins[5].__exit__(None, None, None)


def test_letting_go_gives_the_memory_back(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c")
        reader = channel.reader()
        for number in range(50):
            channel.send(bytes([number]) * 200_000)
            with reader.recv_view() as view:
                assert view[0] == view[-1] == number


@pytest.mark.parametrize("closing", ["reader", "channel"])
@pytest.mark.parametrize("delivery", ["one", "all"])
@pytest.mark.parametrize("size", [9, 5000])
def test_a_view_stays_pinned_until_its_exit_although_its_reader_is_closed(
    space: shmspace.Space, closing: str, delivery: str, size: int
) -> None:
    channel = space.channel("c", capacity=2, delivery=delivery, overflow="oldest")
    reader = channel.reader()
    channel.send(b"x" * size)
    with reader.recv_view() as view:
        {"reader": reader, "channel": channel}[closing].close()
        other = space.channel("c")
        for number in range(50):
            other.send(bytes([number]) * size)
        assert bytes(view) == b"x" * size


def test_every_reader_of_all_can_pin_the_same_message(space: shmspace.Space) -> None:
    channel = space.channel("c", delivery="all")
    one, two = channel.reader(), channel.reader()
    channel.send(b"x" * 9000)
    with one.recv_view() as first:
        with two.recv_view() as second:
            assert bytes(first) == bytes(second) == b"x" * 9000
        assert bytes(first) == b"x" * 9000


def test_without_a_message_there_is_no_view(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.Empty), space.channel("c").reader().recv_view(timeout=0):
        pass


def test_recv_view_waits_for_a_message(space: shmspace.Space) -> None:
    channel = space.channel("c")

    def look() -> bytes:
        with channel.reader().recv_view() as view:
            return bytes(view)

    call = blocked(look)
    channel.send(b"x")
    assert call.result() == b"x"


def test_an_empty_message_has_an_empty_view(space: shmspace.Space) -> None:
    channel = space.channel("c")
    channel.send(b"")
    with channel.reader().recv_view(timeout=0) as view:
        assert view.nbytes == 0


def test_a_view_can_be_pinned_in_another_process(space: shmspace.Space) -> None:
    channel = space.channel("c", capacity=1)
    channel.send(b"x" * 9000)
    with Puppet(space.name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.reader", keep="reader")
        far.enter("reader.recv_view", keep="view")
        for _ in range(20):
            channel.send(b"y" * 9000, timeout=0)
            channel.recv(timeout=0)
        assert far.do("view.tobytes") == b"x" * 9000
        far.leave("view")


def test_numpy_can_look_at_a_view_without_a_copy(space: shmspace.Space) -> None:
    numpy = pytest.importorskip("numpy")
    channel = space.channel("c")
    with channel.writer().reserve(800) as view:
        numpy.frombuffer(view, dtype="<i8")[:] = numpy.arange(100)
    with channel.reader().recv_view() as view:
        assert int(numpy.frombuffer(view, dtype="<i8").sum()) == 4950
