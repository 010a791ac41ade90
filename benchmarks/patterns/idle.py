"""idle: what blocked readers cost: CPU time of 100 processes that wait for a message which never comes.

The CPU time is read from /proc (scheduler statistics in ns, of every thread), with that of a server the
library needs; 100 % is one CPU. Our readers are watched for the full time, the others for a shorter
one, which is enough for them: what burns CPU shows at once. Readers compete on one link where the
library can do that, else each has its own.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from benchmarks.competitors.adapter import Competitor, Link, LinkSpec
from benchmarks.crew import Crew, Gate, Job
from benchmarks.outcome import Failed, Run
from benchmarks.patterns.pattern import Case, LinkPattern, join_notes, opened
from benchmarks.payload import SMALL_BYTES
from benchmarks.scale import Scale
from benchmarks.stream import NS

_DEPTH = 16
_SETTLE_SECONDS = 1.0
_START_SECONDS_PER_READER = 0.5


def _read(gate: Gate, link: Link, lane: int) -> None:
    receiver = link.connect_receiver(lane)
    gate.start()
    receiver.recv()
    raise Failed("a message came out of an empty link")


def cpu_ns(pid: int) -> int:
    """CPU time that all threads of a process have used."""
    total_ns = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        try:
            total_ns += int((task / "schedstat").read_text().split()[0])
        except OSError:
            total_ns += _cpu_ns_by_ticks(task)
    return total_ns


def _cpu_ns_by_ticks(task: Path) -> int:
    """For kernels without scheduler statistics: user and system time in clock ticks."""
    words = (task / "stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) * NS // os.sysconf("SC_CLK_TCK")


def is_asleep(pid: int) -> bool:
    """Whether the main thread is blocked in the kernel."""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "S"


class IdleReaders(LinkPattern):
    """Blocked readers."""

    name = "idle"
    title = "Idle"
    cases = (Case("readers", "CPU use of blocked readers", "cpu", "% of a CPU", False, ("cpu", "asleep", "readers")),)

    def repeats(self, scale: Scale) -> int:
        return scale.idle_repeats

    def measure(self, competitor: Competitor, case: Case, scale: Scale) -> Run:
        count = scale.idle_readers
        lanes = count if "fan_out" in competitor.limits else 1
        seconds = scale.idle_seconds if competitor.name == "shmspace" else scale.idle_rival_seconds
        spec = LinkSpec(
            SMALL_BYTES, _DEPTH, senders=0, receivers=count // lanes, lanes=lanes, waiting="block"
        )
        timeout = seconds + scale.grace_seconds + _START_SECONDS_PER_READER * count
        with opened(competitor, spec) as link:
            jobs = [Job(_read, (link, number % lanes)) for number in range(count)]
            with Crew(jobs, timeout) as crew:
                crew.expect("ready")
                crew.release()
                time.sleep(_SETTLE_SECONDS)
                return _watch(crew.pids, link, seconds)


def _watch(readers: list[int], link: Link, seconds: float) -> Run:
    pids = [*readers, *link.helper_pids]
    before_ns, begin_ns = sum(map(cpu_ns, pids)), time.monotonic_ns()
    time.sleep(seconds)
    used_ns, took_ns = sum(map(cpu_ns, pids)) - before_ns, time.monotonic_ns() - begin_ns
    asleep = sum(map(is_asleep, readers))
    return Run(
        {"cpu": 100 * used_ns / took_ns, "asleep": asleep, "readers": len(readers)},
        {"cpu_ns": used_ns, "elapsed_ns": took_ns, "readers": len(readers), "asleep": asleep},
        join_notes(link.note, f"over {seconds:g} s"),
    )
