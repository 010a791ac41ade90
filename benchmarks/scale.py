"""Scale: how long and how often everything is measured."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Scale:
    """Durations are of one run; the watchdog adds `grace_seconds` to what a run should take."""

    repeats: int
    warm_seconds: float
    run_seconds: float
    grace_seconds: float
    idle_seconds: float
    idle_rival_seconds: float
    idle_readers: int
    idle_repeats: int
    kills: int
    lock_wait_seconds: float
    pool_calls: int
    pool_arrays: int
    log_cycles: int
    store_keys: int


FULL = Scale(
    repeats=3,
    warm_seconds=0.2,
    run_seconds=0.7,
    grace_seconds=10.0,
    idle_seconds=10.0,
    idle_rival_seconds=2.0,
    idle_readers=100,
    idle_repeats=1,
    kills=60,
    lock_wait_seconds=2.0,
    pool_calls=100_000,
    pool_arrays=10,
    log_cycles=2000,
    store_keys=1_000_000,
)

QUICK = Scale(
    repeats=1,
    warm_seconds=0.05,
    run_seconds=0.15,
    grace_seconds=5.0,
    idle_seconds=2.0,
    idle_rival_seconds=0.5,
    idle_readers=10,
    idle_repeats=1,
    kills=8,
    lock_wait_seconds=0.5,
    pool_calls=3000,
    pool_arrays=2,
    log_cycles=200,
    store_keys=100_000,
)
