"""Adapter: what the harness needs of a message-passing library.

1. A `Competitor` is a library. Its `create(spec)` runs in the parent and gives a `Link`.
2. A `Link` is pickled to the workers, which connect as sender or receiver of one of its lanes.
3. A `Sender` or `Receiver` is a set of plain callables. Where the library's own bound method has the
   right shape it stands there itself, so that no adapter code runs per message.
"""

from __future__ import annotations

import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar, Literal

from benchmarks.outcome import NotApplicable

Edges = tuple[bytes, bytes, int]  # the first bytes, the last bytes and the length of a message


@dataclass(frozen=True)
class LinkSpec:
    """What a pattern asks for: messages of up to `size` bytes, `depth` of which may wait per lane.

    `senders` and `receivers` are how many will connect to each lane. Connecting may wait: a receiver until
    all senders of its lane have connected, a sender until its lane has a receiver. So of two processes
    that connect to the same two lanes, one begins as a sender and the other as a receiver.
    `waiting="spin"` allows a library that offers no blocking receive to poll; `"block"` demands that
    a receiver with nothing to do sleeps in the kernel.
    """

    size: int
    depth: int
    senders: int = 1
    receivers: int = 1
    lanes: int = 1
    waiting: Literal["spin", "block"] = "spin"


@dataclass(frozen=True)
class Sender:
    """`send_view(nbytes, fill)` lets `fill` write into the library's own memory, then sends it."""

    send: Callable[[bytes], object]
    close: Callable[[], None]
    send_many: Callable[[list[bytes]], object] | None = None
    send_view: Callable[[int, Callable[[memoryview], None]], None] | None = None


@dataclass(frozen=True)
class Receiver:
    """`recv` and `recv_many` give Python `bytes`; `recv_view(use)` shows `use` the library's memory."""

    recv: Callable[[], bytes]
    close: Callable[[], None]
    recv_many: Callable[[int], list[bytes]] | None = None
    recv_view: Callable[[Callable[[memoryview], Edges]], Edges] | None = None


class Link(ABC):
    """A created queue (or `lanes` of them) that other processes can connect to."""

    note: str = ""
    helper_pids: tuple[int, ...] = ()  # processes that work for the link, such as a server

    @abstractmethod
    def connect_sender(self, lane: int = 0) -> Sender:
        """Attach this process as a sender."""

    @abstractmethod
    def connect_receiver(self, lane: int = 0) -> Receiver:
        """Attach this process as a receiver."""

    def close(self) -> None:
        """Remove everything that `create` made; called in the parent."""


class Competitor(ABC):
    """A library. `limits` gives the reason why it cannot do a shape ("fan_in", "fan_out", "view")."""

    name: str
    limits: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def version(self) -> str | None:
        """What is installed, for people; None when it is not."""

    @abstractmethod
    def create(self, spec: LinkSpec) -> Link:
        """Make a link; raises `NotApplicable` when this machine does not allow it."""

    def demand(self, shape: str) -> None:
        """Raise `NotApplicable` with the reason when this shape is among the limits."""
        if shape in self.limits:
            raise NotApplicable(self.limits[shape])


def distribution_version(name: str) -> str | None:
    """The version of an installed distribution, None when it is not installed."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def nothing() -> None:
    """For adapters that have nothing to close."""
