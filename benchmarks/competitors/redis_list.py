"""Redis: a list on a unix socket, RPUSH and BLPOP, with a server of its own.

The server is the system's `redis-server`, started in a temporary directory without TCP port and
without persistence, and stopped with the link. Many at a time are one RPUSH of many values and one
BLMPOP. A list has no bound: a sender that sees more than `depth` waiting (RPUSH returns the length)
pauses for a moment. The client library uses its C parser when `hiredis` is installed.
"""

from __future__ import annotations

import importlib
import shutil
import subprocess
import tempfile
import time
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
)
from benchmarks.outcome import Failed

_START_SECONDS = 5.0
_PAUSE_SECONDS = 0.0002


class RedisLink(Link):
    """A running server; lane n is the list of that name."""

    def __init__(self, spec: LinkSpec) -> None:
        self._depth = spec.depth
        self._directory = tempfile.mkdtemp(prefix="bench-redis-")
        self._socket = f"{self._directory}/socket"
        command = ["redis-server", "--port", "0", "--unixsocket", self._socket, "--dir", self._directory]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        self._server: subprocess.Popen[bytes] | None = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        self.helper_pids = (self._server.pid,)
        self._await_server()

    def _await_server(self) -> None:
        deadline = time.monotonic() + _START_SECONDS
        client = self.client()
        error = importlib.import_module("redis").exceptions.RedisError
        while True:
            try:
                client.ping()
                client.close()
                return
            except error:
                if time.monotonic() > deadline:
                    self.close()
                    raise Failed(f"redis-server did not start within {_START_SECONDS} s") from None
                time.sleep(0.005)

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_server": None}  # only the parent stops it

    def client(self) -> Any:
        redis: Any = importlib.import_module("redis")
        return redis.Redis(
            unix_socket_path=self._socket, single_connection_client=True, socket_timeout=None
        )

    def connect_sender(self, lane: int = 0) -> Sender:
        client, depth = self.client(), self._depth
        push, length = client.rpush, client.llen

        def send(data: bytes) -> None:
            if push(lane, data) > depth:
                while length(lane) > depth:
                    time.sleep(_PAUSE_SECONDS)

        def send_many(batch: list[bytes]) -> None:
            if push(lane, *batch) > depth:
                while length(lane) > depth:
                    time.sleep(_PAUSE_SECONDS)

        return Sender(send, client.close, send_many)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        client = self.client()
        pop, pop_many = client.blpop, client.blmpop

        def recv() -> bytes:
            data: bytes = pop(lane, 0)[1]
            return data

        def recv_many(max_count: int) -> list[bytes]:
            batch: list[bytes] = pop_many(0, 1, lane, direction="LEFT", count=max_count)[1]
            return batch

        return Receiver(recv, client.close, recv_many)

    def close(self) -> None:
        if self._server is not None:
            self._server.kill()
            self._server.wait()
            shutil.rmtree(self._directory, ignore_errors=True)


class RedisList(Competitor):
    """https://redis.io"""

    name = "Redis list"
    limits = {"view": "its messages arrive through a socket"}

    def version(self) -> str | None:
        client = distribution_version("redis")
        if client is None or shutil.which("redis-server") is None:
            return None
        answer = subprocess.run(["redis-server", "--version"], capture_output=True, text=True, check=False)
        words = dict(word.split("=", 1) for word in answer.stdout.split() if "=" in word)
        parser = distribution_version("hiredis")
        return f"server {words.get('v', '?')}, redis-py {client}, hiredis {parser or 'not installed'}"

    def create(self, spec: LinkSpec) -> Link:
        return RedisLink(spec)
