"""Figures: medians, percentiles and histograms of what was measured."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

PERCENTILES = (("p50", 0.50), ("p90", 0.90), ("p99", 0.99), ("p99.9", 0.999))


def median(values: Sequence[float]) -> float:
    """The middle value; the mean of the middle two when their number is even."""
    ordered = sorted(values)
    middle = len(ordered) // 2
    if len(ordered) % 2:
        return ordered[middle]
    return (ordered[middle - 1] + ordered[middle]) / 2


def percentiles(values: Sequence[float]) -> dict[str, float]:
    """p50, p90, p99, p99.9 (nearest rank) and max."""
    ordered = sorted(values)
    last = len(ordered) - 1
    found = {name: ordered[min(last, int(share * len(ordered)))] for name, share in PERCENTILES}
    found["max"] = ordered[last]
    return found


def histogram(values_ns: Sequence[int]) -> dict[str, int]:
    """Counts of values rounded to two significant digits, smallest first."""
    counts = Counter(_two_digits(value) for value in values_ns)
    return {str(value): counts[value] for value in sorted(counts)}


def _two_digits(value: int) -> int:
    unit = 1
    while value // unit >= 100:
        unit *= 10
    return value // unit * unit


def combine(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The median over runs of every figure; of `max` the largest, for it must not be averaged away."""
    names = runs[0].keys()
    return {
        name: max(run[name] for run in runs) if name == "max" else median([run[name] for run in runs])
        for name in names
    }
