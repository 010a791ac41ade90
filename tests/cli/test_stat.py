"""`shmspace stat`."""

from __future__ import annotations

import shmspace
from tests.cli.shell import run


def test_the_document_has_the_stat_of_every_structure(space: shmspace.Space) -> None:
    jobs = space.channel("jobs", capacity=7)
    jobs.send_many(["a", "b", "c"])
    jobs.recv()
    looked = run("stat", space.name, "--json")
    assert (looked.code, looked.err) == (0, "")
    document = looked.document
    assert (document["name"], document["state"], document["size"]) == (space.name, "ok", space.size)
    (found,) = document["structures"]
    assert (found["kind"], found["name"]) == ("channel", "jobs")
    assert found["stat"]["waiting"] == 2
    assert found["stat"]["capacity"] == 7
    assert found["stat"]["sent"] == 3
    assert found["stat"]["received"] == 1
    assert set(found["stat"]) == set(jobs.stat()._fields)


def test_a_structure_may_be_named(space: shmspace.Space) -> None:
    for name in ("jobs", "done"):
        space.channel(name).reader().close()
    document = run("stat", space.name, "jobs", "--json").document
    assert [found["name"] for found in document["structures"]] == ["jobs"]
    assert document["name"] == space.name


def test_people_get_the_space_in_a_line_and_a_table_per_kind(space: shmspace.Space) -> None:
    space.channel("jobs", capacity=7).send("x")
    looked = run("stat", space.name)
    assert looked.code == 0
    first, empty, headings, row = looked.lines
    assert first.startswith(f"{space.name}: ")
    assert "1 member, 1 structure" in first
    assert empty == ""
    cells = dict(zip(headings.split(), row.split(), strict=True))
    assert (cells["channel"], cells["waiting"], cells["capacity"], cells["sent"]) == ("jobs", "1", "7", "1")


def test_a_structure_that_is_not_there_is_refused(space: shmspace.Space) -> None:
    refused = run("stat", space.name, "nothing")
    assert (refused.code, refused.out) == (1, "")
    assert "nothing" in refused.error
