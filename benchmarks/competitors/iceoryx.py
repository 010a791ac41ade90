"""iceoryx2: publish/subscribe of byte slices in shared memory, through its Python bindings.

- The publisher loans a slice, the payload is copied into it (or written in place, by view), and it is
  sent; the subscriber copies `bytes` out of the sample (or looks at it in place) and gives it back.
- Its overflow is switched off and the publisher retries until delivered, so nothing is lost and the
  subscriber's buffer bounds the queue.
- A subscriber has no blocking receive. Where a pattern allows it, it polls, which is the fastest and
  burns a CPU; where receivers must sleep, each send notifies an event service that they wait on.
- A publisher only retries once the subscriber has taken notice of it; before, what exceeds the buffer is
  dropped. So each sends a greeting when it connects, and the receiver is connected when it has them all.
- Every subscriber sees every sample: it has no readers that compete.

Each link has a root directory and a file prefix of its own, so that whatever a killed process leaves
behind can be removed.
"""

from __future__ import annotations

import ctypes
import importlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.competitors.adapter import (
    Competitor,
    Edges,
    Link,
    LinkSpec,
    Receiver,
    Sender,
    distribution_version,
    nothing,
)

_BORROWED = 4
_MAX_PORTS = 8
_POLL_SECONDS = 0.001
_SHARED_MEMORY = Path("/dev/shm")
_numbers = itertools.count()


class SliceLink(Link):
    """The names under which workers find the services, one per lane."""

    def __init__(self, spec: LinkSpec) -> None:
        self._spec = spec
        self._prefix = f"bench{os.getpid()}x{next(_numbers)}_"
        self._root = tempfile.mkdtemp(prefix="bench-iceoryx2-")
        self.note = "polling" if spec.waiting == "spin" else "with events"

    def _node(self) -> tuple[Any, Any]:
        iox2: Any = importlib.import_module("iceoryx2")
        iox2.set_log_level(iox2.LogLevel.Fatal)
        config = iox2.config.default()
        config.global_cfg.root_path = iox2.Path.new(self._root)
        config.global_cfg.prefix = iox2.FileName.new(self._prefix)
        builder = iox2.NodeBuilder.new().config(config)
        builder = builder.signal_handling_mode(iox2.SignalHandlingMode.Disabled)
        return iox2, builder.create(iox2.ServiceType.Ipc)

    def _samples(self, iox2: Any, node: Any, lane: int) -> Any:
        return (
            node.service_builder(iox2.ServiceName.new(f"lane{lane}"))
            .publish_subscribe(iox2.Slice[ctypes.c_uint8])
            .max_publishers(_MAX_PORTS)
            .max_subscribers(1)
            .enable_safe_overflow(False)
            .history_size(0)
            .subscriber_max_buffer_size(self._spec.depth)
            .subscriber_max_borrowed_samples(_BORROWED)
            .open_or_create()
        )

    def _events(self, iox2: Any, node: Any, lane: int) -> Any:
        return node.service_builder(iox2.ServiceName.new(f"lane{lane}")).event().open_or_create()

    def connect_sender(self, lane: int = 0) -> Sender:
        iox2, node = self._node()
        service = self._samples(iox2, node, lane)
        publisher = (
            service.publisher_builder()
            .initial_max_slice_len(self._spec.size)
            .backpressure_strategy(iox2.BackpressureStrategy.RetryUntilDelivered)
            .create()
        )
        while not service.dynamic_config.number_of_subscribers:
            time.sleep(_POLL_SECONDS)
        publisher.loan_slice_uninit(1).assume_init().send()  # the greeting
        notify: Callable[[], object] = nothing
        if self._spec.waiting == "block":
            notify = self._events(iox2, node, lane).notifier_builder().create().notify
        loan, move = publisher.loan_slice_uninit, ctypes.memmove

        def send(data: bytes) -> None:
            sample = loan(len(data))
            move(sample.payload_ptr, data, len(data))
            sample.assume_init().send()
            notify()

        def send_view(nbytes: int, fill: Callable[[memoryview], None]) -> None:
            sample = loan(nbytes)
            fill(sample.payload().as_memory_view().cast("B"))
            sample.assume_init().send()
            notify()

        return Sender(send, nothing, None, send_view)

    def connect_receiver(self, lane: int = 0) -> Receiver:
        iox2, node = self._node()
        subscriber = self._samples(iox2, node, lane).subscriber_builder().create()
        greetings = 0
        while greetings < self._spec.senders:
            if subscriber.receive() is None:
                time.sleep(_POLL_SECONDS)
            else:
                greetings += 1
        wait: Callable[[], object] = nothing
        if self._spec.waiting == "block":
            wait = self._events(iox2, node, lane).listener_builder().create().blocking_wait
        receive, copy_out = subscriber.receive, ctypes.string_at

        def recv() -> bytes:
            while (sample := receive()) is None:
                wait()
            data = copy_out(sample.payload_ptr, sample.header.number_of_elements)
            sample.delete()
            return data

        def recv_view(use: Callable[[memoryview], Edges]) -> Edges:
            while (sample := receive()) is None:
                wait()
            answer = use(sample.payload().as_memory_view().cast("B"))
            sample.delete()
            return answer

        return Receiver(recv, nothing, None, recv_view)

    def close(self) -> None:
        shutil.rmtree(self._root, ignore_errors=True)
        for path in _SHARED_MEMORY.glob(f"{self._prefix}*"):
            path.unlink(missing_ok=True)


class Iceoryx2(Competitor):
    """https://iceoryx.io"""

    name = "iceoryx2"
    limits = {"fan_out": "every subscriber sees every sample, readers cannot compete"}

    def version(self) -> str | None:
        return distribution_version("iceoryx2")

    def create(self, spec: LinkSpec) -> Link:
        return SliceLink(spec)
