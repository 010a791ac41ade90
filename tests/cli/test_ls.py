"""`shmspace ls`."""

from __future__ import annotations

from pathlib import Path

import shmspace
from tests.cli.shell import run


def test_a_space_is_listed_where_it_is_and_nowhere_else(space: shmspace.Space, tmp_path: Path) -> None:
    assert space.name in [found["name"] for found in run("ls", "--json").document]
    assert run("ls", "--directory", tmp_path, "--json").document == []


def test_the_document_has_the_numbers_of_each_space(space_name: str, tmp_path: Path) -> None:
    with shmspace.open(space_name, size="2M", directory=tmp_path) as space:
        space.channel("a").reader().close()
        space.channel("b").reader().close()
        listed = run("ls", "--directory", tmp_path, "--json")
        (found,) = listed.document
        stat = space.stat()
        space.destroy()
    assert (listed.code, listed.err) == (0, "")
    assert list(found) == [
        *("name", "path", "size", "committed", "used", "members", "structures", "created", "state", "detail")
    ]
    assert (found["name"], found["path"]) == (space_name, str(tmp_path / f"shmspace.{space_name}"))
    assert (found["size"], found["members"], found["structures"], found["state"]) == (2 << 20, 1, 2, "ok")
    assert found["committed"] == stat.committed
    assert found["created"] > 0


def test_people_get_a_table_with_one_line_per_space_sorted_by_name(tmp_path: Path) -> None:
    for name in ("b", "a"):
        shmspace.open(name, size="1M", directory=tmp_path).close()
    listed = run("ls", "--directory", tmp_path)
    assert (listed.code, listed.err) == (0, "")
    headings, *rows = listed.lines
    assert headings.split() == ["name", "size", "committed", "members", "structures", "age", "state"]
    assert [row.split()[0] for row in rows] == ["a", "b"]
    assert [row.split()[1] for row in rows] == ["1M", "1M"]
    assert [row.split()[3] for row in rows] == ["0", "0"]


def test_a_damaged_space_is_listed_with_what_is_wrong(tmp_path: Path) -> None:
    shmspace.open("good", size="1M", directory=tmp_path).close()
    (tmp_path / "shmspace.bad").write_bytes(b"junk" * 5000)
    listed = run("ls", "--directory", tmp_path)
    assert listed.code == 0
    assert len(listed.lines) == 3
    bad = next(row for row in listed.lines if row.startswith("bad "))
    assert "not a space" in bad
    states = {found["name"]: found["state"] for found in run("ls", "--directory", tmp_path, "--json").document}
    assert states == {"good": "ok", "bad": "not a space"}


def test_listing_attaches_to_nothing(space: shmspace.Space) -> None:
    before = space.stat()
    run("ls")
    after = space.stat()
    assert (after.members, after.recoveries) == (before.members, before.recoveries)
