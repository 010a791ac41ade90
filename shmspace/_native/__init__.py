"""The boundary to the C core: the only package that knows cffi. Nothing above reaches around it.

`ffi` and `lib` are cffi's; `Port` is the native base of channels, readers and writers (hot.c). Statuses become
exceptions in one place, `error`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .. import errors, options
from . import _core
from ._core import ffi, lib

__all__ = ["NEVER", "SLICE_NS", "Port", "check", "deadline", "error", "ffi", "lib", "patiently", "text"]

NEVER: int = 2**64 - 1
"""A deadline that never comes."""
SLICE_NS = 100_000_000
"""How long a call may sleep before Python looks for signals."""

if lib.shm_hot_install(ffi.cast("void *", id(_core)), ffi.cast("void *", id(options.timeout_ns))) != 0:
    raise ImportError("shmspace: cannot install the native methods")
Port: Any = _core.Port


def deadline(timeout_ns: int) -> int:
    """Give the monotonic deadline of a timeout in nanoseconds, -1 for none."""
    return NEVER if timeout_ns < 0 else int(lib.shm_monotonic_ns()) + timeout_ns


def patiently(call: Callable[[int], int], timeout_ns: int) -> int:
    """Call ``call(deadline)`` in slices, with a look for signals in between, until time is up; give its status."""
    limit = deadline(timeout_ns)
    while True:
        now = int(lib.shm_monotonic_ns())
        status = int(call(min(limit, now + SLICE_NS)))
        waiting = status in (lib.SHM_TIMEOUT, lib.SHM_BUSY) and now < limit
        if not waiting and status != lib.SHM_INTERRUPTED:
            return status


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
