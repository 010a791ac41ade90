"""Names, options, codecs and handles of queues: what is allowed, adopted, refused, and what travels."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from datetime import datetime, timezone
from typing import Any

import pytest

import shmspace
from tests.helpers.peer import Peer
from tests.helpers.peer_puppet import Puppet
from tests.helpers.scenario_values import pass_values_between, start_with_values

# Names


@pytest.mark.parametrize("name", ["q", "a" * 255, "é" * 127, "with space / and *", b"bytes"])
def test_every_valid_name_works(space: shmspace.Space, name: str | bytes) -> None:
    text = name.decode() if isinstance(name, bytes) else name
    space.queue(name).put(b"x")
    assert space.names("queue") == [text]
    assert space.queue(text).name == text
    assert space.queue(text).get(timeout=0) == b"x"


BAD_NAMES = ["", "a" * 256, "é" * 128, "a\0b", "a\nb", "\x7f", "\x85", "\udc80", b"\xff", b""]


@pytest.mark.parametrize("name", BAD_NAMES, ids=ascii)
def test_an_invalid_name_is_refused(space: shmspace.Space, name: str | bytes) -> None:
    with pytest.raises(shmspace.InvalidName):
        space.queue(name)
    assert space.names() == []


@pytest.mark.parametrize("name", [None, 7, ["q"]])
def test_a_name_that_is_no_text_is_a_type_error(space: shmspace.Space, name: Any) -> None:
    with pytest.raises(TypeError):
        space.queue(name)


def test_every_kind_has_its_own_names(space: shmspace.Space) -> None:
    space.channel("x").send("channel")
    space.queue("x").put("queue")
    space.tuples("x").out("k", "tuples")
    assert space.names() == ["x"]
    assert [space.exists(kind, "x") for kind in ("channel", "queue", "tuples")] == [True] * 3
    assert space.delete("queue", "x") is True
    assert space.delete("queue", "x") is False
    assert [space.exists(kind, "x") for kind in ("channel", "queue", "tuples")] == [True, False, True]
    assert (space.channel("x").recv(timeout=0), space.tuples("x").take("k", timeout=0)) == ("channel", "tuples")


# Options

OPTIONS: list[tuple[str, Any, Any]] = [
    ("maxsize", 37, 41),
    ("maxsize", 3, 0),
    ("maxsize", 0, 3),
    ("max_deliveries", 3, 5),
    ("codec", "json", "raw"),
    ("codec", "json", "auto"),
]


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_another_explicit_option_is_a_mismatch_that_names_both(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.queue("q", **{option: there})
    with pytest.raises(shmspace.OptionsMismatch, match=option) as refusal:
        space.queue("q", **{option: asked})
    assert str(there) in str(refusal.value)
    assert str(asked) in str(refusal.value)


@pytest.mark.parametrize(("option", "there", "asked"), OPTIONS)
def test_the_same_explicit_option_and_none_at_all_are_welcome(
    space: shmspace.Space, option: str, there: Any, asked: Any
) -> None:
    space.queue("q", **{option: there}).close()
    space.queue("q", **{option: there}).close()
    space.queue("q").close()
    assert asked != there


def test_opening_without_options_adopts_those_that_are_there(space: shmspace.Space) -> None:
    space.queue("q", maxsize=2, max_deliveries=1, codec="json")
    adopted = space.queue("q")
    assert adopted.maxsize == 2
    adopted.put_many([[1], {"a": 2}], timeout=0)
    assert adopted.full()
    with pytest.raises(shmspace.CodecError):
        adopted.put(b"bytes")
    adopted.lease(timeout=0).nack()
    assert adopted.dead_letters.get(timeout=0) == [1]


OUT_OF_RANGE: list[dict[str, Any]] = [
    {"maxsize": 1 << 70},
    {"max_deliveries": 0},
    {"max_deliveries": -1},
    {"max_deliveries": 1 << 70},
    {"codec": "yaml"},
    {"codec": ""},
    {"ack": "soon"},
]
WRONG_TYPE: list[dict[str, Any]] = [
    {"maxsize": "5"},
    {"maxsize": 1.5},
    {"maxsize": None},
    {"maxsize": True},
    {"max_deliveries": "5"},
    {"max_deliveries": 1.5},
    {"codec": 7},
    {"codec": None},
    {"ack": 1},
    {"no_such_option": 1},
]


@pytest.mark.parametrize("options", OUT_OF_RANGE, ids=str)
def test_an_option_out_of_range_is_a_value_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="|".join(options)):
        space.queue("q", **options)
    assert space.names() == []


@pytest.mark.parametrize("options", WRONG_TYPE, ids=str)
def test_an_option_of_the_wrong_type_is_a_type_error(space: shmspace.Space, options: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        space.queue("q", **options)
    assert space.names() == []


@pytest.mark.parametrize("maxsize", [-1, -100])
def test_a_negative_maxsize_is_no_bound_as_in_the_standard_library(space: shmspace.Space, maxsize: int) -> None:
    jobs = space.queue("q", maxsize=maxsize)
    jobs.put_many(range(100), timeout=0)
    assert not jobs.full()


def test_options_are_by_keyword_only(space: shmspace.Space) -> None:
    queue: Any = space.queue
    with pytest.raises(TypeError):
        queue("q", 5)


def test_durable_needs_a_space_with_persist(space: shmspace.Space) -> None:
    with pytest.raises(shmspace.NotDurable):
        space.queue("q", durable=True)
    with pytest.raises(shmspace.NotDurable):
        space.tuples("t", durable=True)
    assert space.names() == []


# Codecs

NOON = datetime(2026, 2, 3, 12, tzinfo=timezone.utc)
CARRIED: list[tuple[str, Any]] = [
    *(("auto", value) for value in (None, True, 0, -(1 << 63), 0.5, "", "grüße", [1, [2]], {"a": [1]}, (1, "b"), b"")),
    ("auto", NOON),
    *(("raw", value) for value in (b"", b"abc")),
    *(("json", value) for value in (None, [1, 2.5], {"a": None}, "text")),
    *(("msgpack", value) for value in (None, [1, 2.5], {"a": b"x"}, "text")),
    *(("pickle", value) for value in (None, {1, 2}, 1j, (1, (2,)), {(1, 2): 3})),
]


@pytest.mark.parametrize(("codec", "value"), CARRIED, ids=repr)
def test_values_come_back_as_they_were(space: shmspace.Space, codec: str, value: Any) -> None:
    jobs = space.queue("q", codec=codec)
    jobs.put(value)
    jobs.put_many([value, value])
    with jobs.lease() as lease:
        leased = lease.value
    for back in (leased, jobs.get(), *jobs.get_many(5)):
        assert (type(back), back) == (type(value), value)


@pytest.mark.parametrize(
    ("codec", "value"), [("auto", object()), ("auto", {1}), ("raw", "text"), ("json", b"x"), ("pickle", lambda: 0)]
)
def test_what_a_codec_refuses_is_not_put(space: shmspace.Space, codec: str, value: Any) -> None:
    jobs = space.queue("q", codec=codec)
    with pytest.raises(shmspace.CodecError):
        jobs.put(value)
    with pytest.raises(shmspace.CodecError):
        jobs.put_many([value])
    assert (jobs.qsize(), jobs.unfinished_tasks, jobs.stat().nbytes) == (0, 0, 0)


def test_arrays_come_back_writable_in_memory_of_their_own(space: shmspace.Space) -> None:
    numpy = pytest.importorskip("numpy")
    jobs = space.queue("q")
    for array in (numpy.arange(100_000, dtype="int32").reshape(10, -1), numpy.zeros((0, 3)), numpy.float64([1.5])):
        jobs.put(array)
        back = jobs.get()
        assert (back.dtype, back.shape, back.tolist()) == (array.dtype, array.shape, array.tolist())
        assert back.flags.writeable


def test_a_pickle_queue_of_a_shared_space_must_be_allowed(space_name: str) -> None:
    with shmspace.open(space_name, size="1M", mode=0o666) as mine:
        with pytest.raises(shmspace.CodecError, match="allow_pickle"):
            mine.queue("q", codec="pickle")
        with shmspace.open(space_name, mode=0o666, allow_pickle=True) as trusting:
            trusting.queue("q", codec="pickle").put({1})
            with pytest.raises(shmspace.CodecError, match="allow_pickle"):
                mine.queue("q")
            assert trusting.queue("q").get(timeout=0) == {1}


# Handles


def test_a_handle_knows_its_name_and_space(space: shmspace.Space) -> None:
    jobs = space.queue("jobs")
    assert (jobs.name, jobs.space, jobs.closed) == ("jobs", space, False)


def test_reprs_tell_the_names(space: shmspace.Space) -> None:
    jobs = space.queue("jobs")
    jobs.put("x")
    for handle in (jobs, jobs.dead_letters, space.tuples("jobs")):
        assert "jobs" in repr(handle)
        assert space.name in repr(handle)
    assert "Queue" in repr(jobs)
    assert "Tuples" in repr(space.tuples())
    assert repr(jobs.dead_letters) != repr(jobs)
    jobs.close()
    assert "closed" in repr(jobs)


def test_the_classes_are_known_by_name() -> None:
    for name in ("Queue", "QueueStat", "Lease", "Tuples", "TuplesStat"):
        assert name in shmspace.__all__
        assert isinstance(getattr(shmspace, name), type)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_a_pickled_handle_attaches_by_name_and_adopts_the_options(space: shmspace.Space, protocol: int) -> None:
    jobs = space.queue("q", maxsize=3, max_deliveries=1, codec="json")
    jobs.put(["x"])
    other = pickle.loads(pickle.dumps(jobs, protocol))
    assert (other.name, other.space.name, other.maxsize) == ("q", space.name, 3)
    other.lease(timeout=0).nack()
    assert pickle.loads(pickle.dumps(jobs.dead_letters, protocol)).get(timeout=0) == ["x"]
    other.space.close()


def test_a_copy_lives_and_dies_by_itself(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    other = copy.copy(jobs)
    other.close()
    jobs.put("x")
    third = copy.copy(jobs)
    jobs.close()
    assert third.get(timeout=0) == "x"


def test_the_pickle_of_a_handle_holds_no_data(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put_many([b"x" * 10_000] * 50)
    assert len(pickle.dumps(jobs)) < 5000


def test_a_pickled_handle_of_a_dropped_queue_brings_nothing_back(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    frozen = pickle.dumps(jobs)
    jobs.drop()
    with pytest.raises((shmspace.NotFound, shmspace.Closed)):
        pickle.loads(frozen).get(timeout=0)
    assert space.names() == []


def test_a_lease_is_not_pickled(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    lease = jobs.lease()
    for freeze in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises((TypeError, pickle.PicklingError)):
            freeze(lease)
    lease.ack()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_handles_work_in_a_process_that_they_are_given_to(space: shmspace.Space, method: str) -> None:
    with Peer(start_with_values, space.name, method) as peer:
        assert peer.said() == 0
        assert peer.finish() == 0


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_handles_go_with_the_tasks_of_a_pool(space: shmspace.Space, method: str) -> None:
    with Peer(pass_values_between, space.name, method) as peer:
        assert peer.said() == [number * number for number in range(20)]


def test_refusals_can_tell_another_process(space: shmspace.Space) -> None:
    jobs = space.queue("q", maxsize=1)
    refusals: list[BaseException] = []
    calls: list[Callable[[], Any]] = [
        lambda: jobs.get(timeout=0),
        lambda: jobs.put_many(range(2), timeout=0) + jobs.put_many([3], timeout=0),
        lambda: jobs.join(timeout=0),
        lambda: jobs.put(object()),
        lambda: jobs.shutdown() or jobs.put("x"),  # type: ignore[func-returns-value]
    ]
    for call in calls:
        with pytest.raises(shmspace.ShmspaceError) as refusal:
            call()
        refusals.append(refusal.value)
    for error in refusals:
        back = pickle.loads(pickle.dumps(error))
        assert (type(back), str(back), vars(back)) == (type(error), str(error), vars(error))
    assert [type(error).__name__ for error in refusals] == ["Empty", "Full", "Timeout", "CodecError", "Closed"]


def test_a_timeout_names_who_has_what_was_waited_for(space: shmspace.Space) -> None:
    jobs = space.queue("q")
    jobs.put("x")
    with Puppet(space.name) as far:
        far.do("space.queue", "q", keep="q")
        far.do("q.lease", keep="lease")
        calls: list[Callable[[], Any]] = [lambda: jobs.get(timeout=0.01), lambda: jobs.join(timeout=0.01)]
        for call in calls:
            with pytest.raises(shmspace.Timeout) as refusal:
                call()
            assert [(holder.pid, holder.alive) for holder in refusal.value.holders] == [(far.pid, True)]
        far.do("lease.ack")
    jobs.join(timeout=0)
