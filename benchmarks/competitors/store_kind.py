"""Store kind: what the patterns of stores need of a library: values by key, and what more it can do with them.

1. A `StoreKind` is a library. Its `create(spec)` runs in the parent and gives a `KeyStore`.
2. A `KeyStore` is pickled to the workers, which `open` it and get an `Access`.
3. An `Access` is a set of plain callables. Where the library's own bound method has the right shape it stands there
   itself, so that no adapter code runs per call. Keys are made beforehand, in the form that the library wants.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from benchmarks.outcome import NotApplicable

Change = tuple[str, bytes, int]
"""What a watcher got: a key, its value and 0, or nothing but how many changes it lost because it was too slow."""

Fill = Callable[[Sequence[tuple[Any, bytes]]], object]


@dataclass(frozen=True)
class StoreSpec:
    """What a pattern asks for: room for `keys` values of `size` bytes, used by so many processes at the same time.

    `counters` says that the values are integers that `incr` changes.
    """

    keys: int
    size: int = 64
    processes: int = 1
    counters: bool = False


@dataclass(frozen=True)
class Access:
    """How this process works on the store; what is None the library cannot do.

    `get` gives the value as `bytes`; `fill` stores many at once, the fastest way there is; `incr` adds 1 and gives the
    sum, exact whoever else does so, and `number` gives it; `values_under` gives the values of all keys that begin with
    a text and a slash; `watch` begins to watch all keys that begin so, and gives what waits for the next change and
    returns its key and value; `used_bytes` is the memory that the store takes up.
    """

    get: Callable[[Any], bytes]
    set: Callable[[Any, bytes], object]
    fill: Fill
    close: Callable[[], object]
    key: Callable[[str], Any] = str
    incr: Callable[[Any], object] | None = None
    number: Callable[[Any], int] | None = None
    values_under: Callable[[str], Sequence[bytes]] | None = None
    watch: Callable[[str], Callable[[], Change]] | None = None
    used_bytes: Callable[[], int] | None = None


class KeyStore(ABC):
    """A store that was made; pickled to the workers."""

    note = ""

    @abstractmethod
    def open(self) -> Access:
        """Attach this process."""

    @abstractmethod
    def close(self) -> None:
        """Remove it; in the parent."""


class StoreKind(ABC):
    """A library. `limits` gives the reason why it cannot do something ("incr", "list", "watch", "memory")."""

    name: str
    limits: ClassVar[Mapping[str, str]] = {}

    @abstractmethod
    def version(self) -> str | None:
        """What is installed, for people; None when it is not."""

    @abstractmethod
    def create(self, spec: StoreSpec) -> KeyStore:
        """Make an empty store."""

    def demand(self, shape: str) -> None:
        """Raise `NotApplicable` with the reason when this shape is among the limits."""
        if shape in self.limits:
            raise NotApplicable(self.limits[shape])
