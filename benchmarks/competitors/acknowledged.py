"""Acknowledged: queues whose taker says when it is done with a value.

`shmspace.Queue` gives leases; a taker that dies gives its values back at once. `multiprocessing.JoinableQueue` counts
(`task_done`), and what a dead taker had is lost. The reliable queue of Redis's documentation moves a value to a second
list (`BLMOVE`) and removes it there (`LREM`); somebody has to look for what the dead have left there. `shmspace.Queue`
stands beside these once more without leases.
"""

from __future__ import annotations

from multiprocessing import queues as mp_queues
from typing import cast

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec, Receiver
from benchmarks.competitors.mp_queue import MultiprocessingQueue, QueueLink
from benchmarks.competitors.redis_list import RedisLink, RedisList
from benchmarks.competitors.shmspace_values import ShmspaceLease, ShmspaceQueue
from benchmarks.crew import CONTEXT


class JoinableLink(QueueLink):
    """`get`, then `task_done`."""

    def make(self, depth: int) -> mp_queues.JoinableQueue[bytes]:
        return CONTEXT.JoinableQueue(depth)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        queue = cast("mp_queues.JoinableQueue[bytes]", self._lanes[lane])
        get, done = queue.get, queue.task_done

        def recv() -> bytes:
            data = get()
            done()
            return data

        return Receiver(recv, queue.close)


class JoinableQueue(MultiprocessingQueue):
    """Python's own."""

    name = "multiprocessing.JoinableQueue"

    def create(self, spec: LinkSpec) -> Link:
        return JoinableLink(spec)


class ReliableLink(RedisLink):
    """`BLMOVE` and `LREM`."""

    def connect_receiver(self, lane: int = 0) -> Receiver:
        client = self.client()
        move, remove = client.blmove, client.lrem
        pending = f"pending{lane}"

        def recv() -> bytes:
            data: bytes = move(lane, pending, 0)
            remove(pending, 1, data)
            return data

        return Receiver(recv, client.close)


class ReliableRedis(RedisList):
    """https://redis.io/docs/latest/commands/lmove"""

    name = "Redis reliable list"

    def create(self, spec: LinkSpec) -> Link:
        return ReliableLink(spec)


ACKNOWLEDGED: tuple[Competitor, ...] = (ShmspaceLease(), ShmspaceQueue(), JoinableQueue(), ReliableRedis())
