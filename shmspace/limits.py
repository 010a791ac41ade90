"""Rate limits for all processes of a machine: a storage for the package `limits`, which flask-limiter and slowapi use.

Importing this module makes the schemes known to `limits`; then ``shmspace://NAME`` (or ``shmspace://NAME/STORE``, and
``async+shmspace://...``) can be given wherever a storage is asked for. Without `limits` it can be imported as well, and
`ShmspaceStorage` raises `ImportError` when it is used.

>>> import limits, shmspace, shmspace.limits
>>> storage = limits.storage.storage_from_string("shmspace://doc-limit", size="2M")
>>> limiter = limits.strategies.FixedWindowRateLimiter(storage)
>>> limiter.hit(limits.parse("100/minute"), "ann", "login")
True
>>> storage.close()
>>> shmspace.destroy("doc-limit")
"""

from __future__ import annotations

from typing import Any

__all__ = ["AsyncShmspaceStorage", "ShmspaceStorage"]


class _Missing:
    def __init__(self, *_: Any, **__: Any) -> None:
        raise ImportError("shmspace.limits needs the package limits: pip install limits", name="limits")


try:
    import limits as _limits  # noqa: F401  # what it cannot import itself must not look as if it were missing
except ModuleNotFoundError as error:
    if error.name != "limits":
        raise
    AsyncShmspaceStorage: Any = _Missing
    ShmspaceStorage: Any = _Missing
else:
    from .limit_storage import AsyncShmspaceStorage, ShmspaceStorage
