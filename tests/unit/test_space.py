"""Spaces: opening, finding, listing, closing, destroying, and the names inside them."""

from __future__ import annotations

import os
import pickle
import stat
import threading
from pathlib import Path

import pytest

import shmspace
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call, blocked

KINDS = ("channel", "log", "sharded_log", "tuples", "queue", "store")


def make(space: shmspace.Space, *names: str) -> None:
    """Create channels: opening a reader does, and a reader ends nothing."""
    for name in names:
        space.channel(name).reader().close()


# Opening


def test_open_creates_the_space_and_says_what_it_is(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as space:
        assert (space.name, space.size, space.readonly) == (space_name, 2 << 20, False)


def test_without_a_directory_the_region_is_a_file_in_posix_shared_memory(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        assert Path(space.path).parent == Path("/dev/shm")
        assert stat.S_ISREG(os.lstat(space.path).st_mode)


def test_a_directory_holds_the_region_file(tmp_path: Path, space_name: str) -> None:
    with shmspace.open(space_name, size="1M", directory=tmp_path) as space:
        assert Path(space.path).parent == tmp_path
        assert os.path.exists(space.path)
        space.destroy()


def test_a_directory_may_be_given_as_str(tmp_path: Path, space_name: str) -> None:
    with shmspace.open(space_name, size="1M", directory=str(tmp_path)) as space:
        assert Path(space.path).parent == tmp_path
        space.destroy()


def test_the_same_name_in_another_directory_is_another_space(
    space_name: str, tmp_path: Path
) -> None:
    with (
        shmspace.open(space_name, size="1M") as here,
        shmspace.open(space_name, size="1M", directory=tmp_path) as there,
    ):
        make(here, "only-here")
        assert there.names() == []
        there.destroy()


@pytest.mark.parametrize(
    ("size", "size_bytes"),
    [("1M", 1 << 20), ("64M", 64 << 20), ("1G", 1 << 30), ("2048K", 2 << 20), (3 << 20, 3 << 20)],
)
def test_a_size_is_a_number_of_bytes_or_a_text_in_powers_of_1024(
    space_name: str, size: int | str, size_bytes: int
) -> None:
    with shmspace.open(space_name, size=size) as space:
        assert space.size == size_bytes
        assert space.stat().size == size_bytes


def test_the_default_size_is_a_gigabyte_and_little_of_it_is_committed(space_name: str) -> None:
    with shmspace.open(space_name) as space:
        assert space.size == 1 << 30
        assert space.stat().committed < 1 << 30


def test_what_is_used_is_committed_never_sparse(space_name: str) -> None:
    with shmspace.open(space_name, size="8M") as space:
        space.channel("c").send(bytes(1 << 20))
        file = os.stat(space.path)
        assert file.st_blocks * 512 >= space.stat().used


@pytest.mark.parametrize("name", ["a", "A", "0", "_", "-", "a.b", "A-Z_0.9-" * 12 + "tail"])
def test_every_allowed_space_name_works(tmp_path: Path, name: str) -> None:
    with shmspace.open(name, size="1M", directory=tmp_path) as space:
        assert shmspace.list_spaces(tmp_path) == [name]
        space.destroy()


def test_opening_again_attaches_to_the_same_space(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as first, shmspace.open(space_name) as second:
        first.channel("c").send(b"hello")
        assert second.channel("c").recv(timeout=0) == b"hello"


def test_opening_again_with_the_same_options_is_welcome(space_name: str) -> None:
    with (
        shmspace.open(space_name, size="2M", members=9),
        shmspace.open(space_name, size=2 << 20, members=9) as second,
    ):
        assert second.size == 2 << 20


def test_a_space_outlives_its_last_member(space_name: str) -> None:
    with shmspace.open(space_name, size="2M") as space:
        space.channel("c").send(b"still here")
    with shmspace.open(space_name, create=False) as space:
        assert space.channel("c").recv(timeout=0) == b"still here"


def test_the_mode_is_set_exactly_whatever_the_umask(space_name: str) -> None:
    before = os.umask(0o077)
    try:
        with shmspace.open(space_name, size="1M", mode=0o664) as space:
            assert stat.S_IMODE(os.stat(space.path).st_mode) == 0o664
            space.destroy()
    finally:
        os.umask(before)


def test_the_default_mode_is_private(space_name: str) -> None:
    before = os.umask(0)
    try:
        with shmspace.open(space_name, size="1M") as space:
            assert stat.S_IMODE(os.stat(space.path).st_mode) == 0o600
    finally:
        os.umask(before)


def test_many_threads_opening_one_new_name_get_one_space(space_name: str) -> None:
    together = threading.Barrier(8)

    def opened() -> shmspace.Space:
        together.wait()
        return shmspace.open(space_name, size="1M")

    spaces = [call.result() for call in [Call(opened) for _ in range(8)]]
    spaces[0].channel("c").send_many([b"x"] * 8)
    assert [space.channel("c").recv(timeout=0) for space in spaces] == [b"x"] * 8
    for space in spaces:
        space.close()


def test_opening_twice_in_a_process_is_one_member(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", members=1), shmspace.open(space_name) as second:
        assert second.stat().members == 1


def test_the_repr_of_a_space_names_it(space: shmspace.Space) -> None:
    assert space.name in repr(space)


# Listing and destroying


def test_list_spaces_lists_a_directory(tmp_path: Path) -> None:
    for name in ("b", "a.b", "a"):
        shmspace.open(name, size="1M", directory=tmp_path).close()
    (tmp_path / "something-else").write_text("not a space")
    assert sorted(shmspace.list_spaces(tmp_path)) == ["a", "a.b", "b"]
    for name in ("b", "a.b", "a"):
        shmspace.destroy(name, tmp_path)
    assert shmspace.list_spaces(tmp_path) == []
    assert os.listdir(tmp_path) == ["something-else"]


def test_list_spaces_lists_posix_shared_memory(space: shmspace.Space) -> None:
    assert space.name in shmspace.list_spaces()


def test_destroy_by_name_removes_the_region_file(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        shmspace.destroy(space_name)
        assert not os.path.exists(space.path)
    assert space_name not in shmspace.list_spaces()


def test_destroying_what_is_not_there_is_not_found(space_name: str) -> None:
    with pytest.raises(shmspace.NotFound):
        shmspace.destroy(space_name)


def test_destroying_what_is_not_there_may_be_allowed(space_name: str) -> None:
    shmspace.destroy(space_name, missing_ok=True)


def test_the_name_is_free_at_once_after_destroy(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as old:
        make(old, "c")
        old.destroy()
        with shmspace.open(space_name, size="2M") as new:
            assert new.names() == []
            assert new.size == 2 << 20


def test_destroy_closes_what_others_do_later(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space, Puppet(space_name) as far:
        far.do("space.channel", "c", keep="ch")
        far.do("ch.send", b"x")
        space.destroy()
        with pytest.raises(shmspace.Closed):
            far.do("ch.recv", timeout=0)
        with pytest.raises(shmspace.Closed):
            far.do("space.names")


def test_destroy_wakes_a_call_blocked_in_another_process(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space, Puppet(space_name) as far:
        far.do("space.channel", "c", keep="ch")
        far.begin("ch.recv").until_blocked()
        shmspace.destroy(space_name)
        with pytest.raises(shmspace.Closed):
            far.result()
        with pytest.raises(shmspace.Closed):
            space.names()


def test_destroy_wakes_a_call_blocked_on_a_thread(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        call = blocked(space.channel("c").recv)
        space.destroy()
        with pytest.raises(shmspace.Closed):
            call.result()


# Closing


def test_close_is_idempotent_and_later_calls_raise_closed(space_name: str) -> None:
    space = shmspace.open(space_name, size="1M")
    space.close()
    space.close()
    for call in (space.names, space.stat, space.members, space.check, lambda: space.channel("c")):
        with pytest.raises(shmspace.Closed):
            call()


def test_close_closes_every_handle_made_from_it(space_name: str) -> None:
    space = shmspace.open(space_name, size="1M")
    channel = space.channel("c")
    reader, writer = channel.reader(), channel.writer()
    space.close()
    assert (channel.closed, reader.closed, writer.closed) == (True, True, True)
    with pytest.raises(shmspace.Closed):
        channel.send(b"x")


def test_close_wakes_a_call_that_is_blocked_in_it(space_name: str) -> None:
    space = shmspace.open(space_name, size="1M")
    call = blocked(space.channel("c").recv)
    space.close()
    with pytest.raises(shmspace.Closed):
        call.result()


def test_close_of_one_handle_leaves_the_other_handles_of_the_process(space_name: str) -> None:
    first, second = shmspace.open(space_name, size="1M"), shmspace.open(space_name)
    first.close()
    second.channel("c").send(b"x")
    assert second.channel("c").recv(timeout=0) == b"x"
    second.close()


def test_close_leaves_the_other_members(space_name: str) -> None:
    with Puppet(space_name, create=True, size="1M") as far:
        shmspace.open(space_name).close()
        assert far.do("space.names") == []


# Names


def test_names_are_sorted_in_byte_order_each_once(space: shmspace.Space) -> None:
    names = ["b", "a", "Z", "é", "z", "a.b", "\U0001f600", "\uffee"]
    make(space, *names, *names)
    assert space.names() == sorted(names, key=str.encode)
    assert space.names("channel") == sorted(names, key=str.encode)


def test_names_can_be_narrowed_by_a_prefix(space: shmspace.Space) -> None:
    make(space, "jobs/1", "jobs/2", "job", "other")
    assert space.names("channel", "jobs/") == ["jobs/1", "jobs/2"]
    assert space.names(prefix="job") == ["job", "jobs/1", "jobs/2"]


def test_channels_are_the_names_of_that_kind(space: shmspace.Space) -> None:
    make(space, "ab", "a", "b")
    assert space.channels() == ["a", "ab", "b"]
    assert space.channels("a") == ["a", "ab"]


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_can_be_asked_for(space: shmspace.Space, kind: str) -> None:
    assert space.names(kind) == []


@pytest.mark.parametrize("kind", ["channels", "", "lock", "Channel"])
def test_names_of_an_unknown_kind_is_a_value_error(space: shmspace.Space, kind: str) -> None:
    with pytest.raises(ValueError, match="kind"):
        space.names(kind)


def test_exists_tells_what_is_there(space: shmspace.Space) -> None:
    make(space, "c")
    assert space.exists("channel", "c") is True
    assert space.exists("channel", b"c") is True
    assert space.exists("channel", "d") is False


def test_every_kind_has_its_own_names(space: shmspace.Space) -> None:
    make(space, "c")
    assert [kind for kind in KINDS if space.exists(kind, "c")] == ["channel"]


def test_delete_says_whether_there_was_something(space: shmspace.Space) -> None:
    make(space, "c")
    assert space.delete("channel", "c") is True
    assert space.delete("channel", "c") is False
    assert space.exists("channel", "c") is False


def test_a_deleted_name_can_be_created_afresh_at_once(space: shmspace.Space) -> None:
    space.channel("c", capacity=3).send(b"old")
    space.delete("channel", "c")
    fresh = space.channel("c", capacity=5)
    assert fresh.stat().capacity == 5
    with pytest.raises(shmspace.Empty):
        fresh.recv(timeout=0)


def test_delete_closes_old_handles_and_blocked_calls(space: shmspace.Space) -> None:
    old = space.channel("c")
    call = blocked(old.recv)
    space.delete("channel", "c")
    with pytest.raises(shmspace.Closed):
        call.result()
    make(space, "c")
    with pytest.raises(shmspace.Closed):
        old.send(b"x")


def test_names_come_and_go_a_thousand_times_without_using_memory_up(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        for turn in range(1000):
            space.channel(f"c{turn}", capacity=4).send(bytes(4096))
            space.delete("channel", f"c{turn}")
        assert space.names() == []
        assert space.check() == []


# Health and numbers


def test_check_of_a_healthy_space_is_empty(space: shmspace.Space) -> None:
    space.channel("c").send_many([b"x" * size for size in (0, 1, 5000, 100_000)])
    assert space.check() == []


def test_stat_adds_up(space: shmspace.Space) -> None:
    make(space, "a", "b")
    numbers = space.stat()
    assert numbers.structures == 2
    assert numbers.members == 1
    assert numbers.recoveries == 0
    assert 0 < numbers.used <= numbers.committed <= numbers.size == space.size
    assert 0 <= numbers.free <= numbers.size


def test_used_grows_with_what_waits_and_falls_when_it_is_taken(space: shmspace.Space) -> None:
    channel = space.channel("c")
    make(space, "c")
    before = space.stat().used
    channel.send_many([bytes(100_000)] * 10)
    full = space.stat().used
    assert full >= before + 10 * 100_000
    channel.recv_many(10)
    assert space.stat().used <= full - 9 * 100_000


# Pickling


def test_a_pickled_space_attaches_by_name(space: shmspace.Space) -> None:
    space.channel("c").send(b"x")
    with pickle.loads(pickle.dumps(space)) as copy:
        assert copy.name == space.name
        assert copy.channel("c").recv(timeout=0) == b"x"


def test_a_pickled_space_finds_its_directory(tmp_path: Path, space_name: str) -> None:
    with shmspace.open(space_name, size="1M", directory=tmp_path) as space:
        space.channel("c").send(b"x")
        with pickle.loads(pickle.dumps(space)) as copy:
            assert copy.path == space.path
        space.destroy()


def test_a_pickled_read_only_space_stays_read_only(space: shmspace.Space) -> None:
    with (
        shmspace.open(space.name, readonly=True) as view,
        pickle.loads(pickle.dumps(view)) as copy,
    ):
        assert copy.readonly


def test_a_pickled_space_does_not_bring_a_destroyed_one_back(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        frozen = pickle.dumps(space)
        space.destroy()
    with pytest.raises((shmspace.NotFound, shmspace.Closed)):
        pickle.loads(frozen).names()
    assert space_name not in shmspace.list_spaces()


def test_closing_a_copy_leaves_the_original(space: shmspace.Space) -> None:
    pickle.loads(pickle.dumps(space)).close()
    assert space.names() == []


def test_a_fresh_space_opens_with_timeout_zero(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", timeout=0) as space:
        assert space.stat().members == 1


def test_all_who_open_a_fresh_space_at_the_same_instant_have_it_even_with_timeout_zero(space_name: str) -> None:
    for _ in range(50):
        together = threading.Barrier(4)

        def meet(together: threading.Barrier = together) -> None:
            together.wait()
            shmspace.open(space_name, size="1M", timeout=0).close()

        for call in [Call(meet) for _ in range(4)]:
            call.result()
        shmspace.destroy(space_name)
