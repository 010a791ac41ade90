"""What a space refuses: bad arguments, strangers' files, damage, crowds, full machines.

A refusal is an error of its own class with a telling text, and leaves nothing half made.
"""

from __future__ import annotations

import math
import os
import socket
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import blocked
from tests.helpers.scenario_space import crowd, fill, open_as, open_flipped, open_truncated

NOBODY = 65534
DAMAGE = {"NotASpace", "IncompatibleLayout", "Corrupted"}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")

# Arguments


@pytest.mark.parametrize(
    "name",
    ["", ".hidden", "a/b", "/a", "..", "a b", "é", "a\n", "a\0", "a" * 101, "a:b", "*", "a~"],
)
@pytest.mark.parametrize("call", [shmspace.open, shmspace.destroy])
def test_an_invalid_space_name_is_refused(call: Callable[[str], Any], name: str) -> None:
    with pytest.raises(shmspace.InvalidName):
        call(name)


@pytest.mark.parametrize("name", [None, 7, ["a"]])
@pytest.mark.parametrize("call", [shmspace.open, shmspace.destroy])
def test_a_space_name_that_is_no_text_is_a_type_error(
    call: Callable[[Any], Any], name: Any
) -> None:
    with pytest.raises(TypeError):
        call(name)


OUT_OF_RANGE: dict[str, list[Any]] = {
    "size": [0, -1, 4096, (1 << 20) - 1, 1 << 70, "0", "1K", "1023K", "", "M", "big", "-5M", "5MM"],
    "members": [0, -1, 1 << 40],
    "timeout": [-1, -0.001, math.nan, math.inf, -math.inf],
    "mode": [-1, 0o10000],
}
WRONG_TYPE: dict[str, list[Any]] = {
    "size": [None, 1.5e6, [], b"1M"],
    "members": ["5", 1.5, []],
    "timeout": ["1", [], b""],
    "mode": ["600", 1.5, []],
    "directory": [7.5],
    "no_such_option": [1],
}


def pairs(table: dict[str, list[Any]]) -> list[tuple[str, Any]]:
    return [(option, value) for option, values in table.items() for value in values]


@pytest.mark.parametrize(("option", "value"), pairs(OUT_OF_RANGE))
def test_an_option_out_of_range_is_a_value_error(space_name: str, option: str, value: Any) -> None:
    with pytest.raises(ValueError, match=option):
        shmspace.open(space_name, **{option: value})
    assert space_name not in shmspace.list_spaces()


@pytest.mark.parametrize(("option", "value"), pairs(WRONG_TYPE))
def test_an_option_of_the_wrong_type_is_a_type_error(
    space_name: str, option: str, value: Any
) -> None:
    with pytest.raises(TypeError):
        shmspace.open(space_name, **{option: value})
    assert space_name not in shmspace.list_spaces()


def test_options_are_checked_on_an_existing_space_too(space: shmspace.Space) -> None:
    with pytest.raises(ValueError, match="size"):
        shmspace.open(space.name, size="1K")


@pytest.mark.parametrize(
    ("option", "there", "asked", "texts"),
    [
        ("members", 37, 41, ({"37"}, {"41"})),
        ("size", "2M", "3M", ({"2M", str(2 << 20)}, {"3M", str(3 << 20)})),
    ],
)
def test_another_explicit_option_is_a_mismatch_that_names_both(
    space_name: str, option: str, there: Any, asked: Any, texts: tuple[set[str], set[str]]
) -> None:
    with shmspace.open(space_name, **{option: there}):
        with pytest.raises(shmspace.OptionsMismatch) as refusal:
            shmspace.open(space_name, **{option: asked})
        for either in texts:
            assert any(text in str(refusal.value) for text in either), str(refusal.value)


@pytest.mark.parametrize("options", [{"create": False}, {"readonly": True}])
def test_a_missing_space_is_not_found_and_not_created(
    space_name: str, options: dict[str, Any]
) -> None:
    with pytest.raises(shmspace.NotFound) as refusal:
        shmspace.open(space_name, **options)
    assert space_name in str(refusal.value)
    assert space_name not in shmspace.list_spaces()


