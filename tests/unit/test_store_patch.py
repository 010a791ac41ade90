"""JSON merge patch as RFC 7396 has it: its own examples, all of them, and what a store adds: one change, one event."""

from __future__ import annotations

import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import shmspace
from tests.helpers.peer_wait import Call
from tests.helpers.store_model import drained, merged

# Appendix A: original, patch, result.
APPENDIX_A = (
    ('{"a":"b"}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"b"}', '{"b":"c"}', '{"a":"b","b":"c"}'),
    ('{"a":"b"}', '{"a":null}', "{}"),
    ('{"a":"b","b":"c"}', '{"a":null}', '{"b":"c"}'),
    ('{"a":["b"]}', '{"a":"c"}', '{"a":"c"}'),
    ('{"a":"c"}', '{"a":["b"]}', '{"a":["b"]}'),
    ('{"a":{"b":"c"}}', '{"a":{"b":"d","c":null}}', '{"a":{"b":"d"}}'),
    ('{"a":[{"b":"c"}]}', '{"a":[1]}', '{"a":[1]}'),
    ('["a","b"]', '["c","d"]', '["c","d"]'),
    ('{"a":"b"}', '["c"]', '["c"]'),
    ('{"a":"foo"}', "null", "null"),
    ('{"a":"foo"}', '"bar"', '"bar"'),
    ('{"e":null}', '{"a":1}', '{"e":null,"a":1}'),
    ("[1,2]", '{"a":"b","c":null}', '{"a":"b"}'),
    ("{}", '{"a":{"bb":{"ccc":null}}}', '{"a":{"bb":{}}}'),
)
# Section 3.
DOCUMENT = {
    "title": "Goodbye!",
    "author": {"givenName": "John", "familyName": "Doe"},
    "tags": ["example", "sample"],
    "content": "This will be unchanged",
}
DOCUMENT_PATCH = {
    "title": "Hello!",
    "phoneNumber": "+01-123-456-7890",
    "author": {"familyName": None},
    "tags": ["example"],
}
DOCUMENT_PATCHED = {
    "title": "Hello!",
    "author": {"givenName": "John"},
    "tags": ["example"],
    "content": "This will be unchanged",
    "phoneNumber": "+01-123-456-7890",
}

NESTED: tuple[tuple[Any, Any, Any], ...] = (
    ({"a": {"b": {"c": 1, "d": 2}}}, {"a": {"b": {"c": None}}}, {"a": {"b": {"d": 2}}}),
    ({"a": {"b": {"c": 1}}}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
    ({"a": {"b": 1}, "z": 0}, {"a": None}, {"z": 0}),
    ({"a": 1}, {"b": None}, {"a": 1}),
    ({"a": 1}, {}, {"a": 1}),
    ({"a": 1}, {"a": {"b": None, "c": 2}}, {"a": {"c": 2}}),
    ({"a": [1, 2]}, {"a": {"0": None}}, {"a": {}}),
    ({"a": {"b": 1}}, {"a": [None]}, {"a": [None]}),
    ({"": {"": 1}}, {"": {"": None}}, {"": {}}),
    ({"é": {"漢": 1}}, {"é": {"漢": None, "字": "x"}}, {"é": {"字": "x"}}),
)

scalars = st.one_of(st.none(), st.integers(-9, 9), st.text(max_size=3))
documents = st.recursive(
    scalars,
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("abc"), inner, max_size=3)),
    max_leaves=8,
)


@pytest.fixture(params=["auto", "json", "msgpack"])
def store(space: shmspace.Space, request: pytest.FixtureRequest) -> shmspace.Store:
    return space.store("s", codec=request.param)


@pytest.mark.parametrize(("original", "patch", "result"), APPENDIX_A)
def test_every_example_of_the_rfc_comes_out_as_there(
    store: shmspace.Store, original: str, patch: str, result: str
) -> None:
    store["k"] = json.loads(original)
    assert json.dumps(store.patch("k", json.loads(patch)).value, sort_keys=True) == json.dumps(
        json.loads(result), sort_keys=True
    )
    assert store["k"] == json.loads(result)


