"""Stores: values under hierarchical keys, changed one at a time, listed by globs, locked and watched.

`get`, `set`, `incr` and the calls of a mapping are native methods; see _native/hot_store.c.
"""

from __future__ import annotations

import struct
import threading
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from . import _native, options
from ._native import ffi, lib
from .cabinet import EITHER, GLOB, PLAIN, Cabinet
from .defaults import given
from .entry import Entry, StoreStat
from .errors import CodecError, GlobRequired, NotDurable, NotFound, VersionMismatch
from .handle import PATIENCE_NS, snapshot
from .patch import merged
from .shelf import codec_option
from .store_lock import HeldKeys, KeyLock
from .watch import Watch

if TYPE_CHECKING:
    from .aio_store import StoreAio
    from .entry import Event
    from .space import Space

__all__ = ["Store", "open_store"]

Entries: TypeAlias = "list[Entry]"  # inside the class, `list` is a method
Keys: TypeAlias = "list[str]"
Values: TypeAlias = "list[Any]"
Items: TypeAlias = "list[tuple[str, Any]]"

_SHARDS_MOST = 4096
_FEED_MOST = 1 << 20
_EVERYTHING = 2**64 - 1
_FIRST, _LAST = -(2**63), 2**63 - 1  # of all times
_KEYS, _ENTRIES, _VALUES, _ITEMS = range(4)  # what a listing gives
_IF, _SILENT, _KEEP_TTL = lib.SHM_WRITE_IF, lib.SHM_WRITE_SILENT, lib.SHM_WRITE_KEEP_TTL
_GIVEN = {
    "shards": lib.SHM_GIVEN_SHARDS,
    "codec": lib.SHM_GIVEN_CODEC,
    "feed": lib.SHM_GIVEN_FEED,
    "no_events": lib.SHM_GIVEN_NO_EVENTS,
}
_missing: Any = object()


