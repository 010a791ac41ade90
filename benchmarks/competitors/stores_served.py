"""Stores in a process of their own that the others talk to: Redis on a unix socket, dict and Value of multiprocessing.

Redis is asked with one call for each operation; watching is keyspace notifications, and a GET for the value, since they
carry keys only. A dict of a Manager has no operation that adds, so that a lock of the same Manager is held around
reading and writing. A Value is one number in shared memory with a lock; it takes part where integers are counted.
"""

from __future__ import annotations

import importlib
import platform
from collections.abc import Callable, Sequence
from typing import Any

from benchmarks.competitors.adapter import LinkSpec
from benchmarks.competitors.redis_list import RedisLink, RedisList
from benchmarks.competitors.store_kind import Access, Change, KeyStore, StoreKind, StoreSpec
from benchmarks.crew import CONTEXT
from benchmarks.outcome import NotApplicable

_CHUNK = 10_000
_CHANNEL = "__keyspace@0__:"


class _RedisStore(KeyStore):
    def __init__(self) -> None:
        self._link = RedisLink(LinkSpec(64, 1))
        client = self._link.client()
        client.config_set("notify-keyspace-events", "")
        client.config_set("client-output-buffer-limit", "pubsub 0 0 0")  # a slow watcher is not thrown out
        self._empty_bytes = int(client.info("memory")["used_memory"])
        client.close()

    def open(self) -> Access:
        client = self._link.client()

        def fill(items: Sequence[tuple[Any, bytes]]) -> None:
            for first in range(0, len(items), _CHUNK):
                client.mset(dict(items[first : first + _CHUNK]))

        def values_under(prefix: str) -> Sequence[bytes]:
            values: list[bytes] = client.mget(client.keys(f"{prefix}/*"))
            return values

        return Access(
            client.get,
            client.set,
            fill,
            client.close,
            incr=client.incr,
            number=lambda key: int(client.get(key)),
            values_under=values_under,
            watch=self._watch,
            used_bytes=lambda: int(client.info("memory")["used_memory"]) - self._empty_bytes,
        )

    def _watch(self, prefix: str) -> Callable[[], Change]:
        client = self._link.client()
        client.config_set("notify-keyspace-events", "K$")
        subscription = client.pubsub(ignore_subscribe_messages=True)
        subscription.psubscribe(f"{_CHANNEL}{prefix}/*")
        subscription.get_message(timeout=1.0)
        messages, get = subscription.listen(), client.get

        def change() -> Change:
            key = next(messages)["channel"][len(_CHANNEL) :].decode()
            return key, get(key), 0

        return change

    def close(self) -> None:
        self._link.close()


class RedisKeys(StoreKind):
    """https://redis.io: GET, SET, INCR, KEYS and MGET, keyspace notifications."""

    name = "Redis"

    def version(self) -> str | None:
        return RedisList().version()

    def create(self, spec: StoreSpec) -> KeyStore:
        return _RedisStore()


class _ManagerStore(KeyStore):
    def __init__(self) -> None:
        self._manager: Any = CONTEXT.Manager()
        self._values = self._manager.dict()
        self._lock = self._manager.Lock()
        process: Any = vars(self._manager)["_process"]
        self._server_pid: int = process.pid
        self._empty_bytes = self._used_bytes()

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_manager": None}  # only the parent ends it

    def _used_bytes(self) -> int:
        psutil: Any = importlib.import_module("psutil")
        return int(psutil.Process(self._server_pid).memory_full_info().uss)

    def open(self) -> Access:
        values, lock = self._values, self._lock

        def fill(items: Sequence[tuple[Any, bytes]]) -> None:
            for first in range(0, len(items), _CHUNK):
                values.update(items[first : first + _CHUNK])

        def incr(key: str) -> int:
            with lock:
                number = int(values.get(key, 0)) + 1
                values[key] = number
                return number

        def values_under(prefix: str) -> list[bytes]:
            first = prefix + "/"
            return [value for key, value in values.items() if key.startswith(first)]

        return Access(
            values.__getitem__,
            values.__setitem__,
            fill,
            lambda: None,
            incr=incr,
            number=values.__getitem__,
            values_under=values_under,
            used_bytes=lambda: self._used_bytes() - self._empty_bytes,
        )

    def close(self) -> None:
        self._manager.shutdown()


class ManagerDict(StoreKind):
    """A dict in a process of its own."""

    name = "multiprocessing.Manager().dict"
    limits = {"watch": "it has no watching, one can only ask again and again"}

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, spec: StoreSpec) -> KeyStore:
        return _ManagerStore()


class _ValueStore(KeyStore):
    def __init__(self, spec: StoreSpec) -> None:
        self._numbers = [CONTEXT.Value("q", 0) for _ in range(spec.keys)]

    def open(self) -> Access:
        numbers = self._numbers

        def incr(key: int) -> int:
            number = numbers[key]
            with number:
                number.value += 1
                return int(number.value)

        return Access(
            _refuse, _refuse, _refuse, lambda: None, _key_number, incr, lambda key: int(numbers[key].value)
        )

    def close(self) -> None:
        self._numbers.clear()


def _key_number(key: str) -> int:
    return int(key.rpartition("/")[2])


def _refuse(*_: object) -> Any:
    raise NotApplicable(MultiprocessingValue.limits["keys"])


class MultiprocessingValue(StoreKind):
    """`with value: value.value += 1`, a Value for each key."""

    name = "multiprocessing.Value"
    limits = {"keys": "it is a number"}

    def version(self) -> str | None:
        return f"Python {platform.python_version()}"

    def create(self, spec: StoreSpec) -> KeyStore:
        if not spec.counters:
            raise NotApplicable(self.limits["keys"])
        return _ValueStore(spec)
