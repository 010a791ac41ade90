"""Finding the space and the channel that a command was given: a misspelt name must not make a new one."""

from __future__ import annotations

import shmspace
from shmspace.cli.refusal import Refusal

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
    if space.exists("channel", channel):
        return space.channel(channel)
    names = [str(name) for name in space.names("channel")]
    there = "it has no channels" if not names else "it has " + ", ".join(map(repr, names[:_SHOWN]))
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    raise Refusal(f"the space {space.name!r} has no channel {channel!r}: {there}{more}{hint}")
