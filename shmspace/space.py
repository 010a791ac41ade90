"""Spaces: named regions of shared memory, and what is in them."""

from __future__ import annotations

import atexit
import contextlib
import os
import time
import weakref
from collections.abc import Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Any

from . import _native, options
from ._native import ffi, lib
from .attachment import Attachment, attach
from .defaults import DefaultInt, DefaultStr, given
from .errors import Closed, Full, InvalidName, NotDurable, NotFound
from .facts import Broadcast, Member, Problem, SpaceStat
from .handle import PATIENCE_NS, snapshot
from .lock import NamedLock
from .structures import Structures

if TYPE_CHECKING:
    from .handle import Handle

__all__ = ["Broadcast", "Member", "Problem", "Space", "SpaceStat", "destroy", "list_spaces", "open"]

DEFAULT_DIRECTORY = "/dev/shm"
PREFIX = "shmspace."
_SIZE_LEAST, _SIZE_MOST = 1 << 20, 1 << 44
_MEMBERS_MOST = 4095
_KINDS = {"channel": 1, "log": 2, "sharded_log": 3, "tuples": 4, "queue": 5, "store": 6}
_KIND_NAMES = {number: name for name, number in _KINDS.items()} | {7: "lock"}
_LOCK_KIND = 7
_WAITS = {1: "a value in", 2: "room in", 3: ""}

_DEFAULT_SIZE = DefaultStr("1G")
_DEFAULT_MODE = DefaultInt(0o600)

_open_spaces: weakref.WeakSet[Space] = weakref.WeakSet()