class Store(Cabinet):
    """A store; `Space.store` gives it.

    A key is `str`, 1 to 1024 bytes of UTF-8: segments between slashes, none empty, without control characters or ``*``.
    Else `InvalidKey` or `GlobNotAllowed` is raised, or `TypeError` for what is no `str`. In a glob ``*`` stands for any
    characters within a segment.

    It is a mutable mapping from keys to values, but that `get` gives an `Entry`, and that it equals only itself.
    `on_read` and `on_write`, None or callable, are called for calls through this handle: ``on_read(key)`` before a read
    or a listing (with the glob, None for all), ``on_write(op, key)`` after each key's change, before the call returns.
    """

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._held = HeldKeys()
        super().__init__(space, name, wanted, given_bits, create)

    def __reduce__(self) -> tuple[Any, ...]:
        return _unpickle, (self._space, self._name)

    def close(self) -> None:
        """Close it and its watches, and give up the locks held through it, in this process."""
        if not self._closed:
            for held in snapshot(self._held):
                held.release()
        super().close()

    # one key

    get = _native.Cabinet._get
    """``get(key, default=...) -> Entry``: the entry of a key. Without a default a missing one raises `NotFound`.

    Takes no lock and never waits. Raises `InvalidKey`, `GlobNotAllowed`, `CodecError`, `Closed`.
    """
    set = _native.Cabinet._set
    """``set(key, value, *, created=None, updated=None, ttl=None, if_version=None, silent=False, timeout=None) -> int``

    Make or change a key; gives its version. `created` and `updated` are nanoseconds since the epoch or aware datetimes;
    a new key has now and 0, a changed one keeps `created` and was updated now. After `ttl` seconds (above 0) it is
    gone; without it stays. `if_version`: only if the key has that version (0: is missing), else `VersionMismatch` with
    `.version`. `silent`: without an event. Waits up to `timeout` seconds while somebody else has the key's lock, then
    `Locked`. Raises `InvalidKey`, `GlobNotAllowed`, `CodecError`, `TooLarge`, `SpaceFull`, `ReadOnly`, `Closed`.
    """
    incr = _native.Cabinet._incr
    """``incr(key, by=1, *, timeout=None) -> int``: add to an integer and give the sum; a missing key counts as 0.

    Atomic; a time to live goes on. Raises `TypeError` if the value or `by` is no `int`, `CodecError` for a sum beyond
    64 bits, and as `set` does.
    """

    def push(
        self, glob: str, value: object, *, ttl: float | None = None, silent: bool = False, timeout: float | None = None
    ) -> str:
        """Add a value under a key of its own, and give that: `glob` with a time stamp for its last segment, ``*``.

        The stamp is 16 hexadecimal digits, never the same in one space: pushed keys sort by time. `ttl`, `silent` and
        `timeout` are those of `set`. Raises `GlobRequired` if ``*`` is not the last segment, or not its only one.

        >>> import shmspace
        >>> with shmspace.open("doc-push", size="2M") as space:
        ...     st = space.store()
        ...     key = st.push("events/*", "login")
        ...     key.startswith("events/"), st[key]
        ...     space.destroy()
        (True, 'login')
        """
        self._key(glob, GLOB)
        head = glob[:-1]
        if "*" in head or (head and not head.endswith("/")):
            raise GlobRequired(f"{glob!r}: a push needs a glob with one '*', which is its last segment")
        ttl_ns = 0 if ttl is None else self._ttl_ns(ttl)
        flags = _IF | lib.SHM_WRITE_CREATED | (_SILENT if silent else 0)
        timeout_ns = options.timeout_ns(timeout)
        space = self._space._pointer(changing=True)
        while True:
            stamp = int(lib.shm_space_stamp(space))
            key = f"{head}{stamp:016x}"
            try:
                self._write(key, value, flags, stamp, ttl_ns, 0, 0, timeout_ns, "push")
            except VersionMismatch:
                continue  # somebody has set that very key
            return key

    def _incr_slow(self, key: str, by: int, timeout_ns: int) -> int:
        """Add to a value that the C core cannot add to, or say why not."""
        if isinstance(by, bool) or not isinstance(by, int):
            raise TypeError(f"by must be an int, not {type(by).__name__}")

        def add(entry: Entry | None) -> int:
            value = 0 if entry is None else entry.value
            if type(value) is not int:
                raise TypeError(f"incr of {key!r} on {self}: its value is no int but {type(value).__name__}")
            if not -(1 << 63) <= value + by < 1 << 64:
                raise CodecError(f"incr of {key!r} on {self}: {value} + {by} does not fit 64 bits")
            return value + by

        return int(self._rewrite(key, add, timeout_ns, "incr").value)

    def patch(self, key: str, partial: object, *, timeout: float | None = None) -> Entry:
        """Merge `partial` into the value, as RFC 7396 (JSON merge patch) says; give the entry as it is then.

        Members of a dict replace those of the value's dict, at any depth; None removes one. A missing key, or a value
        that is no dict, counts as ``{}``; a `partial` that is no dict replaces the value. Atomic; a time to live goes
        on. Raises as `set` does.

        >>> import shmspace
        >>> with shmspace.open("doc-patch", size="2M") as space:
        ...     st = space.store()
        ...     st["user/7"] = {"name": "Ada", "mail": {"home": "a@x", "work": "a@y"}}
        ...     st.patch("user/7", {"mail": {"home": None}, "age": 36}).value
        ...     space.destroy()
        {'name': 'Ada', 'mail': {'work': 'a@y'}, 'age': 36}
        """
        return self._rewrite(
            key,
            lambda entry: merged({} if entry is None else entry.value, partial),
            options.timeout_ns(timeout),
            "patch",
        )

    def _rewrite(self, key: str, change: Callable[[Entry | None], Any], timeout_ns: int, what: str) -> Entry:
        """Set a key to what `change` makes of its entry, unless that has changed meanwhile: then again."""
        limit = _native.deadline(timeout_ns)
        while True:
            entry: Entry | None = self._peek(key)
            value = change(entry)
            left_ns = timeout_ns if timeout_ns <= 0 else max(0, limit - int(lib.shm_monotonic_ns()))
            try:
                version, created, updated = self._write(
                    key, value, _IF | _KEEP_TTL, 0, 0, entry.version if entry else 0, 0, left_ns, what
                )
            except VersionMismatch:
                continue
            return Entry(key, value, created, updated, version)

    # removing

    def delete(self, key: str, *, silent: bool = False, timeout: float | None = None) -> int:
        """Remove a key, or all that match a glob, at once; give how many. `silent`: without events.

        Waits up to `timeout` seconds while others have locks of these keys, then `Locked`. A plain key that is missing
        raises `NotFound`. Raises `InvalidKey`, `ReadOnly`, `Closed`.
        """
        if not isinstance(key, str) or "*" not in key:
            self._remove(key, _SILENT if silent else 0, 0, 0, options.timeout_ns(timeout))
            return 1
        return self._remove_all(self._key(key, GLOB), key, silent, options.timeout_ns(timeout))

    def clear(self, *, silent: bool = False, timeout: float | None = None) -> None:
        """Remove all keys, as `delete` does those of a glob."""
        self._remove_all(None, "*", silent, options.timeout_ns(timeout))

    def _remove_all(self, glob: bytes | None, shown: str, silent: bool, timeout_ns: int) -> int:
        self._space._pointer(changing=True)
        pointer, length = self._pointer, len(glob or b"")
        how = ffi.new("shm_write *", {"flags": _SILENT if silent else 0, "holder": threading.get_ident()})
        made = _native.Owned("uint8_t **", _free_keys)
        size, count = ffi.new("uint64_t *"), ffi.new("uint64_t *")

        def attempt(limit: int) -> int:
            _free_keys(made.room)
            made.room[0] = ffi.NULL
            return int(lib.shm_store_remove_all(pointer, glob or ffi.NULL, length, how, limit, made.room, size, count))

        status = _native.patiently(attempt, timeout_ns, lib.SHM_LOCKED)
        if status == lib.SHM_FORKED:
            return self._remove_all(glob, shown, silent, timeout_ns)
        if status != lib.SHM_OK:
            self._fail_key(status, "delete", timeout_ns, shown)
        hook = self.on_write
        if hook is not None:
            for key in _unpacked(bytes(ffi.buffer(made.room[0], size[0])) if size[0] else b""):
                hook("del", key)
        return int(count[0])

    # listing

    def list(
        self,
        glob: str,
        *,
        order: str = "asc",
        limit: int | None = None,
        since: int | datetime | None = None,
        until: int | datetime | None = None,
    ) -> Entries:
        """Give the entries of the keys that match, by when they were made: the oldest first, ``"desc"`` the newest.

        Up to `limit` (at least 1) of those made between `since` and `until`, nanoseconds since the epoch or aware
        datetimes, both included. Keys made at the same time come in the order in which they were. Raises `GlobRequired`
        without a ``*``, `ValueError` for a bad order, limit or span.
        """
        options.check_choice(order, what="order", choices=("asc", "desc"))
        most = _EVERYTHING if limit is None else options.check_count(limit, what="limit", least=1, most=_LAST)
        first, last = _span(since, until)
        pattern = self._key(glob, GLOB)
        self._tell_read(glob)
        newest = order == "desc"
        direction = lib.SHM_KEYS_NEWEST if newest else lib.SHM_KEYS_OLDEST
        found: Entries = self._listed(pattern, _ENTRIES, direction, first, last, most, PATIENCE_NS)
        if len(found) < most < _EVERYTHING:  # some may have gone between the look for keys and that at their values
            found = self._listed(pattern, _ENTRIES, direction, first, last, _EVERYTHING, PATIENCE_NS)
        found = [entry for entry in found if first <= entry.created <= last]  # they may have changed, too
        found.sort(key=_created, reverse=newest)
        return found[:most]

    def keys(
        self, glob: str | None = None, *, since: int | datetime | None = None, until: int | datetime | None = None
    ) -> Keys:
        """Give the keys that match, or all: sorted; with a bound on when they were made, the oldest first.

        `since` and `until` as for `list`. Raises `GlobRequired` for a glob without a ``*``, `ValueError`.
        """
        first, last = _span(since, until)
        pattern = None if glob is None else self._key(glob, GLOB)
        self._tell_read(glob)
        order = lib.SHM_KEYS_SORTED if since is None and until is None else lib.SHM_KEYS_OLDEST
        found: Keys = self._listed(pattern, _KEYS, order, first, last, _EVERYTHING, PATIENCE_NS)
        return found

    def _all(self, wanted: int) -> Any:
        self._tell_read(None)
        return self._listed(None, wanted, lib.SHM_KEYS_SORTED, _FIRST, _LAST, _EVERYTHING, PATIENCE_NS)

    # a mapping

    def __iter__(self) -> Iterator[str]:
        return iter(self.keys())

    def values(self) -> Values:
        """Give the values, in the order of `keys`."""
        found: Values = self._all(_VALUES)
        return found

    def items(self) -> Items:
        """Give keys with their values, in the order of `keys`."""
        found: Items = self._all(_ITEMS)
        return found

    def update(self, other: Any = (), /, **more: Any) -> None:
        """Set each key of a mapping, or of pairs, and of the named arguments; one after the other."""
        mapping: Any = self
        MutableMapping.update(mapping, other, **more)

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Give the value of a key; a missing one is made with `default` first. Atomic."""
        return self._setdefault(key, default, -1)

    def _setdefault(self, key: str, default: Any, timeout_ns: int) -> Any:
        while True:
            entry = self.get(key, None)
            if entry is not None:
                return entry.value
            try:
                self._write(key, default, _IF, 0, 0, 0, 0, timeout_ns, "setdefault")
            except VersionMismatch:
                continue
            return default

    def pop(self, key: str, default: Any = _missing) -> Any:
        """Remove a key and give its value. A missing one gives the default, or without one `NotFound`. Atomic."""
        entry = self._popped(key, -1)
        if entry is not None:
            return entry.value
        if default is _missing:
            raise self._nothing("pop", key)
        return default

    def _popped(self, key: str, timeout_ns: int) -> Entry | None:
        while True:
            entry: Entry | None = self.get(key, None)
            if entry is None:
                return None
            try:
                self._remove(key, _IF, entry.version, 0, timeout_ns)
            except (VersionMismatch, NotFound):
                continue
            return entry

    def popitem(self) -> tuple[str, Any]:
        """Remove the first key and give it with its value; `NotFound` if there is none."""
        while True:
            keys = self.keys()
            if not keys:
                raise NotFound(f"popitem: {self} has no keys")
            try:
                return keys[0], self.pop(keys[0])
            except NotFound:
                continue

    # locks and watches

    def lock(self, key: str, timeout: float | None = None) -> KeyLock:
        """Give the lock of a key, which need not exist, to be held by this thread in a ``with`` statement.

        While it is held others' changes of the key wait, and reads do not. The holder's own pass, and are not undone by
        an exception. ``with`` gives a `HeldKey`. Entering raises `Locked` after `timeout` seconds, `RuntimeError` when
        this thread has the lock already. A lock whose process dies passes on; it is given up when the store is closed.

        >>> import shmspace
        >>> with shmspace.open("doc-key-lock", size="2M") as space:
        ...     st = space.store()
        ...     with st.lock("config", timeout=1) as held:
        ...         held.entry
        ...         st["config"] = {"on": True}
        ...         held.entry.value
        ...     space.destroy()
        {'on': True}
        """
        return KeyLock(self, key, timeout)

    def watch(
        self,
        glob: str | None = None,
        *,
        start: str | int = "now",
        timeout: float | None = None,
        callback: Callable[[Event], object] | None = None,
    ) -> Watch:
        """Give an iterator over the events of the keys that match, of one key, or of all; it waits for those to come.

        `start` is ``"now"``, or the `seq` of an event: then those after it come, as far as they are remembered. Waiting
        longer than `timeout` seconds raises `Empty`. One that is overtaken gets `Lagged`, with `.lost` (how many events
        it missed, at least), and goes on. With a `callback` each event is given to it, on a thread of its own; what it
        raises is logged.

        >>> import shmspace
        >>> with shmspace.open("doc-watch", size="2M") as space:
        ...     st = space.store()
        ...     with st.watch("jobs/*", timeout=1) as events:
        ...         st["jobs/1"] = "new"
        ...         event = next(events)
        ...     event.op, event.entry.value
        ...     space.destroy()
        ('set', 'new')
        """
        return Watch(self, glob, start, timeout, callback)

    # numbers

    def shard_of(self, key: str) -> int:
        """Give the shard of a key: FNV-1a, 32 bits, of its UTF-8, modulo the number of shards."""
        data = self._key(key, PLAIN)
        return int(lib.shm_hash(data, len(data))) % self._shards

    def stat(self) -> StoreStat:
        """Give counts and bytes; looks at every shard."""
        self._look_there()
        facts, counts, pointer = ffi.new("shm_store_facts *"), ffi.new("uint64_t[]", self._shards), self._raw
        status = lib.shm_store_stat(pointer, facts, counts)
        if status != lib.SHM_OK:
            raise self._exception(status, "stat", PATIENCE_NS)
        return StoreStat(
            keys=int(facts.keys),
            nbytes=int(facts.size_bytes),
            shards=[int(count) for count in counts],
            events=int(facts.events),
            watchers=int(facts.watchers),
        )

    @property
    def aio(self) -> StoreAio:
        """The same calls as coroutines."""
        from .aio_store import StoreAio

        return StoreAio(self)


MutableMapping.register(Store)


def _created(entry: Entry) -> int:
    return entry.created


def _span(since: int | datetime | None, until: int | datetime | None) -> tuple[int, int]:
    first = _FIRST if since is None else options.time_ns(since)
    last = _LAST if until is None else options.time_ns(until)
    if first > last:
        raise ValueError(f"since={since} is after until={until}")
    return first, last


def _free_keys(room: Any) -> None:
    if room[0]:
        lib.shm_store_free_keys(room[0])


def _unpacked(data: bytes) -> Iterator[str]:
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4 : at + 4 + length].decode()
        at += 4 + length


def _unpickle(space: Space, name: bytes) -> Store:
    return Store(space, name, ffi.new("shm_store_options *"), 0, False)


def _quiet(store: str | bytes, globs: Iterable[str]) -> bytes:
    """Give the globs of keys without events as the C interface takes them, whatever their order."""
    if isinstance(globs, str | bytes):
        raise TypeError(f"store {store!r}: no_events must be a list of globs, not one")
    check = Cabinet.__new__(Cabinet)._key  # which needs no store
    return b"".join(glob + b"\0" for glob in sorted({check(glob, EITHER) for glob in globs}))


def open_store(space: Space, name: str | bytes, asked: dict[str, Any]) -> Store:
    """Check the options of `Space.store`, and open it."""
    data = options.check_structure_name(name)
    if asked["durable"] or asked["layer"] is not None:
        raise NotDurable(
            f"store {name!r}: durable=True and layer= need a space with persist=, which this version has not yet"
        )
    wanted = ffi.new("shm_store_options *")
    wanted.shards = options.check_count(asked["shards"], what="shards", least=1, most=_SHARDS_MOST)
    wanted.feed = options.check_count(asked["feed"], what="feed", least=1, most=_FEED_MOST)
    wanted.codec = codec_option(asked["codec"])
    quiet = _quiet(name, asked["no_events"])
    keeper = ffi.new("char[]", quiet)
    wanted.quiet, wanted.quiet_bytes = keeper, len(quiet)
    bits = sum(bit for option, bit in _GIVEN.items() if given(asked[option]))
    made = Store(space, data, wanted, bits, True)
    wanted.quiet, wanted.quiet_bytes = ffi.NULL, 0  # the space has it; opening again after a fork asks for nothing
    made._given = 0
    return made
