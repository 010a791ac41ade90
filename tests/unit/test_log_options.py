"""Names, options and handles of logs: what is allowed, adopted, refused, and what travels."""

from __future__ import annotations

import copy
import multiprocessing
import os
import pickle
from multiprocessing.connection import Connection
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, Message, Record
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.scenario_log import give_a_log_away, use_what_was_inherited

# Names


@pytest.mark.parametrize("name", ["l", "a" * 255, "é" * 127, "with space / and *", b"bytes"])
def test_every_valid_name_works(space: shmspace.Space, name: str | bytes) -> None:
    text = name.decode() if isinstance(name, bytes) else name
    space.log(name).append(b"x")
    assert space.names("log") == [text]
    assert (space.log(text).name, space.log(text).read(0).data) == (text, b"x")


@pytest.mark.parametrize("name", ["", "a" * 256, "é" * 128, "a\0b", "a\nb", "\x7f", "\udc80", b"\xff"], ids=ascii)
def test_an_invalid_name_is_refused(space: shmspace.Space, name: str | bytes) -> None:
    for make in (space.log, space.sharded_log):
        with pytest.raises(shmspace.InvalidName):
            make(name)
    assert space.names() == []


def test_every_kind_has_its_own_names(space: shmspace.Space) -> None:
    space.log("x").append(b"log")
    space.queue("x").put("queue")
    assert [space.exists(kind, "x") for kind in ("log", "queue", "sharded_log")] == [True, True, False]
    assert space.delete("log", "x") is True
    assert space.delete("log", "x") is False
    assert space.queue("x").get(timeout=0) == "queue"


# Options

