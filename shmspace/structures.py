"""How the structures of a space are opened: the options, and what they mean."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, cast

from . import options
from .defaults import DefaultInt, DefaultStr, DefaultTuple

if TYPE_CHECKING:
    from .channel import Channel
    from .log import Log
    from .queue import Queue
    from .sharded_log import ShardedLog
    from .space import Space
    from .store import Store
    from .tuples import Tuples

__all__ = ["Structures"]

_ACKS = ("shm", "os", "disk")


class Structures:
    """The part of `Space` that gives structures. Opening one again without an option adopts it."""

    @property
    def _whole(self) -> Space:
        return cast("Space", self)

    def channel(
        self,
        name: str | bytes,
        *,
        capacity: int = DefaultInt(100),
        delivery: str = DefaultStr("one"),
        replay: int = DefaultInt(0),
        overflow: str = DefaultStr("wait"),
        max_message: int | str = DefaultStr("1M"),
        codec: str = DefaultStr("auto"),
    ) -> Channel:
        """Give the channel of that name, made if it is new.

        `capacity` messages may wait. `delivery`: ``"one"``, every message to exactly one reader, or ``"all"``, to every
        reader that is open when it is sent. `replay` (implies ``"all"``): a reader first gets the last so many.
        `overflow` when full: ``"wait"``, ``"error"`` (`Full`) or ``"oldest"`` (drop it). `max_message` bytes at most.

        Raises `OptionsMismatch` when it was made with another value of an option that is given, `SpaceFull`,
        `InvalidName`, `ValueError` for options out of range.

        >>> import shmspace
        >>> with shmspace.open("doc-channel", size="1M") as space:
        ...     jobs = space.channel("jobs", capacity=10)
        ...     jobs.send({"file": "a.txt"})
        ...     jobs.recv()
        ...     space.destroy()
        {'file': 'a.txt'}
        """
        from .channel import open_channel

        return open_channel(
            self._whole,
            name,
            capacity=capacity,
            delivery=delivery,
            replay=replay,
            overflow=overflow,
            max_message=max_message,
            codec=codec,
        )

    def tuples(
        self,
        name: str | bytes = "default",
        *,
        bound: int | None = None,
        codec: str = DefaultStr("auto"),
        durable: bool = False,
        ack: str = "disk",
    ) -> Tuples:
        """Give the tuple space of that name, made if it is new.

        `bound` is how many values may wait under a key, None any number. Raises `OptionsMismatch` when it was made with
        another value of an option that is given, `NotDurable`, `SpaceFull`, `InvalidName`, `ValueError`.

        >>> import shmspace
        >>> with shmspace.open("doc-tuples", size="1M") as space:
        ...     answers = space.tuples()
        ...     answers.out("reply/7", {"sum": 12})
        ...     answers.take("reply/7", timeout=1)
        ...     space.destroy()
        {'sum': 12}
        """
        from .tuples import open_tuples

        options.check_choice(ack, what="ack", choices=_ACKS)
        return open_tuples(self._whole, name, bound=bound, codec=codec, durable=durable)

    def queue(
        self,
        name: str | bytes,
        *,
        maxsize: int = DefaultInt(0),
        max_deliveries: int | None = None,
        codec: str = DefaultStr("auto"),
        durable: bool = False,
        ack: str = "disk",
    ) -> Queue:
        """Give the queue of that name, made if it is new.

        `maxsize` values may wait, 0 is any number. A value that was leased `max_deliveries` times and given back each
        time goes to `Queue.dead_letters`. Raises as `tuples` does.

        >>> import shmspace
        >>> with shmspace.open("doc-queue", size="1M") as space:
        ...     jobs = space.queue("jobs", maxsize=100)
        ...     jobs.put(("resize", "a.png"))
        ...     jobs.get(timeout=1)
        ...     space.destroy()
        ('resize', 'a.png')
        """
        from .queue import open_queue

        options.check_choice(ack, what="ack", choices=_ACKS)
        return open_queue(
            self._whole, name, maxsize=maxsize, max_deliveries=max_deliveries, codec=codec, durable=durable
        )

    def log(
        self,
        name: str | bytes,
        *,
        start_offset: int = DefaultInt(0),
        segment_size: int = DefaultInt(1024),
        max_record: int | str = DefaultStr("1M"),
        key_index: bool = DefaultInt(0),  # type: ignore[assignment]
        time_index: bool = DefaultInt(0),  # type: ignore[assignment]
        codec: str = DefaultStr("raw"),
        durable: bool = False,
        rollover: int | str = DefaultStr("1M"),
        ack: str = "disk",
    ) -> Log:
        """Give the log of that name, made if it is new.

        It keeps two segments of `segment_size` records: the first record of a new segment drops the one before the
        last. Records have up to `max_record` bytes, key and data. `key_index` and `time_index` let records be found by
        key and time. `rollover` is for durable logs.

        The memory of its slots is taken when it is made. Who gives both `segment_size` and `max_record` says how much
        the log may need at most: then that must fit into the space, else `SpaceFull`. Raises as `tuples` does.

        >>> import shmspace
        >>> with shmspace.open("doc-log", size="1M") as space:
        ...     log = space.log("audit", codec="auto", key_index=True)
        ...     log.append({"up": True}, key="host:7")
        ...     log.read_by_key("host:7").value
        ...     space.destroy()
        0
        {'up': True}
        """
        from .log import open_log

        options.check_choice(ack, what="ack", choices=_ACKS)
        asked = {"start_offset": start_offset, "segment_size": segment_size, "max_record": max_record}
        asked |= {"key_index": key_index, "time_index": time_index, "codec": codec}
        return open_log(self._whole, name, {**asked, "durable": durable, "rollover": rollover})

    def sharded_log(
        self,
        name: str | bytes,
        *,
        shards: int = DefaultInt(64),
        sharder: Sequence[str | bytes] | None = None,
        start_offset: int = DefaultInt(0),
        segment_size: int = DefaultInt(1024),
        max_record: int | str = DefaultStr("1M"),
        key_index: bool = DefaultInt(0),  # type: ignore[assignment]
        time_index: bool = DefaultInt(0),  # type: ignore[assignment]
        codec: str = DefaultStr("raw"),
        durable: bool = False,
        rollover: int | str = DefaultStr("1M"),
        ack: str = "disk",
    ) -> ShardedLog:
        """Give the sharded log of that name, made if it is new: `shards` logs, and the key of a record says which.

        `sharder`, a list of keys, gives each of these a shard of its own; without it shards are chosen by hash. The
        other options are those of each log, whose memory is taken when it is first appended to. Raises as `log` does.

        >>> import shmspace
        >>> with shmspace.open("doc-sharded", size="4M") as space:
        ...     events = space.sharded_log("events", shards=4, codec="auto")
        ...     events.append("user:7", "login")
        ...     events.read("user:7", 0).value
        ...     space.destroy()
        0
        'login'
        """
        from .sharded_log import open_sharded_log

        options.check_choice(ack, what="ack", choices=_ACKS)
        asked = {"start_offset": start_offset, "segment_size": segment_size, "max_record": max_record}
        asked |= {"key_index": key_index, "time_index": time_index, "codec": codec}
        return open_sharded_log(self._whole, name, {**asked, "durable": durable, "rollover": rollover}, shards, sharder)

    def store(
        self,
        name: str | bytes = "default",
        *,
        shards: int = DefaultInt(16),
        codec: str = DefaultStr("auto"),
        feed: int = DefaultInt(1024),
        no_events: Iterable[str] = DefaultTuple(),
        durable: bool = False,
        ack: str = "disk",
        layer: Any = None,
    ) -> Store:
        """Give the store of that name, made if it is new: values under keys such as ``"users/7/mail"``.

        Keys are spread over `shards` parts, which are changed independently; each remembers its last `feed` events for
        watches. Keys that match one of the globs `no_events` give no events. Raises as `tuples` does.

        >>> import shmspace
        >>> with shmspace.open("doc-store", size="2M") as space:
        ...     st = space.store()
        ...     st["users/7"] = {"name": "Ada"}
        ...     st.get("users/7").value, st.incr("logins"), st.keys("users/*")
        ...     space.destroy()
        ({'name': 'Ada'}, 1, ['users/7'])
        """
        from .store import open_store

        options.check_choice(ack, what="ack", choices=_ACKS)
        asked = {"shards": shards, "codec": codec, "feed": feed, "no_events": no_events}
        return open_store(self._whole, name, {**asked, "durable": durable, "layer": layer})
