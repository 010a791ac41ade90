"""Payload: the messages that are sent, and the proof that they arrived.

A sender repeats a short cycle of distinct messages that were made beforehand. A receiver knows the
cycle, so comparing a message with the one that is due proves length, content and order at the price of
one comparison; no counter has to be packed or parsed in the measured loop.
"""

from __future__ import annotations

import struct

SMALL_BYTES = 64
PERIOD = 256
BATCH = 100
BATCH_PERIOD = 10 * BATCH
BIG_PERIOD = 4
EDGE_BYTES = 8

_NUMBERS = struct.Struct("<IHH")


def cycle(size: int = SMALL_BYTES, period: int = PERIOD, sender: int = 0) -> list[bytes]:
    """`period` distinct messages of `size` bytes (a multiple of 8); no two senders share one."""
    return [_NUMBERS.pack(index, sender, 0xB3C4) * (size // _NUMBERS.size) for index in range(period)]


def stop(size: int = SMALL_BYTES) -> bytes:
    """The message that ends a stream; in no cycle."""
    return b"\xff" * size


def batches(messages: list[bytes], count: int = BATCH) -> list[list[bytes]]:
    """The cycle in lists of `count`."""
    return [messages[first : first + count] for first in range(0, len(messages), count)]
