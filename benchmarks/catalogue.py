"""Catalogue: all patterns and all competitors, in the order in which they are shown."""

from __future__ import annotations

from benchmarks.competitors.adapter import Competitor
from benchmarks.competitors.fasterfifo import FasterFifo
from benchmarks.competitors.iceoryx import Iceoryx2
from benchmarks.competitors.mp_pipe import MultiprocessingPipe
from benchmarks.competitors.mp_queue import MultiprocessingQueue
from benchmarks.competitors.mp_simple_queue import MultiprocessingSimpleQueue
from benchmarks.competitors.posix_mq import PosixMessageQueue
from benchmarks.competitors.redis_list import RedisList
from benchmarks.competitors.shmspace_channel import ShmspaceChannel
from benchmarks.competitors.shmspace_values import ShmspaceQueue, ShmspaceTuples
from benchmarks.competitors.zeromq import Pyzmq
from benchmarks.patterns.big import BigMessages
from benchmarks.patterns.core import CoreRing
from benchmarks.patterns.executor import Executors
from benchmarks.patterns.fan_in import FanIn
from benchmarks.patterns.fan_out import FanOut
from benchmarks.patterns.idle import IdleReaders
from benchmarks.patterns.incr import Counters
from benchmarks.patterns.kill import KilledHolder
from benchmarks.patterns.kv_list import KeyListings
from benchmarks.patterns.kv_memory import KeyMemory
from benchmarks.patterns.kv_mixed import KeyValues
from benchmarks.patterns.log_append import LogAppend
from benchmarks.patterns.log_read import LogRead
from benchmarks.patterns.log_stream import LogStreams
from benchmarks.patterns.many import Many
from benchmarks.patterns.objects import Objects
from benchmarks.patterns.one_way import OneWay
from benchmarks.patterns.pattern import Pattern
from benchmarks.patterns.queue_lease import QueueLease
from benchmarks.patterns.round_trip import RoundTrip
from benchmarks.patterns.tuple_jobs import TupleJobs
from benchmarks.patterns.wake_up import WakeUp
from benchmarks.patterns.watch import Watching

PATTERNS: tuple[Pattern, ...] = (
    OneWay(),
    Many(),
    RoundTrip(),
    WakeUp(),
    FanIn(),
    FanOut(),
    TupleJobs(),
    QueueLease(),
    Objects(),
    Executors(),
    LogAppend(),
    LogRead(),
    LogStreams(),
    KeyValues(),
    KeyListings(),
    Watching(),
    Counters(),
    KeyMemory(),
    BigMessages(),
    IdleReaders(),
    KilledHolder(),
    CoreRing(),
)

COMPETITORS: tuple[Competitor, ...] = (
    ShmspaceChannel(),
    ShmspaceQueue(),
    ShmspaceTuples(),
    Pyzmq(),
    MultiprocessingPipe(),
    MultiprocessingSimpleQueue(),
    MultiprocessingQueue(),
    Iceoryx2(),
    FasterFifo(),
    PosixMessageQueue(),
    RedisList(),
)
