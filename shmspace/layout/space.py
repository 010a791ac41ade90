"""What can be said about a space, and about all spaces of a directory, without attaching."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from ..errors import Corrupted, IncompatibleLayout, NotASpace, NotFound, PermissionDenied, ShmspaceError
from ..options import check_space_name
from .channel import channel_stat
from .directory import Found, live_structures, of_structure
from .file import REGION_PREFIX, Directory, directory_path, region_path
from .logs import log_stat
from .pages import used_bytes
from .region import Region, opened_region
from .stores import store_stat
from .tables import constant
from .values import queue_stat, tuples_stat

_BOOT_ID = "/proc/sys/kernel/random/boot_id"
_STATS: dict[str, Callable[[Region, Found], dict[str, int]]] = {
    "channel": channel_stat,
    "log": log_stat,
    "sharded_log": log_stat,
    "queue": queue_stat,
    "tuples": tuples_stat,
    "store": store_stat,
}
_STATES: tuple[tuple[type[ShmspaceError], str], ...] = (
    (NotASpace, "not a space"),
    (IncompatibleLayout, "incompatible"),
    (Corrupted, "corrupted"),
    (PermissionDenied, "denied"),
)


@dataclass(frozen=True)
class StructureInfo:
    """A structure of a space."""

    kind: str
    """``"channel"``, ``"log"`` and so on."""
    name: str
    stat: dict[str, int]
    """Its numbers, named as the fields of what its `stat()` gives; empty for a kind that is not read from outside."""


@dataclass(frozen=True)
class SpaceInfo:
    """A space, or what stands where one would be."""

    name: str
    path: str
    """Of the region file."""
    size: int = 0
    """Bytes that it may grow to."""
    committed: int = 0
    """Bytes that have memory."""
    used: int = 0
    """Bytes in use, with what the space needs for itself."""
    free: int = 0
    """Bytes that it may still put to use, growing where needed."""
    members: int = 0
    """Processes attached and alive."""
    created_ns: int = 0
    """When, nanoseconds since the epoch, UTC."""
    structures: tuple[StructureInfo, ...] = ()
    """Without named locks; by kind, then by name in byte order."""
    recoveries: int = 0
    """Dead members that others have cleaned up after."""
    state: str = "ok"
    """``"ok"``, ``"destroyed"`` or ``"leftover"`` (from before a reboot); `read_spaces` also gives ``"not a space"``,
    ``"incompatible"``, ``"corrupted"`` and ``"denied"``."""
    detail: str = ""
    """The reason of any other state than ``"ok"``."""


def read_space(name: str, directory: Directory = None) -> SpaceInfo:
    """Read what there is to say about a space, without attaching.

    Raises `NotFound`, `NotASpace`, `IncompatibleLayout`, `Corrupted`, `PermissionDenied`, or `InvalidName`.
    """
    with opened_region(name, directory) as region:
        return _describe(name, region)


def read_spaces(directory: Directory = None) -> list[SpaceInfo]:
    """Read all spaces of a directory, by name. One that cannot be read has its state and the reason, and zeros.

    Raises `NotFound` if there is no such directory, `PermissionDenied` if it may not be listed.
    """
    place = directory_path(directory)
    try:
        files = os.listdir(place)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"there is no directory {place} to look for spaces in") from None
    except PermissionError as error:
        raise PermissionDenied(f"the directory {place} cannot be listed: {error.strerror}") from error
    names = [file.removeprefix(REGION_PREFIX) for file in files if file.startswith(REGION_PREFIX)]
    found = [_read_or_state(name, directory) for name in sorted(filter(_is_name, names))]
    return [info for info in found if info is not None]


def _is_name(name: str) -> bool:
    try:
        return check_space_name(name) == name
    except ValueError:
        return False


def _read_or_state(name: str, directory: Directory) -> SpaceInfo | None:
    try:
        return read_space(name, directory)
    except NotFound:  # removed since the directory was listed
        return None
    except tuple(error for error, _ in _STATES) as error:
        state = next(state for cls, state in _STATES if isinstance(error, cls))
        return SpaceInfo(name, region_path(name, directory), state=state, detail=str(error))


def _describe(name: str, region: Region) -> SpaceInfo:
    header = region.header_now()
    state, detail = _state(region)
    used = used_bytes(region)
    return SpaceInfo(
        name=name,
        path=region.path,
        size=region.size_bytes,
        committed=region.committed_bytes(),
        used=used,
        free=region.size_bytes - used,
        members=sum(map(region.is_alive, region.members())),
        created_ns=header.word("created_ns"),
        structures=tuple(_structures(region)),
        recoveries=header.word("recoveries"),
        state=state,
        detail=detail,
    )


def _structures(region: Region) -> Iterator[StructureInfo]:
    for found in live_structures(region):
        if found.kind != "lock":
            stat = of_structure(region, found, _STATS.get(found.kind, _no_stat))
            if stat is not None:
                yield StructureInfo(found.kind, found.name, stat)


def _no_stat(_region: Region, _found: Found) -> dict[str, int]:
    return {}


def _state(region: Region) -> tuple[str, str]:
    header = region.header_now()
    if header.word("life") == constant("SHM_LIFE_DELETED"):
        return "destroyed", f"{region.path} is a space that was destroyed; the next one of its name replaces it"
    if header.word("life") != constant("SHM_LIFE_LIVE"):
        raise Corrupted(f"{region.path} is damaged: its life word is {header.word('life')}", path=region.path)
    if _boot_id() not in (b"", header.text("boot_id")):
        return "leftover", f"{region.path} is from before a reboot; the next space of its name replaces it"
    return "ok", ""


def _boot_id() -> bytes:
    """Give the kernel's boot id; nothing where it cannot be read."""
    try:
        with open(_BOOT_ID, encoding="ascii") as file:
            return bytes.fromhex(file.read().strip().replace("-", ""))
    except (OSError, ValueError):
        return b""
