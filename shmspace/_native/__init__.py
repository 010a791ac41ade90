"""The boundary to the C core: the only package that knows cffi. Nothing above reaches around it.

`ffi` and `lib` are cffi's; `Port` is the native base of channels, readers and writers (hot.c). Statuses become
exceptions in one place, `error`.
"""

from __future__ import annotations

import atexit
import weakref
from collections.abc import Callable
from typing import Any

from .. import errors, options
from . import _core
from ._core import ffi, lib

__all__ = ["NEVER", "SLICE_NS", "Owned", "Port", "check", "deadline", "error", "ffi", "lib", "patiently", "text"]

NEVER: int = 2**64 - 1
"""A deadline that never comes."""
SLICE_NS = 100_000_000
"""How long a call may sleep before Python looks for signals."""
_NAP_NS = 20_000

if lib.shm_hot_install(ffi.cast("void *", id(_core)), ffi.cast("void *", id(options.timeout_ns))) != 0:
    raise ImportError("shmspace: cannot install the native methods")
Port: Any = _core.Port
Shelf: Any = _core.Shelf
Lease: Any = _core.Lease
Pages: Any = _core.Pages
LogStream: Any = _core.LogStream
Cabinet: Any = _core.Cabinet
Watch: Any = _core.Watch


def deadline(timeout_ns: int) -> int:
    """Give the monotonic deadline of a timeout in nanoseconds, -1 for none."""
    return NEVER if timeout_ns < 0 else int(lib.shm_monotonic_ns()) + timeout_ns


def patiently(call: Callable[[int], int], timeout_ns: int, none: int | None = None) -> int:
    """Call ``call(deadline)`` in slices, with a look for signals in between, until time is up; give its status.

    `none` is the status that says "nothing yet".
    """
    limit = deadline(timeout_ns)
    while True:
        now = int(lib.shm_monotonic_ns())
        status = int(call(min(limit, now + SLICE_NS)))
        waiting = status in (lib.SHM_TIMEOUT, lib.SHM_BUSY, none) and now < limit
        if not waiting and status != lib.SHM_INTERRUPTED:
            return status
        lib.shm_nap_ns(_NAP_NS)


_owned: dict[Any, tuple[Callable[..., None], Any, tuple[Any, ...]]] = {}
_leaving: list[bool] = []  # at exit nothing is given back: the process leaves as a whole, perhaps with threads inside
atexit.register(_leaving.append, True)


def _gone(reference: Any, owned: Any = _owned, leaving: Any = _leaving) -> None:
    if not leaving and (known := owned.pop(reference, None)):
        give_back, room, kept = known
        give_back(room, *kept)


class Owned:
    """Room for what a call of the C core makes; ``give_back(room, ...)`` is called when the last reference goes.

    It owns what is in its room from the instant at which the call puts it there: no signal comes in between. What else
    `give_back` gets lives until then, in whatever order the garbage collector takes things.
    """

    __slots__ = ("__weakref__", "_reference", "room")

    def __init__(self, kind: str, give_back: Callable[..., None], *kept: Any) -> None:
        self.room = ffi.new(kind)
        self._reference = weakref.ref(self, _gone)
        _owned[self._reference] = give_back, self.room, kept

    def give_back(self) -> None:
        """Do it now; then not again."""
        _gone(self._reference)

    def hold(self, pointer: Any) -> Any:
        """Give the pointer as one that keeps this, and so what is in its room."""
        return ffi.gc(pointer, (self,).count)  # any function of C that does nothing: no signal can interrupt it


def text(pointer: Any) -> str:
    """Give a C string."""
    return bytes(ffi.string(pointer)).decode(errors="replace")


def error(status: int, message: str | None = None, **attributes: Any) -> errors.ShmspaceError:
    """Give the exception that a status stands for.

    `message` defaults to what the C core said last in this thread.
    """
    name = lib.shm_error_class(status)
    kind = getattr(errors, text(name), errors.ShmspaceError) if name else errors.ShmspaceError
    if message is None and status < lib.SHM_SHORT:  # below are errors; the others are results, which leave no words
        message = text(lib.shm_error_text())
    message = message or text(lib.shm_error_message(status))
    made: errors.ShmspaceError = kind(message, **attributes)
    return made


def check(status: int) -> int:
    """Give a status back that is no error; raise the exception of one that is."""
    if status < 0:
        raise error(status)
    return status
