"""The boundary to the C core: the only package that knows cffi. Nothing above reaches around it.

`ffi` and `lib` are cffi's; `Port` is the native base of channels, readers and writers (hot.c). Statuses become
exceptions in one place, `error`.
"""

from __future__ import annotations

from typing import Any

from .. import errors, options
from . import _core
from ._core import ffi, lib

__all__ = ["NEVER", "Port", "check", "deadline", "error", "ffi", "lib", "text"]

NEVER: int = 2**64 - 1
"""A deadline that never comes."""

if lib.shm_hot_install(ffi.cast("void *", id(_core)), ffi.cast("void *", id(options.timeout_ns))) != 0:
    raise ImportError("shmspace: cannot install the native methods")
Port: Any = _core.Port


def deadline(timeout_ns: int) -> int:
    """Give the monotonic deadline of a timeout in nanoseconds, -1 for none."""
    return NEVER if timeout_ns < 0 else int(lib.shm_monotonic_ns()) + timeout_ns


def text(pointer: Any) -> str:
    """Give a C string."""
    return bytes(ffi.string(pointer)).decode(errors="replace")


def error(status: int, message: str | None = None, **attributes: Any) -> errors.ShmspaceError:
    """Give the exception that a status stands for.

    `message` defaults to what the C core said last in this thread.
    """
    name = lib.shm_error_class(status)
    kind = getattr(errors, text(name), errors.ShmspaceError) if name else errors.ShmspaceError
    message = message or text(lib.shm_error_text()) or text(lib.shm_error_message(status))
    made: errors.ShmspaceError = kind(message, **attributes)
    return made


def check(status: int) -> int:
    """Give a status back that is no error; raise the exception of one that is."""
    if status < 0:
        raise error(status)
    return status
