"""What is said about stores, from outside."""

from __future__ import annotations

from pathlib import Path

import pytest

import shmspace
from shmspace import errors
from shmspace.layout import read_space
from tests.helpers.region_bytes import RegionBytes, size_of

NAME = "jobs"


def stat(directory: Path, region: RegionBytes) -> dict[str, int]:
    region.write(directory, NAME)
    (structure,) = read_space(NAME, directory).structures
    return structure.stat


def test_keys_bytes_events_and_watches_are_counted(tmp_path: Path) -> None:
    region = RegionBytes()
    region.add_store(b"conf", values=(b"a", b"bb"), watches=3)
    assert stat(tmp_path, region) == {"keys": 2, "nbytes": 3, "shards": 1, "events": 2, "watchers": 3}


@pytest.mark.parametrize("shards", [0, 2**32 - 1])
def test_impossible_numbers_of_shards_are_damage(tmp_path: Path, shards: int) -> None:
    region = RegionBytes()
    region.add_store(b"conf", shards=shards)
    with pytest.raises(errors.Corrupted, match="shards"):
        stat(tmp_path, region)


def test_watches_in_a_circle_are_damage(tmp_path: Path) -> None:
    region = RegionBytes()
    main = region.add_store(b"conf", watches=2)
    claim = region.get("shm_store_shard", main + size_of("shm_store_main"), "claims")
    region.put("shm_claim", claim, next=claim)
    with pytest.raises(errors.Corrupted, match="cycle"):
        stat(tmp_path, region)


def test_a_live_store_is_read_as_it_tells_of_itself(space: shmspace.Space) -> None:
    st = space.store(shards=3)
    for number in range(100):
        st[f"k/{number}"] = bytes(number)
    with st.lock("k/1"), st.lock("none"), st.watch(), st.watch("k/*"):
        (found,) = read_space(space.name).structures
        told = st.stat()
    assert (found.kind, found.name) == ("store", "default")
    assert found.stat == {**told._asdict(), "shards": 3}
    assert told.watchers == 2
