"""shmspace: channels, and more to come, in shared memory, between the processes of one machine.

>>> import shmspace
>>> with shmspace.open("doc-package", size="1M") as space:
...     numbers = space.channel("numbers")
...     with numbers.writer() as writer:
...         writer.send_many([1, 2, 3])
...     list(numbers.reader())
...     space.destroy()
3
[1, 2, 3]
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .channel import Channel, ChannelStat, Reader, Writer
from .codec import register_codec
from .entry import Entry, Event, StoreStat
from .errors import *  # noqa: F403
from .errors import __all__ as _error_names
from .lock import HeldLock, NamedLock
from .log import Log
from .log_stream import LogStream
from .queue import Lease, LeaseInfo, Queue, QueueStat
from .record import NEWEST, OLDEST, Batch, Deleted, LogStat, Message, Record
from .sharded_log import ShardedLog
from .space import Broadcast, Member, Problem, Space, SpaceStat, destroy, list_spaces, open
from .store import Store
from .store_lock import HeldKey, KeyLock
from .tuples import Tuples, TuplesStat
from .watch import Watch

if TYPE_CHECKING:
    from . import mp
    from .executor import Executor
    from .log_handler import LogHandler

__version__ = "0.1.0"

__all__ = [
    "NEWEST",
    "OLDEST",
    "Batch",
    "Broadcast",
    "Channel",
    "ChannelStat",
    "Deleted",
    "Entry",
    "Event",
    "Executor",
    "HeldKey",
    "HeldLock",
    "KeyLock",
    "Lease",
    "LeaseInfo",
    "Log",
    "LogHandler",
    "LogStat",
    "LogStream",
    "Member",
    "Message",
    "NamedLock",
    "Problem",
    "Queue",
    "QueueStat",
    "Reader",
    "Record",
    "ShardedLog",
    "Space",
    "SpaceStat",
    "Store",
    "StoreStat",
    "Tuples",
    "TuplesStat",
    "Watch",
    "Writer",
    "destroy",
    "list_spaces",
    "mp",
    "open",
    "register_codec",
    *_error_names,
]


_LATER = {"mp": (".mp", ""), "Executor": (".executor", "Executor"), "LogHandler": (".log_handler", "LogHandler")}


def __getattr__(name: str) -> Any:
    # What needs multiprocessing or logging is imported when it is asked for.
    import importlib

    if name not in _LATER:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _LATER[name]
    found = importlib.import_module(module, __name__)
    return getattr(found, attribute) if attribute else found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
