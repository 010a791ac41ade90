"""What the demo is made of: finding text, counting words, cutting counts into messages, merging them."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from shmspace.cli.demo.corpus import default_root, find_corpus
from shmspace.cli.demo.index import count_files, index_alone
from shmspace.cli.demo.tally import Tally
from shmspace.cli.demo.tokens import count_words, split_counts
from shmspace.cli.refusal import Refusal
from tests.cli.trees import grow, words_of


def test_only_text_is_found_the_largest_file_first(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("small")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub/b.py").write_text("larger = 'grün'")
    (tmp_path / "latin.txt").write_bytes("grün".encode("latin-1"))
    (tmp_path / "zero.bin").write_bytes(b"text\0")
    (tmp_path / "empty").touch()
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__/c.txt").write_text("cached")
    (tmp_path / "link.txt").symlink_to("a.txt")
    corpus = find_corpus(tmp_path)
    assert list(corpus.sizes.items()) == [("sub/b.py", 16), ("a.txt", 5)]
    assert corpus.nbytes == 21
    assert corpus.skipped == 3


def test_a_name_that_is_no_text_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "b\udcff.txt").write_text("y")
    assert list(find_corpus(tmp_path).sizes) == ["a.txt"]


def test_a_tree_without_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="no text"):
        find_corpus(tmp_path)


def test_the_default_is_the_standard_library() -> None:
    assert (default_root() / "os.py").is_file()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", {}),
        ("+ - = ()", {}),
        ("a = a + b2", {"a": 2, "b2": 1}),
        ("x1 1x 12 _y", {"x1": 1, "1x": 1, "12": 1, "_y": 1}),
        ("grün größe", {"grün": 1, "größe": 1}),
        ("a" * 600, {"a" * 256: 2, "a" * 88: 1}),
    ],
)
def test_words_are_names_and_numbers(text: str, words: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "text").write_text(text, encoding="utf-8")
    assert count_words(tmp_path / "text") == words


def test_a_file_that_is_gone_has_no_words(tmp_path: Path) -> None:
    assert count_words(tmp_path / "gone") == {}


def test_the_plain_count_is_what_another_way_of_counting_gives(tmp_path: Path) -> None:
    corpus = find_corpus(grow(tmp_path, files=7, words=300))
    words, seconds = index_alone(corpus)
    assert words == words_of(tmp_path)
    assert seconds > 0
    assert count_files(corpus, []) == {}


@pytest.mark.parametrize("part_bytes", [1, 20, 100, 10_000])
def test_parts_are_small_enough_and_together_are_the_whole(part_bytes: int) -> None:
    counts = Counter({f"wörd{n}" * (n % 5): n for n in range(1, 200)})
    parts = list(split_counts(counts, part_bytes))
    assert sum(map(Counter, parts), Counter[str]()) == counts
    assert all(len(part) == 1 or sum(len(word.encode()) + 14 for word in part) <= part_bytes for part in parts)


def test_no_counts_are_still_a_part() -> None:
    assert list(split_counts({}, 100)) == [{}]


def test_a_file_counts_only_when_it_is_done() -> None:
    tally = Tally({"a": 10, "b": 20})
    tally.take({"worker": 1, "event": "ready"})
    assert tally.worker(1).state == "waiting"
    tally.take({"worker": 1, "event": "start", "file": "a"})
    assert (tally.worker(1).state, tally.worker(1).current) == ("working", "a")
    tally.take({"worker": 1, "event": "part", "file": "a", "counts": {"x": 1}})
    assert (tally.words, tally.done, tally.done_bytes) == ({}, set(), 0)
    tally.take({"worker": 1, "event": "done", "file": "a", "counts": {"x": 2, "y": 1}})
    assert (tally.words, tally.done, tally.done_bytes) == ({"x": 3, "y": 1}, {"a"}, 10)
    assert (tally.worker(1).state, tally.worker(1).current, tally.worker(1).done) == ("waiting", None, 1)
    assert tally.messages == 4


def test_workers_do_not_mix_their_parts() -> None:
    tally = Tally({"a": 1, "b": 1})
    for worker, name in ((1, "a"), (2, "b")):
        tally.take({"worker": worker, "event": "start", "file": name})
        tally.take({"worker": worker, "event": "part", "file": name, "counts": {name: 1}})
    tally.take({"worker": 2, "event": "done", "file": "b", "counts": {}})
    assert tally.words == {"b": 1}


def test_a_file_that_is_done_twice_counts_once() -> None:
    tally = Tally({"a": 1})
    for worker in (1, 2):
        tally.take({"worker": worker, "event": "start", "file": "a"})
        tally.take({"worker": worker, "event": "done", "file": "a", "counts": {"x": 1}})
    assert (tally.words, tally.done_bytes) == ({"x": 1}, 1)


def test_what_a_dead_worker_said_of_a_file_does_not_count() -> None:
    tally = Tally({"a": 1})
    tally.take({"worker": 1, "event": "start", "file": "a"})
    tally.take({"worker": 1, "event": "part", "file": "a", "counts": {"x": 1}})
    tally.take({"worker": 2, "event": "start", "file": "a"})
    tally.take({"worker": 2, "event": "done", "file": "a", "counts": {"x": 1}})
    assert tally.words == {"x": 1}
