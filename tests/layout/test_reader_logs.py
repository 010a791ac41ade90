"""What is said about logs, from outside."""

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


def test_records_are_counted(tmp_path: Path) -> None:
    region = RegionBytes()
    region.add_log(b"audit", (b"a", b"bb"), start_offset=100)
    found = stat(tmp_path, region)
    assert found == {
        "segments": 1,
        "records": 2,
        "nbytes": 131,
        "first": 100,
        "next_offset": 102,
        "durable_offset": 100,
    }


@pytest.mark.parametrize("field", ["shards", "segment_size"])
@pytest.mark.parametrize("value", [0, 2**32 - 1])
def test_impossible_numbers_of_shards_are_damage(tmp_path: Path, field: str, value: int) -> None:
    region = RegionBytes()
    main = region.add_log(b"audit", (b"a",))
    region.put("shm_log_main", main, **{field: value})
    region.write(tmp_path, NAME)
    if (field, value) == ("segment_size", 2**32 - 1):
        assert stat(tmp_path, region)["records"] == 1
    else:
        with pytest.raises(errors.Corrupted):
            read_space(NAME, tmp_path)


def test_an_append_under_way_shows_nothing_before_the_first(tmp_path: Path) -> None:
    """While the last segment but one is dropped, the first record may already lie beyond the last."""
    region = RegionBytes()
    main = region.add_log(b"audit", (b"a",))
    region.put("shm_log_shard", main + size_of("shm_log_main"), first=7)
    found = stat(tmp_path, region)
    assert (found["first"], found["next_offset"], found["segments"]) == (1, 1, 1)


def test_a_live_log_is_seen_as_it_sees_itself(space: shmspace.Space) -> None:
    log = space.log("audit", segment_size=10)
    for number in range(25):
        log.append(bytes(number), key="k")
    log.delete([17, 19])
    events = space.sharded_log("events", shards=3, segment_size=4)
    for number in range(30):
        events.append(f"{number}", b"x" * 100)
    found = {structure.name: structure.stat for structure in read_space(space.name).structures}
    assert found == {"audit": log.stat()._asdict(), "events": events.stat()._asdict()}