def test_the_document_of_the_rfc_comes_out_as_there(store: shmspace.Store) -> None:
    store["k"] = DOCUMENT
    assert store.patch("k", DOCUMENT_PATCH).value == DOCUMENT_PATCHED


@pytest.mark.parametrize(("original", "patch", "result"), NESTED)
def test_what_is_deeper_is_merged_and_removed_too(
    store: shmspace.Store, original: Any, patch: Any, result: Any
) -> None:
    store["k"] = original
    assert store.patch("k", patch).value == store["k"] == result


@pytest.mark.parametrize("patch", [{"a": 1}, {}, {"a": {"b": None}}, 7, "text", [1], None])
def test_a_missing_key_counts_as_an_empty_object(store: shmspace.Store, patch: Any) -> None:
    entry = store.patch("new", patch)
    assert (entry.key, entry.value, entry.updated) == ("new", merged({}, patch), 0)
    assert store.get("new") == entry


@pytest.mark.parametrize("original", [7, "text", [1, 2], None, 1.5, True])
def test_what_is_no_object_is_replaced_by_one(store: shmspace.Store, original: Any) -> None:
    store["k"] = original
    assert store.patch("k", {"a": {"b": 1, "c": None}}).value == {"a": {"b": 1}}


def test_bytes_are_no_object_either(space: shmspace.Space) -> None:
    store = space.store("s")
    store["k"] = b"bytes"
    assert store.patch("k", {"a": 1}).value == {"a": 1}


def test_a_patch_keeps_created_and_moves_updated_and_the_version(store: shmspace.Store) -> None:
    store["k"] = {"a": 1}
    before = store.get("k")
    after = store.patch("k", {"a": 2})
    assert after.created == before.created < after.updated
    assert after.version > before.version
    assert store.get("k") == after


def test_a_patch_is_one_event_with_all_of_the_result(store: shmspace.Store) -> None:
    store["k"] = {"a": 1}
    with store.watch("k") as watch:
        after = store.patch("k", {"b": {"c": 2}})
        assert [(event.op, event.key, event.entry) for event in drained(watch)] == [("set", "k", after)]
    assert after.value == {"a": 1, "b": {"c": 2}}


def test_the_arguments_stay_as_they_were(store: shmspace.Store) -> None:
    patch = {"a": {"b": None, "c": [1]}}
    kept = copy.deepcopy(patch)
    store.patch("k", patch)
    assert patch == kept


def test_a_patch_that_cannot_be_encoded_changes_nothing(store: shmspace.Store) -> None:
    store["k"] = {"a": 1}
    before = store.get("k")
    with store.watch() as watch:
        with pytest.raises(shmspace.CodecError):
            store.patch("k", {"b": object()})
        assert drained(watch) == []
    assert store.get("k") == before


def test_a_result_of_many_pages_is_whole(store: shmspace.Store) -> None:
    expected = {}
    for number in range(40):
        expected[str(number)] = "x" * 1000
        assert store.patch("k", {str(number): "x" * 1000}).value == expected


def test_patches_of_many_threads_are_all_in_the_result(store: shmspace.Store) -> None:
    def add(thread: int) -> None:
        for number in range(100):
            store.patch("k", {f"{thread}": {f"{number}": thread, f"{number - 1}": None if number % 2 else thread}})

    calls = [Call(add, thread) for thread in range(4)]
    for call in calls:
        call.result()
    expected: Any = {}
    for thread in range(4):
        for number in range(100):
            expected = merged(
                expected, {f"{thread}": {f"{number}": thread, f"{number - 1}": None if number % 2 else thread}}
            )
    assert store["k"] == expected


def test_any_patch_of_any_value_is_what_the_rfc_computes(space: shmspace.Space) -> None:
    store = space.store("s")

    @given(original=documents, patch=documents)
    def check(original: Any, patch: Any) -> None:
        store["k"] = original
        assert store.patch("k", patch).value == store["k"] == merged(original, patch)

    check()
