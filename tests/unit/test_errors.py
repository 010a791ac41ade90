"""Every error keeps its bases, its text and its attributes, also through pickle and copy."""

from __future__ import annotations

import copy
import inspect
import pickle
import queue
import sys
from collections.abc import Callable

import pytest

from shmspace import errors
from shmspace.errors import Holder, ShmspaceError

BASES: dict[str, type[Exception]] = {
    "Timeout": TimeoutError,
    "Empty": queue.Empty,
    "Full": queue.Full,
    "Locked": errors.Timeout,
    "SupervisorDown": errors.Timeout,
    "Closed": ShmspaceError,
    "EndOfStream": EOFError,
    "NotFound": KeyError,
    "AlreadyExists": FileExistsError,
    "VersionMismatch": ShmspaceError,
    "InvalidOffset": IndexError,
    "FutureOffset": errors.InvalidOffset,
    "OutOfRange": errors.InvalidOffset,
    "Lagged": errors.OutOfRange,
    "InvalidName": ValueError,
    "InvalidKey": ValueError,
    "GlobNotAllowed": ValueError,
    "GlobRequired": ValueError,
    "TooLarge": ValueError,
    "OptionsMismatch": ValueError,
    "CodecError": ValueError,
    "NoIndex": LookupError,
    "ReadOnly": PermissionError,
    "PermissionDenied": PermissionError,
    "SpaceFull": MemoryError,
    "PersistenceError": OSError,
    "NotASpace": ShmspaceError,
    "IncompatibleLayout": ShmspaceError,
    "Corrupted": ShmspaceError,
    "TooManyMembers": ShmspaceError,
    "NotDurable": ShmspaceError,
    "WorkerDied": ShmspaceError,
}
CLASSES = [getattr(errors, name) for name in BASES]
HOLDER = Holder(41, "python worker.py", True, 1_700_000_000_000_000_000)


def again_by_pickle(error: ShmspaceError) -> object:
    return pickle.loads(pickle.dumps(error))


def test_the_module_has_exactly_the_classes_of_the_contract() -> None:
    found = {name for name, kind in vars(errors).items() if inspect.isclass(kind) and issubclass(kind, ShmspaceError)}
    assert found == {"ShmspaceError", *BASES}
    assert found | {"Holder"} == set(errors.__all__)


@pytest.mark.parametrize(("name", "base"), BASES.items())
def test_each_class_derives_from_shmspace_error_and_from_pythons_own(name: str, base: type[Exception]) -> None:
    kind = getattr(errors, name)
    assert issubclass(kind, ShmspaceError)
    assert issubclass(kind, base)


@pytest.mark.skipif(sys.version_info < (3, 13), reason="queue.ShutDown came with Python 3.13")
def test_closed_is_a_queue_shutdown() -> None:
    assert issubclass(errors.Closed, queue.ShutDown)  # type: ignore[attr-defined,unused-ignore]


@pytest.mark.parametrize("kind", CLASSES)
def test_the_text_is_the_message_unchanged(kind: type[ShmspaceError]) -> None:
    assert str(kind("no channel 'jobs' in space 'a'")) == "no channel 'jobs' in space 'a'"
    assert str(kind()) == ""


@pytest.mark.parametrize("again", [again_by_pickle, copy.copy, copy.deepcopy])
@pytest.mark.parametrize("kind", CLASSES)
def test_text_and_added_attributes_survive_a_round_trip(
    kind: type[ShmspaceError], again: Callable[[ShmspaceError], object]
) -> None:
    error = kind("text")
    error.added = [1]  # type: ignore[attr-defined]
    result = again(error)
    assert type(result) is kind
    assert str(result) == "text"
    assert vars(result) == vars(error)


@pytest.mark.parametrize(
    "error",
    [
        errors.Timeout("t", holders=[HOLDER]),
        errors.Empty("t", holders=[HOLDER]),
        errors.VersionMismatch("t", version=7),
        errors.OutOfRange("t", earliest=3, next=9),
        errors.Lagged("t", lost=2, earliest=3, next=9),
        errors.PersistenceError("t", errno=28),
        errors.Corrupted("t", path="0001.seg", position=64),
    ],
    ids=lambda error: type(error).__name__,
)
def test_keyword_attributes_survive_pickle(error: ShmspaceError) -> None:
    result = again_by_pickle(error)
    names = ("holders", "version", "earliest", "next", "lost", "errno", "path", "position")
    assert [getattr(result, name, None) for name in names] == [getattr(error, name, None) for name in names]
    assert str(result) == str(error)


def test_a_subclass_that_requires_a_keyword_survives_pickle() -> None:
    result = again_by_pickle(Demanding("text", needed=5))
    assert isinstance(result, Demanding)
    assert result.needed == 5


class Demanding(errors.AlreadyExists):
    def __init__(self, message: str, *, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


def test_errno_is_none_unless_given() -> None:
    assert errors.PersistenceError("disk").errno is None
    assert errors.AlreadyExists("a").errno is None
    assert errors.PersistenceError("disk", errno=5).errno == 5


def test_a_timeout_says_whom_it_waited_for() -> None:
    error = errors.Locked("lock 'build' was not free within 2 s", holders=iter([HOLDER, Holder(5, "", False, 0)]))
    assert error.holders == [HOLDER, (5, "", False, 0)]
    assert str(error) == (
        "lock 'build' was not free within 2 s; waited for "
        "pid 41 ('python worker.py', alive, since 2023-11-14T22:13:20Z), pid 5 (dead)"
    )


def test_a_timeout_with_nobody_to_blame_has_a_list_all_the_same() -> None:
    assert errors.Full("full").holders == []


def test_lists_of_holders_are_not_shared() -> None:
    errors.Timeout("a").holders.append(HOLDER)
    assert errors.Timeout("b").holders == []