class Space(Structures):
    """One named region of shared memory; `open` gives it.

    A context manager. May be pickled: the other process attaches by name. Use it from any thread; after ``os.fork`` the
    child is a member of its own from its first use.
    """

    def __init__(
        self, attachment: Attachment, name: str, directory: str, *, mode: int, allow_pickle: bool | None
    ) -> None:
        self._attachment = attachment
        self._name = name
        self._directory = directory
        self._mode = mode
        self._allow_pickle = allow_pickle
        self._closed = False
        self._handles: weakref.WeakSet[Handle] = weakref.WeakSet()
        _open_spaces.add(self)

    # life

    @property
    def name(self) -> str:
        """The name it was opened by."""
        return self._name

    @property
    def path(self) -> str:
        """The region file."""
        return self._attachment.path

    @property
    def size(self) -> int:
        """Most bytes that it may grow to."""
        return self.stat().size

    @property
    def readonly(self) -> bool:
        """Whether nothing can be changed through it."""
        return self._attachment.readonly

    @property
    def closed(self) -> bool:
        """Whether it was closed in this process."""
        return self._closed

    def __enter__(self) -> Space:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._closed else "readonly" if self.readonly else "open"
        return f"<shmspace.Space {self._name!r} at {self.path} ({state})>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._name, self._directory, self.readonly, self._mode, self._allow_pickle)

    def close(self) -> None:
        """Close every handle made from it, and leave the region with the last `Space` of this process on it."""
        if self._closed:
            return
        self._closed = True
        for handle in snapshot(self._handles):
            handle.close()
        _open_spaces.discard(self)
        self._attachment.release()

    def destroy(self) -> None:
        """Remove the space for everybody: blocked and later calls anywhere raise `Closed`, the name is free at once."""
        self._pointer(changing=True)
        with contextlib.suppress(NotFound):
            destroy(self._name, self._directory)

    def _pointer(self, *, changing: bool = False) -> Any:
        """Give the native space, attached. Raises `Closed`, and `ReadOnly` for what would change something."""
        if self._closed:
            raise Closed(f"space {self._name!r} was closed in this process; open it again")
        pointer = self._attachment.ensure()
        if changing and self.readonly:
            raise _native.error(
                lib.SHM_READ_ONLY, f"space {self._name!r} is open read-only; open it without readonly=True"
            )
        return pointer

    # looking

    def stat(self) -> SpaceStat:
        """Give sizes in bytes and counts."""
        facts = ffi.new("shm_space_facts *")
        lib.shm_space_stat(self._pointer(), facts)
        return SpaceStat(
            size=int(facts.size_bytes),
            committed=int(facts.committed_bytes),
            used=int(facts.used_bytes),
            free=int(facts.free_bytes),
            members=int(facts.members),
            structures=int(facts.structures),
            recoveries=int(facts.recoveries),
        )

    def members(self) -> list[Member]:
        """Give the processes attached, with what they hold and wait for."""
        self._pointer()
        entries = self._attachment.entry_rows()
        names = {int(row.id): f"{_KIND_NAMES.get(row.kind, '?')} {_name_of(row)!r}" for row in entries}
        holds: dict[int, list[str]] = {}
        for row in entries:
            if row.kind == _LOCK_KIND and row.holder:
                holds.setdefault(int(row.holder), []).append(names[int(row.id)])
        for lease in self._attachment.leases():
            held = f"a lease on {names.get(int(lease.structure), 'a queue')} {_age(int(lease.since_ns))}"
            holds.setdefault(int(lease.token), []).append(held)
        for lock in self._attachment.key_locks():
            key = bytes(ffi.buffer(lock.key, lock.key_length)).decode(errors="replace")
            held = f"the lock of {key!r} in {names.get(int(lock.structure), 'a store')} {_age(int(lock.since_ns))}"
            holds.setdefault(int(lock.token), []).append(held)
        return [
            Member(
                pid=int(row.pid),
                command=_native.text(row.command),
                alive=bool(row.alive),
                since=int(row.since_ns),
                holds=sorted(holds.get(int(row.token), [])),
                waits=[
                    _wait(int(row.wait_what[i]), names.get(int(row.wait_structure[i]), "a structure"))
                    for i in range(len(row.wait_structure))
                    if row.wait_structure[i]
                ],
            )
            for row in self._attachment.member_rows()
        ]

    def names(self, kind: str | None = None, prefix: str | bytes = "") -> list[str | bytes]:
        """Give the names of structures, of one kind or all, that begin with `prefix`: in byte order, each once.

        Raises `ValueError` for an unknown kind.
        """
        wanted = None if kind is None else _kind_number(kind)
        start = prefix.encode() if isinstance(prefix, str) else prefix
        self._pointer()
        found = {
            _name_bytes(row)
            for row in self._attachment.entry_rows()
            if row.kind != _LOCK_KIND and (wanted is None or row.kind == wanted)
        }
        return [options.name_to_str(name) for name in sorted(found) if name.startswith(start)]

    def channels(self, prefix: str | bytes = "") -> list[str | bytes]:
        """Give ``names("channel", prefix)``."""
        return self.names("channel", prefix)

    def exists(self, kind: str, name: str | bytes) -> bool:
        """Say whether there is a structure of that kind and name."""
        number, data = _kind_number(kind), options.check_structure_name(name)
        return bool(lib.shm_space_exists(self._pointer(), number, data, len(data)))

    def delete(self, kind: str, name: str | bytes) -> bool:
        """Remove a structure for everybody; False if it was not there.

        Blocked calls anywhere raise `Closed`, so do later ones on old handles; the name can be created afresh at once.
        """
        number, data = _kind_number(kind), options.check_structure_name(name)
        pointer = self._pointer(changing=True)
        status = _native.patiently(
            lambda limit: lib.shm_space_delete(pointer, number, data, len(data), limit), PATIENCE_NS
        )
        return status != lib.SHM_NOT_FOUND and _native.check(status) == 0

    def check(self) -> list[Problem]:
        """Look at every invariant, without stopping anyone; empty is healthy."""
        room = 1000
        rows = ffi.new("shm_problem[]", room)
        count = int(lib.shm_space_check(self._pointer(), rows, room))
        return [
            Problem(_native.text(rows[i].structure), _native.text(rows[i].what), _native.text(rows[i].where))
            for i in range(min(count, room))
        ]

    # structures

    def broadcast(self, prefix: str | bytes, value: object) -> Broadcast:
        """Send `value` to every existing channel whose name begins with `prefix`; never waits, creates nothing.

        Channels that are full (unless they drop their oldest) or shut down are skipped.
        """
        self._pointer(changing=True)
        sent: list[str | bytes] = []
        skipped: list[str | bytes] = []
        from .channel import open_existing

        for name in self.channels(prefix):
            try:
                with open_existing(self, name) as channel:
                    channel.send(value, timeout=0)
            except NotFound:
                continue
            except (Full, Closed):
                skipped.append(name)
            else:
                sent.append(name)
        return Broadcast(sent, skipped)

    def lock(self, name: str | bytes, timeout: float | None = None) -> NamedLock:
        """Give a named lock, to be held in a ``with`` statement; given up when its process dies, however it dies.

        Entering raises `Locked` after `timeout` seconds, `RuntimeError` when this thread holds it already.
        ``held.owner_died`` is True when the previous holder died without releasing it.

        >>> import shmspace
        >>> with shmspace.open("doc-lock", size="1M") as space:
        ...     with space.lock("build", timeout=1) as held:
        ...         held.owner_died
        ...     space.destroy()
        False
        """
        return NamedLock(self._pointer(changing=True), self._attachment, options.check_structure_name(name), timeout)