OPTIONS: list[tuple[str, Any, Any]] = [
    ("start_offset", 7, 0),
    ("start_offset", 0, 7),
    ("segment_size", 10, 11),
    ("segment_size", 10, 1024),
    ("max_record", "64K", "1M"),
    ("key_index", True, False),
    ("key_index", False, True),
    ("time_index", True, False),
    ("time_index", False, True),
    ("codec", "json", "raw"),
    ("codec", "raw", "auto"),
    ("rollover", "2M", "1M"),
]


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_another_explicit_option_is_a_mismatch_that_names_both(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.log("l", **{option: there}).append(b"x" if option != "codec" or there == "raw" else [1])
    with pytest.raises(shmspace.OptionsMismatch, match=option) as refusal:
        space.log("l", **{option: asked})
    for value in (there, asked):
        shown = {"64K": 65536, "1M": 1 << 20, "2M": 2 << 20, True: 1, False: 0}.get(value, value)
        assert str(shown) in str(refusal.value)
    same = space.log("l", **{option: there})
    assert same.read(NEWEST) == space.log("l").read(NEWEST)


def test_opening_without_options_adopts_those_that_are_there(space: shmspace.Space) -> None:
    space.log("l", start_offset=5, segment_size=2, max_record=100, key_index=True, time_index=True, codec="json")
    log = space.log("l")
    assert log.publish([Message([number], "k", number) for number in range(5)]) == 10
    assert (log.range(), log.offset_by_key("k"), log.offset_by_time(4)) == ((7, 9), 9, (9, 4))
    with pytest.raises(shmspace.CodecError):
        log.append(b"bytes")
    with pytest.raises(shmspace.TooLarge):
        log.append("x" * 99)


@pytest.mark.parametrize(
    "options",
    [
        {"start_offset": -1},
        {"start_offset": (1 << 63) + 1},
        {"segment_size": 0},
        {"segment_size": -1},
        {"segment_size": 1 << 70},
        {"max_record": 0},
        {"max_record": "lots"},
        {"codec": "yaml"},
        {"ack": "soon"},
    ],
    ids=str,
)
def test_an_option_out_of_range_is_a_value_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        space.log("l", **options)
    assert space.names() == []


@pytest.mark.parametrize(
    "options",
    [
        {"start_offset": "5"},
        {"start_offset": 1.0},
        {"segment_size": 1.5},
        {"segment_size": True},
        {"segment_size": None},
        {"max_record": 1.5},
        {"key_index": 1},
        {"time_index": "yes"},
        {"codec": 7},
        {"ack": 1},
        {"no_such_option": 1},
    ],
    ids=str,
)
def test_an_option_of_the_wrong_type_is_a_type_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        space.log("l", **options)
    assert space.names() == []


def test_durable_needs_a_space_with_persist(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.NotDurable):
        space.log("l", durable=True)
    with pytest.raises(shmspace.NotDurable):
        space.sharded_log("s", durable=True)
    assert space.names() == []
    log = space.log("l")
    for call in (log.sync, log.check, lambda: log.backup("nowhere")):
        with pytest.raises(shmspace.NotDurable):
            call()


def test_the_last_start_of_all_goes_beyond_2_to_63(space: shmspace.Space) -> None:
    start = 1 << 63
    log = space.log("l", start_offset=start, segment_size=2, key_index=True)
    assert [log.append(b"x", key="k") for _ in range(5)] == list(range(start, start + 5))
    assert (log.range(), log.offset_by_key("k")) == ((start + 2, start + 4), start + 4)
    assert [record.offset for record in log.read_batch(start + 3, 9)] == [start + 3, start + 4]
    assert log.consume(start)[0] == start + 5
    with log.stream(start + 3) as stream:
        assert (stream.next(timeout=0).offset, stream.next(timeout=0).offset) == (start + 3, start + 4)
    assert log.delete([start + 3]).offsets == [start + 3]
    for offset in (start + 5, 1 << 64, 1 << 200):
        with pytest.raises(shmspace.FutureOffset):
            log.read(offset)
    with pytest.raises(shmspace.OutOfRange):
        log.read(start)


# Room


def test_what_could_never_fit_is_refused_at_creation(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.SpaceFull, match="segment_size"):
        space.log("l", segment_size=1000, max_record="64K")
    assert space.names() == []
    with pytest.raises(shmspace.SpaceFull):
        space.log("l", segment_size=1 << 31)
    assert space.names() == []
    space.log("l", segment_size=1000, max_record="4K")
    space.log("defaults")
    space.log("many", segment_size=4000).append(b"x")
    space.log("long", max_record="8M").append(bytes(4 << 20))


def test_a_full_space_refuses_and_nothing_happened(space_name: str) -> None:
    with shmspace.open(space_name, size="1M") as space:
        log = space.log("l", key_index=True)
        while True:
            before = (log.stat(), log.next_offset)
            try:
                log.append(bytes(50_000), key="k")
            except shmspace.SpaceFull:
                break
        assert (log.stat(), log.next_offset) == before
        assert log.next_offset > 5
        with pytest.raises(shmspace.SpaceFull):
            log.publish([b"small", bytes(100_000), bytes(500_000)])
        assert (log.stat(), log.offset_by_key("k")) == (before[0], log.next_offset - 1)
        log.append(b"small")
        log.trim(count=1)
        assert log.append(bytes(50_000)) == before[1] + 1


def test_a_dropped_log_gives_its_memory_back(space: shmspace.Space) -> None:
    space.log("warm").drop()
    before = space.stat().used
    for _ in range(3):
        log = space.log("l", key_index=True, time_index=True)
        log.publish([Message(bytes(20_000), "k" * 100)] * 200)
        log.delete([3, 5])
        log.drop()
        log.close()
    assert space.stat().used <= before + (1 << 16)
    assert space.names() == []


# Handles


def test_a_handle_knows_its_name_and_space(space: shmspace.Space) -> None:
    log = space.log("events")
    assert (log.name, log.space, log.closed) == ("events", space, False)
    for part in ("Log", "events", space.name):
        assert part in repr(log)
    log.close()
    assert "closed" in repr(log)


def test_a_pickled_handle_attaches_by_name_and_adopts_the_options(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=2, codec="json", key_index=True)
    log.append([1], key="k")
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        other = pickle.loads(pickle.dumps(log, protocol))
        assert (other.name, other.space.name, other.read_by_key("k").value) == ("l", space.name, [1])
        other.space.close()
    third = copy.copy(log)
    log.close()
    assert third.append([2]) == 1


def test_a_pickled_handle_of_a_dropped_log_brings_nothing_back(space: shmspace.Space) -> None:
    log = space.log("l")
    log.append(b"x")
    frozen = pickle.dumps(log)
    log.drop()
    with pytest.raises((shmspace.NotFound, shmspace.Closed)):
        pickle.loads(frozen).read(0)
    assert space.names() == []


def test_records_and_batches_travel_with_their_values(space: shmspace.Space) -> None:
    log = space.log("l", codec="auto")
    log.publish([Message([1], "k"), Message(None)])
    batch = log.read_batch(0, 9)
    back = pickle.loads(pickle.dumps(batch))
    assert (back, back.next_offset, back.at_end) == (batch, 2, True)
    assert isinstance(back[0], Record)
    assert (back[0].value, back[1].value) == ([1], None)
    assert copy.deepcopy(log.read(0)) == log.read(0)
    by_hand = Record(1, 2, None, b"x")
    assert pickle.loads(pickle.dumps(by_hand)).value == b"x"
    gone = log.delete([0])
    assert pickle.loads(pickle.dumps((gone, log.stat()))) == (gone, log.stat())


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_handles_work_in_a_process_that_they_are_given_to(space: shmspace.Space, method: str) -> None:
    with Peer(give_a_log_away, space.name, method) as peer:
        assert peer.said() == 0
        assert peer.finish() == 0


def test_what_a_child_inherits_is_its_own(space: shmspace.Space) -> None:
    with Peer(use_what_was_inherited, space.name) as peer:
        assert peer.said() == "done"
        assert peer.finish() == 0
    assert space.check() == []


def test_refusals_can_tell_another_process(space: shmspace.Space) -> None:
    log = space.log("l", segment_size=2)
    log.publish([b"x"] * 5)
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        for call, error in ((("log.read", 0), shmspace.OutOfRange), (("log.read_batch", 1, 2), shmspace.OutOfRange)):
            with pytest.raises(error) as refusal:
                far.do(*call)
            assert (refusal.value.earliest, refusal.value.next) == (2, 5)
        with pytest.raises(shmspace.FutureOffset):
            far.do("log.consume", 6)


def test_a_child_of_a_pool_may_return_records(space: shmspace.Space) -> None:
    log = space.log("l", codec="auto")
    log.append((1, "two"))
    context: Any = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    child = context.Process(target=send_first, args=(theirs, log))
    child.start()
    pid, record = ours.recv()
    child.join()
    assert pid != os.getpid()
    assert (record, record.value) == (log.read(0), (1, "two"))


def send_first(talk: Connection, log: shmspace.Log) -> None:
    talk.send((os.getpid(), log.read(0)))
