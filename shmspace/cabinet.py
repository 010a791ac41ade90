"""What stores are underneath: the native handle, what its methods ask for, and all words about keys."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, NoReturn

from . import _native, options
from ._native import ffi, lib
from .codec import Codec
from .entry import Entry
from .errors import GlobNotAllowed, GlobRequired, InvalidKey, Locked, NotFound, VersionMismatch
from .handle import NamedHandle

if TYPE_CHECKING:
    from .space import Space

__all__ = ["EITHER", "GLOB", "PLAIN", "Cabinet"]

PLAIN, GLOB, EITHER = range(3)
"""What a key argument may be."""

_TTL_MOST_NS = 1 << 62
_VERSION_MOST = 2**63 - 1
_SHOWN = 100
_FLAWS = {
    1: "it has {bytes} bytes of UTF-8, and a key has 1 to 1024",
    2: "it is not UTF-8 text",
    3: "it has a control character in it",
    4: "it has an empty segment: '/' stands between segments only",
}
_STAR, _NO_STAR = 5, 6


class Cabinet(_native.Cabinet, NamedHandle):  # type: ignore[misc]  # a native type
    """A store without its calls."""

    _kind = "store"
    _native_kind = "store"

    def __init__(self, space: Space, name: bytes, wanted: Any, given_bits: int, create: bool) -> None:
        self._begin(space, name, wanted, given_bits, create)

    def _open_native(self) -> None:
        self._open_named(lib.shm_store_open)
        found = ffi.new("shm_store_options *")
        lib.shm_store_get_options(self._raw, found)
        self._shards = int(found.shards)
        self._codec: Codec = self._allowed_codec(_native.text(found.codec))
        self._most_bytes = self._space.stat().size
        self._bind(int(ffi.cast("uintptr_t", self._raw)), self._codec, self._most_bytes, Entry)

    # what the native methods ask for

    def _refuse_key(self, key: str, flaw: int) -> NoReturn:
        shown = repr(key) if len(key) <= _SHOWN else repr(key[:_SHOWN]) + "..."
        if flaw == _STAR:
            raise GlobNotAllowed(f"{shown} is a glob, and a single key is asked for: no '*' in it")
        if flaw == _NO_STAR:
            raise GlobRequired(f"{shown} has no '*' in it, and a glob is asked for; of a single key use get")
        text = _FLAWS[flaw].format(bytes=len(key.encode(errors="surrogatepass")))
        raise InvalidKey(f"{shown} is no key: {text}")

    def _refuse_length(self, length: int) -> NoReturn:
        raise _native.error(
            lib.SHM_TOO_LARGE,
            f"a value of {length} bytes can never fit into {self._space}, which has {self._most_bytes} bytes",
        )

    def _refuse_version(self, key: str, wanted: int, found: int) -> NoReturn:
        there = f"it has version {found}" if found else "it does not exist"
        asked = f"version {wanted} was asked for" if wanted else "it was not to exist"
        raise VersionMismatch(f"key {key!r} of {self}: {asked}, and {there}", version=found)

    def _fail_key(self, status: int, what: str, timeout_ns: int, key: str) -> None:
        """Raise what a status means for that key; return when the call should be tried again."""
        if status == lib.SHM_NOT_FOUND:
            raise self._nothing(what, key)
        if status == lib.SHM_LOCKED:
            raise self._locked(what, key, timeout_ns)
        self._fail(status, what, timeout_ns)

    def _nothing(self, what: str, key: str) -> NotFound:
        return NotFound(f"{what}: {self} has no key {key!r}")

    def _locked(self, what: str, key: str, timeout_ns: int) -> Locked:
        within = "at once" if timeout_ns == 0 else f"within {timeout_ns / 1e9:g} s"
        data, since = self._key(key, EITHER), ffi.new("uint64_t *")
        token = int(lib.shm_store_holder(self._raw, data, len(data), since)) if "*" not in key else 0
        holders = self._space._attachment.holders([token], since=int(since[0]))
        return Locked(f"{what} of {key!r} on {self}: its lock was not free {within}", holders=holders)

    def _time_ns(self, value: Any) -> int:
        return options.time_ns(value)

    def _ttl_ns(self, ttl: Any) -> int:
        if isinstance(ttl, bool) or not isinstance(ttl, int | float):
            raise TypeError(f"ttl must be a number of seconds, not {type(ttl).__name__}")
        if not 0 < ttl < math.inf:
            raise ValueError(f"ttl must be a positive, finite number of seconds, not {ttl!r}")
        return math.ceil(min(ttl * 1e9, _TTL_MOST_NS)) if ttl < _TTL_MOST_NS else _TTL_MOST_NS

    def _version(self, version: Any) -> int:
        return options.check_count(version, what="if_version", least=0, most=_VERSION_MOST)

    def _peers(self, *, writers: bool) -> list[Any]:
        return []

    def _tell_read(self, glob: str | None) -> None:
        hook = self.on_read
        if hook is not None:
            hook(glob)
