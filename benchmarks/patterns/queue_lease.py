"""queue_lease: as one_way, with every value leased and acknowledged by its taker."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.competitors.acknowledged import ACKNOWLEDGED
from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.shmspace_values import ShmspaceLease
from benchmarks.patterns.one_way import OneWay
from benchmarks.patterns.pattern import Case, Contestant


class QueueLease(OneWay):
    """One producer, one consumer, who acknowledges."""

    name = "queue_lease"
    title = "Taken and acknowledged"
    cases = (
        Case(
            "64B",
            "64 B values, each taken and acknowledged, 1 to 1",
            "rate",
            "messages/s",
            True,
            ours=ShmspaceLease.name,
        ),
    )

    def contestants(self, competitors: Sequence[Competitor]) -> list[Contestant]:
        return [Contestant(one.name, one.version(), partial(self.measure, one)) for one in ACKNOWLEDGED]
