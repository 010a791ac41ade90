"""Deleting, trimming and compacting logs: what goes, what stays, and what is said about it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import pytest

import shmspace
from shmspace import NEWEST, OLDEST, Message
from tests.helpers.peer_puppet import Puppet
from tests.helpers.peer_wait import Call


def left(log: shmspace.Log) -> list[int]:
    return [record.offset for record in log.consume(OLDEST, 10_000)[1]]


def filled(space: shmspace.Space, count: int, **options: Any) -> shmspace.Log:
    log = space.log("l", **options)
    log.publish([Message(b"%d" % number, time=number * 10) for number in range(count)])
    return log


# delete


def test_what_went_is_told_sorted_with_its_bytes(space: shmspace.Space) -> None:
    log = filled(space, 20, segment_size=10)
    gone = log.delete([15, 3, 4, 3])
    assert gone == ([3, 4, 15], 2 * log.size(b"3") + log.size(b"15"))
    assert isinstance(gone, shmspace.Deleted)
    assert (gone.offsets, gone.nbytes) == gone
    assert left(log) == [number for number in range(20) if number not in (3, 4, 15)]


@pytest.mark.parametrize("wanted", [[], [100], [20, 21], [0, 5, 9], [1 << 62, (1 << 64) + 1]], ids=str)
def test_unknown_ones_are_ignored(space: shmspace.Space, wanted: list[int]) -> None:
    log = filled(space, 25, segment_size=10)
    log.delete([20, 21])
    assert log.delete(wanted) == ([], 0)
    assert left(log) == [*range(10, 20), 22, 23, 24]


def test_any_iterable_of_any_segments(space: shmspace.Space) -> None:
    log = filled(space, 20, segment_size=10)
    assert log.delete(number for number in range(8, 13)).offsets == [8, 9, 10, 11, 12]
    assert log.delete({1, 18}).offsets == [1, 18]
    assert log.delete(range(0, 100, 7)).offsets == [0, 7, 14]


@pytest.mark.parametrize("bad", [-1, -2, -3, NEWEST, OLDEST])
def test_a_negative_offset_deletes_nothing(space: shmspace.Space, bad: int) -> None:
    log = filled(space, 5)
    with pytest.raises(shmspace.InvalidOffset, match=str(bad)):
        log.delete([1, bad, 2])
    assert left(log) == list(range(5))


def test_offsets_are_never_used_again(space: shmspace.Space) -> None:
    log = filled(space, 5)
    log.delete([3, 4])
    assert log.append(b"x") == 5
    log.trim(count=0)
    assert log.append(b"x") == 6
    assert left(log) == [6]


def test_what_was_deleted_is_purged_in_its_turn(space: shmspace.Space) -> None:
    """Whatever of a segment was deleted: the log goes on, and begins with what exists."""
    for deleted in ([], [0, 1], [8, 9], [10], [10, 11], [5, 19], list(range(10, 20)), list(range(20)), [19]):
        log = filled(space, 20, segment_size=10)
        log.delete(deleted)
        kept = [number for number in range(20) if number not in deleted]
        assert left(log) == kept
        assert log.append(b"20") == 20
        kept = [number for number in kept if number >= 10] + [20]
        assert left(log) == kept
        assert (log.range(), log.read(OLDEST).offset, log.stat().first) == ((kept[0], 20), kept[0], kept[0])
        assert (log.stat().records, log.stat().nbytes) == (len(kept), len(kept) * log.size(b"20"))
        for offset in range(kept[0]):
            with pytest.raises(shmspace.OutOfRange) as refusal:
                log.read(offset)
            assert refusal.value.earliest == kept[0]
        log.drop()


def test_others_see_it_go(space: shmspace.Space) -> None:
    log = filled(space, 5)
    with Puppet(space.name) as far:
        far.do("space.log", "l", keep="log")
        assert far.do("log.delete", [1, 3]).offsets == [1, 3]
        assert left(log) == [0, 2, 4]
        log.delete([2])
        with pytest.raises(shmspace.NotFound):
            far.do("log.read", 2)


def test_each_record_is_deleted_by_one_only(space: shmspace.Space) -> None:
    log = filled(space, 600)
    calls = [Call(log.delete, range(start, 600)) for start in range(8)]
    gone = [offset for call in calls for offset in call.result().offsets]
    assert sorted(gone) == list(range(600))
    assert (log.range(), log.stat().nbytes) == (None, 0)


def test_deleting_gives_the_memory_of_long_records_back(space: shmspace.Space) -> None:
    log = space.log("l")
    log.delete([log.append(b"x")])
    before = space.stat().used
    for _ in range(30):
        log.publish([bytes(100_000)] * 5)
        assert len(log.trim(count=1).offsets) == 4
        log.delete([log.next_offset - 1])
    assert space.stat().used <= before + (1 << 16)


# trim


@pytest.mark.parametrize("rules", [{}, {"count": 1, "nbytes": 1}, {"before_offset": 0, "before_time": 0}])
def test_trim_takes_exactly_one_rule(space: shmspace.Space, rules: dict[str, Any]) -> None:
    log = filled(space, 5)
    with pytest.raises(TypeError, match="exactly one"):
        log.trim(**rules)
    assert left(log) == list(range(5))


def test_rules_are_by_keyword_only(space: shmspace.Space) -> None:
    trim: Any = filled(space, 5).trim
    with pytest.raises(TypeError):
        trim(3)


@pytest.mark.parametrize("rule", ["count", "nbytes"])
def test_a_negative_rule_is_a_value_error(space: shmspace.Space, rule: str) -> None:
    log = filled(space, 5)
    with pytest.raises(ValueError, match=rule):
        log.trim(**{rule: -1})
    with pytest.raises(TypeError):
        log.trim(**{rule: "1"})  # type: ignore[arg-type]
    with pytest.raises(shmspace.InvalidOffset):
        log.trim(before_offset=-1)
    assert left(log) == list(range(5))


@pytest.mark.parametrize(("count", "first"), [(0, 20), (1, 19), (5, 15), (19, 1), (20, 0), (21, 0), (1 << 40, 0)])
def test_trim_until_so_many_remain(space: shmspace.Space, count: int, first: int) -> None:
    log = filled(space, 20, segment_size=10)
    gone = log.trim(count=count)
    assert gone.offsets == list(range(first))
    assert gone.nbytes == sum(log.size(b"%d" % number) for number in range(first))
    assert left(log) == list(range(first, 20))
    assert log.trim(count=count) == ([], 0)


def test_trim_counts_what_exists(space: shmspace.Space) -> None:
    log = filled(space, 10)
    log.delete([1, 8])
    assert log.trim(count=4).offsets == [0, 2, 3, 4]
    assert left(log) == [5, 6, 7, 9]


def test_trim_until_so_many_bytes_remain(space: shmspace.Space) -> None:
    log = space.log("l")
    log.publish([bytes(100), bytes(50), None, Message(bytes(100), b"k" * 20), bytes(10)])
    sizes = [log.size(data, key) for _, _, key, data in log.read_batch(0, 9)]
    total = sum(sizes)
    assert log.trim(nbytes=total) == ([], 0)
    assert log.trim(nbytes=total - 1) == ([0], sizes[0])
    assert log.stat().nbytes == total - sizes[0]
    assert log.trim(nbytes=sizes[3] + sizes[4] + 1) == ([1, 2], sizes[1] + sizes[2])
    assert log.trim(nbytes=sizes[3] + sizes[4]) == ([], 0)
    assert log.trim(nbytes=0) == ([3, 4], sizes[3] + sizes[4])
    assert log.stat().nbytes == 0


@pytest.mark.parametrize(
    ("offset", "first"), [(0, 10), (5, 10), (10, 10), (11, 11), (20, 20), (24, 24), (25, 25), (99, 25)]
)
def test_trim_all_before_an_offset(space: shmspace.Space, offset: int, first: int) -> None:
    log = filled(space, 25, segment_size=10)
    assert log.trim(before_offset=offset).offsets == list(range(10, first))
    assert left(log) == list(range(first, 25))
    assert log.next_offset == 25


@pytest.mark.parametrize(("when", "first"), [(-1, 0), (0, 1), (9, 1), (10, 2), (189, 19), (190, 20), (1 << 62, 20)])
def test_trim_all_up_to_a_time(space: shmspace.Space, when: int, first: int) -> None:
    log = filled(space, 20, segment_size=10)
    assert log.trim(before_time=when).offsets == list(range(first))
    assert left(log) == list(range(first, 20))


def test_trim_takes_a_datetime(space: shmspace.Space) -> None:
    log = space.log("l")
    for hour in range(10):
        log.append(b"x", time=datetime(2026, 1, 1, hour, tzinfo=timezone.utc))
    assert log.trim(before_time=datetime(2026, 1, 1, 3, tzinfo=timezone.utc)).offsets == [0, 1, 2, 3]
    with pytest.raises(ValueError, match="time zone"):
        log.trim(before_time=datetime(2026, 1, 1, 5))


def test_all_of_that_time_go_wherever_they_are(space: shmspace.Space) -> None:
    log = space.log("l")
    for when in (1, 9, 2, 5, 6, 3):
        log.append(b"x", time=when)
    assert log.trim(before_time=5).offsets == [0, 2, 3, 5]
    assert left(log) == [1, 4]


def test_an_empty_log_can_be_trimmed(space: shmspace.Space) -> None:
    log = space.log("l")
    rules: list[dict[str, int]] = [{"count": 0}, {"nbytes": 0}, {"before_offset": 9}, {"before_time": 9}]
    for rule in rules:
        assert log.trim(**rule) == ([], 0)
    assert log.compact(updates_before=1 << 62, deletes_before=1 << 62) == ([], 0)


# compact


def rows(space: shmspace.Space, *parts: tuple[int, str | None, Any]) -> shmspace.Log:
    """A log of (time, key, value)."""
    log = space.log("l", codec="auto", key_index=True)
    log.publish([Message(value, key, when) for when, key, value in parts])
    return log


def compacted(log: shmspace.Log, **before: Any) -> list[int]:
    """The offsets that went; the bytes are checked."""
    sizes = {record.offset: log.size(record.data, record.key) for record in log.consume(OLDEST, 1000)[1]}
    gone = log.compact(**before)
    assert gone.nbytes == sum(sizes[offset] for offset in gone.offsets)
    assert sorted(sizes.keys() - set(gone.offsets)) == left(log)
    return gone.offsets


def test_superseded_records_go(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", 1), (2, "b", 1), (3, "a", 2), (4, None, 1), (5, "a", 3), (6, None, 2), (7, "b", 2))
    assert compacted(log, updates_before=7) == [0, 1, 2]
    assert compacted(log, updates_before=7) == []
    assert (log.read_by_key("a").value, log.read_by_key("b").value) == (3, 2)


def test_only_those_up_to_the_time_count(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", 1), (2, "a", 2), (3, "a", 3), (4, "a", 4))
    assert compacted(log, updates_before=1) == []
    assert compacted(log, updates_before=3) == [0, 1]
    assert compacted(log, updates_before=4) == [2]


def test_one_of_a_later_time_supersedes_nothing_and_later_means_its_offset(space: shmspace.Space) -> None:
    log = rows(space, (5, "a", 1), (9, "a", 2), (3, "a", 3), (9, "b", 1), (2, "b", 2))
    assert compacted(log, updates_before=5) == [0]
    assert left(log) == [1, 2, 3, 4]


def test_an_empty_key_is_a_key_and_none_is_not(space: shmspace.Space) -> None:
    log = rows(space, (1, "", 1), (2, None, 1), (3, "", 2), (4, None, 2))
    assert compacted(log, updates_before=9) == [0]


def test_a_tombstone_supersedes_and_is_superseded(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", 1), (2, "a", None), (3, "b", None), (4, "b", 1))
    assert compacted(log, updates_before=9) == [0, 2]
    assert log.read_by_key("a").data is None


def test_tombstones_without_anything_older_go(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", 1), (2, "a", None), (3, "b", None), (4, None, None), (5, "c", None), (6, "c", 1))
    assert compacted(log, deletes_before=4) == [2]
    assert compacted(log, deletes_before=9) == [4]
    assert compacted(log, updates_before=9, deletes_before=9) == [0, 1]
    assert left(log) == [3, 5]


def test_one_tombstone_after_the_other_goes(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", None), (2, "a", None), (3, "a", 1), (4, "a", None))
    assert compacted(log, deletes_before=9) == [0, 1]


def test_a_younger_tombstone_is_kept(space: shmspace.Space) -> None:
    log = rows(space, (5, "a", None), (3, "b", None))
    assert compacted(log, deletes_before=3) == [1]
    assert compacted(log, deletes_before=4) == []
    assert compacted(log, deletes_before=5) == [0]


def test_empty_data_is_no_tombstone(space: shmspace.Space) -> None:
    log = space.log("l")
    log.publish([Message(b"", "a", 1), Message(None, "b", 2)])
    assert log.compact(deletes_before=9).offsets == [1]


def test_compaction_without_a_time_does_nothing(space: shmspace.Space) -> None:
    log = rows(space, (1, "a", 1), (2, "a", None), (3, "a", 1), (4, "b", None))
    assert log.compact() == ([], 0)


def test_compaction_takes_a_datetime_and_needs_no_index(space: shmspace.Space) -> None:
    log = space.log("l")
    days = [datetime(2026, 1, day, tzinfo=timezone.utc) for day in (1, 2, 3)]
    log.publish([Message(b"x", "k", day) for day in days])
    assert log.compact(updates_before=days[1]).offsets == [0]


def test_compaction_keeps_the_newest_of_each_key(space: shmspace.Space) -> None:
    """Also among appends and deletions of others: what is found by key afterwards is what was before."""
    log = space.log("l", segment_size=4000, key_index=True)

    def append(keys: Iterable[int]) -> None:
        for key in keys:
            log.append(b"%d" % key, key=b"%d" % (key % 10))

    calls = [Call(append, range(start, start + 600)) for start in (0, 1000)]
    while not all(call.done for call in calls):
        log.compact(updates_before=1 << 62, deletes_before=1 << 62)
    for call in calls:
        call.result()
    newest = {record.key: record for record in log.consume(OLDEST, 5000)[1]}
    assert len(newest) == 10
    gone = log.compact(updates_before=1 << 62).offsets
    assert not set(gone) & {record.offset for record in newest.values()}
    for key, record in newest.items():
        assert key is not None
        assert log.read_by_key(key) == record
    assert left(log) == sorted(record.offset for record in newest.values())
