"""The keys and values of stores, read from outside."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

import shmspace
from shmspace import errors
from shmspace.layout import read_items
from tests.helpers.region_bytes import STRUCTS, C, RegionBytes, overwrite, size_of

NAME = "jobs"


def test_a_live_store_is_read_as_it_reads_itself(space: shmspace.Space) -> None:
    st = space.store("conf", shards=3, codec="raw")
    for number in range(60):
        st[f"k/{number}"] = bytes([number]) * (number * 9)
    for number in range(0, 60, 3):
        st[f"k/{number}"] = b"again" * number
    del st["k/7"], st["k/12"]
    found = {item.key.decode(): item for item in read_items(space.name, "conf")}
    told = {
        entry.key: (entry.value, entry.created, entry.updated, entry.version) for entry in map(st.get, found) if entry
    }
    assert {key: (item.value, item.created, item.updated, item.version) for key, item in found.items()} == told
    assert set(told) == set(st)
    assert [bool(found[key].updated) for key in ("k/3", "k/4")] == [True, False]


def test_a_store_that_is_not_there_is_not_found(space: shmspace.Space) -> None:
    with pytest.raises(errors.NotFound, match="other"):
        read_items(space.name, "other")


def test_values_are_whole_while_they_change(space: shmspace.Space) -> None:
    st = space.store(shards=1, codec="raw")
    is_over = threading.Event()

    def work() -> None:
        number = 0
        while not is_over.is_set():
            number += 1
            st[f"k{number % 20}"] = bytes([number % 251]) * (1 + number % 400)
            if number % 7 == 0:
                st.pop(f"k{number % 20}", None)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        seen = [item for _ in range(20) for item in read_items(space.name)]
    finally:
        is_over.set()
        worker.join()
    assert seen
    assert all(len(set(item.value)) == 1 and item.key.startswith(b"k") for item in seen)


@pytest.fixture
def region() -> tuple[RegionBytes, int, int]:
    """A store with one key, "k"; where its shard and its item are."""
    region = RegionBytes()
    main = region.add_store(b"conf", values=(b"",))
    shard = main + size_of("shm_store_main")
    item = region.get("shm_shard", shard + int(STRUCTS["shm_store_shard"]["table"]["offset"]), "first")
    region.put("shm_key", item, hash=1 << 20, length=1)
    region.data[item + size_of("shm_item")] = ord("k")
    return region, shard, item


def test_what_is_being_changed_is_as_the_shard_tells(region: tuple[RegionBytes, int, int], tmp_path: Path) -> None:
    data, shard, item = region
    data.put("shm_item", item, word=3)
    data.put(
        "shm_store_shard", shard, changing=item, change=C["SHM_CHANGE_SET"], version=9, length_bytes=3, data=b"new"
    )
    data.write(tmp_path, NAME)
    (found,) = read_items(NAME, "conf", tmp_path)
    assert (found.key, found.value, found.version) == (b"k", b"new", 9)


def test_who_stands_still_in_a_change_of_the_list_hides_nothing(
    region: tuple[RegionBytes, int, int], tmp_path: Path
) -> None:
    data, shard, _ = region
    data.put("shm_shard", shard + int(STRUCTS["shm_store_shard"]["table"]["offset"]), changes=5)
    data.write(tmp_path, NAME)
    assert [item.key for item in read_items(NAME, "conf", tmp_path)] == [b"k"]


def test_an_item_of_somebody_else_is_not_the_stores(region: tuple[RegionBytes, int, int], tmp_path: Path) -> None:
    data, _, item = region
    path = data.write(tmp_path, NAME)
    overwrite(path, item - C["SHM_BLOCK_HEADER_BYTES"], (C["SHM_BLOCK_HELD"] << 60 | 1 << 32 | 1).to_bytes(8, "little"))
    assert read_items(NAME, "conf", tmp_path) == []


@pytest.mark.parametrize(
    ("struct", "fields"),
    [
        ("shm_key", {"length": 2**32 - 1}),
        ("shm_item", {"length_bytes": 2**63}),
        ("shm_item", {"length_bytes": 5000}),
        ("shm_item", {"block": 2**63}),
        ("shm_item", {"block": 16, "length_bytes": 1}),
    ],
)
def test_impossible_values_are_damage(
    region: tuple[RegionBytes, int, int], tmp_path: Path, struct: str, fields: dict[str, int]
) -> None:
    data, _, item = region
    data.put(struct, item, **fields)
    data.write(tmp_path, NAME)
    with pytest.raises(errors.Corrupted):
        read_items(NAME, "conf", tmp_path)


def test_keys_in_a_circle_are_damage(region: tuple[RegionBytes, int, int], tmp_path: Path) -> None:
    data, _, item = region
    data.put("shm_key", item, next=item)
    data.write(tmp_path, NAME)
    with pytest.raises(errors.Corrupted, match="cycle"):
        read_items(NAME, "conf", tmp_path)