def test_a_directory_that_is_missing_is_refused(space_name: str, tmp_path: Path) -> None:
    with pytest.raises((shmspace.ShmspaceError, OSError)):
        shmspace.open(space_name, directory=tmp_path / "missing")


# Something else under the name


@pytest.fixture
def region_path(space_name: str) -> Iterator[Path]:
    """Where the region file of `space_name` would be; whatever a test puts there goes away."""
    with shmspace.open(space_name, size="1M") as space:
        path = Path(space.path)
        space.destroy()
    yield path
    if path.is_dir() and not path.is_symlink():
        path.rmdir()
    else:
        path.unlink(missing_ok=True)


def put_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("making devices is not allowed here")


def put_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))


THINGS: dict[str, Callable[[Path], Any]] = {
    "directory": lambda path: path.mkdir(),
    "fifo": os.mkfifo,
    "device": put_device,
    "socket": put_socket,
    "dangling symbolic link": lambda path: path.symlink_to("/nowhere/at/all"),
    "symbolic link to a file": lambda path: path.symlink_to("/etc/hostname"),
    "text": lambda path: path.write_text("Dear diary, " * 1000),
    "zeros": lambda path: path.write_bytes(bytes(2 << 20)),
    "noise": lambda path: path.write_bytes(os.urandom(2 << 20)),
}


@pytest.mark.parametrize("create", [True, False])
@pytest.mark.parametrize("thing", THINGS)
def test_something_else_under_the_name_is_not_a_space(
    space_name: str, region_path: Path, thing: str, create: bool
) -> None:
    THINGS[thing](region_path)
    if stat.S_ISREG(os.lstat(region_path).st_mode):
        region_path.chmod(0o600)
    before = os.lstat(region_path)
    with pytest.raises(shmspace.NotASpace):
        shmspace.open(space_name, create=create)
    after = os.lstat(region_path)
    assert (after.st_ino, after.st_mode, after.st_size) == (
        before.st_ino,
        before.st_mode,
        before.st_size,
    )


def test_a_symbolic_link_to_a_real_space_is_not_a_space(
    space_name: str, region_path: Path, tmp_path: Path
) -> None:
    with shmspace.open(space_name, size="1M", directory=tmp_path) as real:
        region_path.symlink_to(real.path)
        with pytest.raises(shmspace.NotASpace):
            shmspace.open(space_name)
        assert real.check() == []
        real.destroy()


@pytest.mark.parametrize("thing", ["directory", "fifo", "symbolic link to a file", "text"])
def test_destroy_refuses_something_else_under_the_name(
    space_name: str, region_path: Path, thing: str
) -> None:
    THINGS[thing](region_path)
    with pytest.raises(shmspace.ShmspaceError):
        shmspace.destroy(space_name)
    assert os.path.lexists(region_path)


# Damage


def lengths_of(whole: int) -> list[int]:
    """Every short length, the neighbours of powers of two and pages, and just less than whole."""
    powers = [1 << bit for bit in range(6, 24)]
    edges = [power + off for power in powers for off in (-1, 0, 1)]
    near = [whole - less for less in (1, 2, 63, 64, 4095, 4096, 4097)]
    return sorted({*range(80), *edges, *near} & set(range(whole)))


def test_a_truncated_region_is_refused_at_every_length(tmp_path: Path) -> None:
    with shmspace.open("s", size="1M", directory=tmp_path) as space:
        path = space.path
    lengths = lengths_of(os.path.getsize(path))
    with Peer(open_truncated, "s", path, lengths) as peer:
        outcomes = dict(iter(peer.said, None))
    assert set(outcomes) == set(lengths)
    assert set(outcomes.values()) <= DAMAGE, {k: v for k, v in outcomes.items() if v not in DAMAGE}


@pytest.mark.parametrize("bit", [0, 7])
def test_a_flipped_bit_in_the_header_gives_a_result_or_a_refusal(tmp_path: Path, bit: int) -> None:
    """Never a signal, a hang or an error of another kind: those end the peer early."""
    with shmspace.open("s", size="1M", directory=tmp_path) as space:
        path = space.path
    offsets = list(range(1024))
    with Peer(open_flipped, "s", path, offsets, bit) as peer:
        outcomes = dict(iter(peer.said, None))
    assert set(outcomes) == set(offsets)
    assert outcomes[0] in DAMAGE