def open(
    name: str,
    *,
    size: int | str = _DEFAULT_SIZE,
    create: bool = True,
    readonly: bool = False,
    mode: int = _DEFAULT_MODE,
    directory: str | os.PathLike[str] | None = None,
    members: int | None = None,
    persist: str | os.PathLike[str] | None = None,
    allow_pickle: bool | None = None,
    timeout: float | None = 5.0,
) -> Space:
    """Open the space of that name, made if it is new.

    `size` is the most that it may grow to, bytes or a text such as ``"64M"``; memory is committed in steps. `mode` are
    the permission bits of its file, exactly; `members` how many processes may be attached at once (256). `directory` is
    where the region file is, None for POSIX shared memory. `timeout` (s) bounds waiting for a space that is being made.

    Raises `NotFound` (``create=False``), `NotASpace`, `IncompatibleLayout`, `Corrupted`, `PermissionDenied`,
    `TooManyMembers`, `OptionsMismatch`, `SpaceFull`, `InvalidName`, and `ValueError` for options out of range.

    >>> import shmspace
    >>> with shmspace.open("doc-open", size="1M") as space:
    ...     space.stat().members
    ...     space.destroy()
    1
    """
    name = options.check_space_name(name)
    size_bytes = options.parse_size(size, what="size")
    if not _SIZE_LEAST <= size_bytes <= _SIZE_MOST:
        raise ValueError(f'size must be from "1M" to "16384G", not {size!r}')
    if members is not None:
        members = options.check_count(members, what="members", least=1, most=_MEMBERS_MOST)
    permissions = options.check_count(mode, what="mode", least=0, most=0o777)
    if persist is not None:
        raise NotDurable("persist= needs a supervisor, which this version does not have; open the space without it")
    where = DEFAULT_DIRECTORY if directory is None else os.path.abspath(os.fspath(directory))
    attachment = attach(
        where,
        name,
        size=size_bytes if given(size) else 0,
        members=members or 0,
        mode=permissions,
        mode_given=given(mode),
        create=create and not readonly,
        readonly=readonly,
        timeout_ns=options.timeout_ns(timeout),
    )
    return Space(attachment, name, where, mode=permissions, allow_pickle=allow_pickle)


def list_spaces(directory: str | os.PathLike[str] | None = None) -> list[str]:
    """Give the names of the spaces in `directory` (None: POSIX shared memory), sorted. Raises `NotFound` without it."""
    where = DEFAULT_DIRECTORY if directory is None else os.fspath(directory)
    return sorted(_spaces_in(where))


def _spaces_in(directory: str) -> Iterator[str]:
    try:
        with os.scandir(directory) as entries:
            for entry in entries:
                name = entry.name.removeprefix(PREFIX)
                if name == entry.name or not entry.is_file(follow_symlinks=False):
                    continue
                with contextlib.suppress(InvalidName):
                    yield options.check_space_name(name)
    except FileNotFoundError:
        raise NotFound(f"there is no directory {directory}") from None


def destroy(name: str, directory: str | os.PathLike[str] | None = None, missing_ok: bool = False) -> None:
    """Remove a space for everybody: blocked and later calls anywhere raise `Closed`, the name is free at once.

    Raises `NotFound` unless `missing_ok`, `PermissionDenied` when it belongs to somebody else.
    """
    name = options.check_space_name(name)
    where = DEFAULT_DIRECTORY if directory is None else os.path.abspath(os.fspath(directory))
    status = lib.shm_space_destroy(os.fsencode(where), name.encode())
    if status == lib.SHM_NOT_FOUND and missing_ok:
        return
    _native.check(status)


def _wait(what: int, structure: str) -> str:
    noun = "a message in" if what == 1 and structure.startswith("channel ") else _WAITS.get(what, "")
    return f"{noun} {structure}".strip()


def _age(since_ns: int) -> str:
    return f"since {max(0.0, (time.time_ns() - since_ns) / 1e9):.1f} s"


def _kind_number(kind: str) -> int:
    return _KINDS[options.check_choice(kind, what="kind", choices=tuple(_KINDS))]


def _name_bytes(row: Any) -> bytes:
    return bytes(ffi.buffer(row.name)[: int(row.name_length)])


def _name_of(row: Any) -> str | bytes:
    return options.name_to_str(_name_bytes(row))


def _unpickle(name: str, directory: str, readonly: bool, mode: int, allow_pickle: bool | None) -> Space:
    return open(
        name, create=False, readonly=readonly, mode=DefaultInt(mode), directory=directory, allow_pickle=allow_pickle
    )


@atexit.register
def _close_all() -> None:
    for space in snapshot(_open_spaces):
        space.close()
