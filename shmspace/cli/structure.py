"""Finding the space and the structure that a command was given: a misspelt name must not make a new one."""

from __future__ import annotations

import shmspace
from shmspace.cli.refusal import Refusal
from shmspace.log import Log

_SHOWN = 5
_HINT = " (--create makes it)"


def open_space(name: str, directory: str | None, *, create: bool) -> shmspace.Space:
    """Open a space for reading and writing; a missing one is made if `create` says so, else it is a `Refusal`."""
    try:
        return shmspace.open(name, create=create, directory=directory)
    except shmspace.NotFound as missing:
        raise Refusal(f"{missing}{_HINT}") from missing


def open_channel(space: shmspace.Space, channel: str, *, create: bool) -> shmspace.Channel:
    """Open a channel; a missing one is made if `create` says so, else it is a `Refusal`."""
    return space.channel(channel) if create else existing_channel(space, channel, hint=_HINT)


def existing_channel(space: shmspace.Space, channel: str, *, hint: str = "") -> shmspace.Channel:
    """Open a channel that is there; a missing one is a `Refusal` that names those there are."""
    _look_for(space, "channel", channel, hint)
    return space.channel(channel)


def is_log(space: shmspace.Space, name: str, *, asked: bool) -> bool:
    """Say whether a log of that name is meant rather than a channel; `asked`: by an option that only logs have."""
    there = space.exists("log", name) or space.exists("sharded_log", name)
    return asked or (there and not space.exists("channel", name))


def existing_log(space: shmspace.Space, name: str, key: str | None) -> Log:
    """Open a log that is there, or the shard of a sharded log that has the key; else a `Refusal`."""
    if space.exists("sharded_log", name) and not space.exists("log", name):
        if key is None:
            raise Refusal(f"{name!r} is a sharded log: --key says which of its logs")
        return space.sharded_log(name).log_of(key)
    _look_for(space, "log", name, "")
    return space.log(name)


def open_queue(space: shmspace.Space, queue: str, *, create: bool) -> shmspace.Queue:
    """Open a queue; a missing one is made if `create` says so, else it is a `Refusal`."""
    if not create:
        _look_for(space, "queue", queue, _HINT)
    return space.queue(queue)


def open_tuples(space: shmspace.Space, tuples: str, *, create: bool) -> shmspace.Tuples:
    """Open a tuple space; a missing one is made if `create` says so, else it is a `Refusal`."""
    if not create:
        _look_for(space, "tuples", tuples, _HINT)
    return space.tuples(tuples)


def open_store(space: shmspace.Space, store: str, *, create: bool = False, hint: str = "") -> shmspace.Store:
    """Open a store; a missing one is made if `create` says so, else it is a `Refusal`."""
    if not create:
        _look_for(space, "store", store, hint)
    return space.store(store)


def _look_for(space: shmspace.Space, kind: str, name: str, hint: str) -> None:
    if space.exists(kind, name):
        return
    names = [str(found) for found in space.names(kind)]
    plural = kind if kind.endswith("s") else f"{kind}s"
    there = f"it has no {plural}" if not names else "it has " + ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise Refusal(f"the space {space.name!r} has no {kind} {name!r}: {there}{more}{hint}")