# Permissions


def test_a_region_more_open_than_the_mode_is_refused_for_root_too(space: shmspace.Space) -> None:
    os.chmod(space.path, 0o666)
    try:
        with pytest.raises(shmspace.PermissionDenied) as refusal:
            shmspace.open(space.name)
        assert isinstance(refusal.value, PermissionError)
    finally:
        os.chmod(space.path, 0o600)


def test_a_shared_region_needs_the_consent_of_whoever_opens_it(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", mode=0o660) as space:
        with pytest.raises(shmspace.PermissionDenied):
            shmspace.open(space_name, mode=0o640)
        with shmspace.open(space_name, mode=0o660) as second:
            assert second.names() == []
        space.destroy()


@pytest.mark.root
@needs_root
def test_another_users_region_is_refused_for_root_too(space: shmspace.Space) -> None:
    os.chown(space.path, NOBODY, -1)
    try:
        with pytest.raises(shmspace.PermissionDenied):
            shmspace.open(space.name)
    finally:
        os.chown(space.path, 0, -1)


@pytest.mark.root
@needs_root
@pytest.mark.parametrize(
    ("mode", "options", "expected"),
    [
        (0o600, {}, "PermissionDenied"),
        (0o600, {"mode": 0o666}, "PermissionDenied"),
        (0o666, {}, "PermissionDenied"),
        (0o666, {"mode": 0o666}, "opened"),
        (0o644, {"mode": 0o644, "readonly": True}, "opened"),
        (0o644, {"mode": 0o644}, "PermissionDenied"),
    ],
)
def test_another_user_gets_what_both_sides_allow(
    space_name: str, mode: int, options: dict[str, Any], expected: str
) -> None:
    with (
        shmspace.open(space_name, size="1M", mode=mode) as space,
        Peer(open_as, NOBODY, space_name, options) as peer,
    ):
        assert peer.said() == expected
        space.destroy()


# Crowds


def test_one_member_too_many_is_refused_until_another_leaves(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", members=2), Puppet(space_name):
        with pytest.raises(shmspace.TooManyMembers) as refusal:
            Puppet(space_name)
        assert "2" in str(refusal.value)
    with shmspace.open(space_name), Puppet(space_name) as another:
        assert another.do("space.stat").members == 2


def test_a_killed_member_makes_room(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", members=2), Puppet(space_name) as dies:
        dies.kill()
        with Puppet(space_name) as another:
            assert another.do("space.names") == []


@pytest.mark.parametrize(("options", "room"), [({}, 256), ({"members": 400}, 400)])
def test_three_hundred_members_attach_as_far_as_there_is_room(
    space_name: str, options: dict[str, Any], room: int
) -> None:
    count = 299
    with (
        shmspace.open(space_name, size="4M", **options) as space,
        Peer(crowd, space_name, count) as peer,
    ):
        fitting = min(room - 1, count)
        assert peer.said() == {"w": fitting, "f": count - fitting, "x": 0}
        assert space.stat().members == fitting + 1
        assert peer.ask("leave") == count
        assert space.stat().members == 1
        assert space.check() == []


# Full


def send_for_ever(channel: shmspace.Channel) -> None:
    while True:
        channel.send(bytes(50_000), timeout=None)


def test_a_full_space_refuses_at_once_whatever_the_timeout(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c", capacity=1000)
        with pytest.raises(shmspace.SpaceFull) as refusal:
            send_for_ever(channel)
        assert isinstance(refusal.value, MemoryError)
        assert len(channel.recv_many(1000)) == channel.stat().sent
        channel.send(bytes(50_000), timeout=0)


def test_a_structure_that_cannot_fit_is_refused(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        with pytest.raises((shmspace.SpaceFull, ValueError)):
            space.channel("c", capacity=1 << 40).reader()
        assert space.names() == []
        assert space.check() == []


@pytest.fixture
def small_mount(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB; it is gone after the test."""
    place = tmp_path / "small"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", str(place)]
    try:
        subprocess.run(mount, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("mounting is not possible here")
    yield place
    subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.mark.root
def test_a_full_machine_is_space_full_and_never_a_signal(small_mount: Path) -> None:
    """Says which mount, what is free and how to fix it; what was sent is still there."""
    with Peer(fill, "s", str(small_mount), "64M") as peer:
        sent, received, text, problems = peer.said()
        assert sent == received
        assert problems == 0
        assert str(small_mount) in text
        assert "free" in text
    shmspace.destroy("s", small_mount, missing_ok=True)
    assert os.listdir(small_mount) == []


@pytest.mark.root
def test_a_machine_without_room_for_a_space_is_left_as_it_was(small_mount: Path) -> None:
    (small_mount / "ballast").write_bytes(bytes((1 << 20) - (8 << 10)))
    with pytest.raises(shmspace.SpaceFull) as refusal:
        shmspace.open("s", directory=small_mount)
    assert str(small_mount) in str(refusal.value)
    assert os.listdir(small_mount) == ["ballast"]


def test_a_channel_that_drops_the_oldest_makes_room_in_a_full_space(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        channel = space.channel("c", capacity=1000, overflow="oldest")
        for turn in range(100):
            channel.send(bytes([turn]) * 50_000, timeout=0)
        left = [data[0] for data in channel.recv_many(1000)]
        assert left == list(range(100 - len(left), 100))
        assert channel.stat().dropped == 100 - len(left)


# Read-only spaces


@pytest.fixture
def view(space: shmspace.Space) -> Iterator[shmspace.Space]:
    """The space read-only, with the channels `one` (a message waits) and `all` in it."""
    space.channel("one").send(b"x")
    space.channel("all", delivery="all", capacity=3).reader().close()
    with shmspace.open(space.name, readonly=True) as view:
        yield view


CHANGES: dict[str, Callable[[shmspace.Space], Any]] = {
    "send": lambda view: view.channel("one").send(b"x", timeout=0),
    "send_many": lambda view: view.channel("one").send_many([b"x"], timeout=0),
    "writer": lambda view: view.channel("one").writer().send(b"x", timeout=0),
    "competing recv": lambda view: view.channel("one").recv(timeout=0),
    "competing recv_many": lambda view: view.channel("one").recv_many(1, timeout=0),
    "competing reader": lambda view: view.channel("one").reader().recv(timeout=0),
    "shutdown": lambda view: view.channel("one").shutdown(),
    "drop": lambda view: view.channel("one").drop(),
    "delete": lambda view: view.delete("channel", "one"),
    "destroy": lambda view: view.destroy(),
    "broadcast": lambda view: view.broadcast("", b"x"),
    "lock": lambda view: view.lock("l", timeout=0).__enter__(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_read_only_space_refuses_what_would_change_it(view: shmspace.Space, change: str) -> None:
    with pytest.raises(shmspace.ReadOnly):
        CHANGES[change](view)


def test_a_read_only_space_creates_nothing(view: shmspace.Space) -> None:
    with pytest.raises(shmspace.NotFound):
        view.channel("missing").reader()
    assert view.names() == ["all", "one"]


def test_a_read_only_space_can_be_looked_at(view: shmspace.Space) -> None:
    assert view.readonly
    assert view.exists("channel", "one")
    assert view.stat().structures == 2
    assert view.channel("one").stat().waiting == 1
    assert view.check() == []
    assert os.getpid() in [member.pid for member in view.members()]


def test_a_read_only_reader_of_all_sees_what_is_sent(
    space: shmspace.Space, view: shmspace.Space
) -> None:
    reader = view.channel("all").reader()
    waiting = blocked(reader.recv)
    space.channel("all").send(b"hello")
    assert waiting.result() == b"hello"


def test_a_read_only_reader_never_holds_writers_up_and_gets_lagged(
    space: shmspace.Space, view: shmspace.Space
) -> None:
    reader = view.channel("all").reader()
    for number in range(10):
        space.channel("all").send(bytes([number]), timeout=0)
    with pytest.raises(shmspace.Lagged) as overtaken:
        reader.recv(timeout=0)
    lost = overtaken.value.lost
    assert lost >= 1
    assert reader.recv_many(10, timeout=0) == [bytes([number]) for number in range(lost, 10)]
