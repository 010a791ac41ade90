"""What the demo is made of: finding text, counting words, adding counts up, following them."""

from __future__ import annotations

import contextlib
import itertools
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import pytest

import shmspace
from shmspace.cli.demo.corpus import default_root, find_corpus
from shmspace.cli.demo.index import count_files, index_alone
from shmspace.cli.demo.live import LiveCounts
from shmspace.cli.demo.merge import Merger, open_counts, totals
from shmspace.cli.demo.tally import Tally
from shmspace.cli.demo.tokens import count_words
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


def test_a_file_is_done_when_a_worker_has_said_so() -> None:
    tally = Tally({"a": 10, "b": 20})
    tally.take({"worker": 1, "event": "ready"})
    assert tally.worker(1).state == "waiting"
    tally.take({"worker": 1, "event": "start", "file": "a"})
    assert (tally.worker(1).state, tally.worker(1).current) == ("working", "a")
    assert (tally.done, tally.done_bytes) == (set(), 0)
    tally.take({"worker": 1, "event": "done", "file": "a"})
    assert (tally.done, tally.done_bytes) == ({"a"}, 10)
    assert (tally.worker(1).state, tally.worker(1).current, tally.worker(1).done) == ("waiting", None, 1)
    assert tally.messages == 3


def test_a_file_that_is_done_twice_counts_once() -> None:
    tally = Tally({"a": 1})
    for worker in (1, 2):
        tally.take({"worker": worker, "event": "start", "file": "a"})
        tally.take({"worker": worker, "event": "done", "file": "a"})
    assert tally.done_bytes == 1


WORDS = {f"word{n}": n + 1 for n in range(20)} | {"größe": 3}


def test_counts_of_all_workers_are_added_up(space: shmspace.Space) -> None:
    for number in (1, 2):
        merger = Merger(space, number)
        for name in ("a/b *.txt", ""):
            merger.merge(f"{number}{name}", WORDS)
            assert merger.is_done(f"{number}{name}")
        assert not merger.is_done("other")
    assert totals(open_counts(space)) == {word: 4 * count for word, count in WORDS.items()}


@pytest.mark.parametrize("added", [0, 1, 7, len(WORDS)])
def test_what_a_dead_worker_had_begun_to_add_is_finished_once(
    space: shmspace.Space, monkeypatch: pytest.MonkeyPatch, added: int
) -> None:
    first = Merger(space, 1)
    first.merge("before", {"word3": 5})
    calls = itertools.count()

    def incr(key: str, by: int) -> int:
        if next(calls) == added:
            raise KeyboardInterrupt
        return int(open_counts(space).incr(key, by))

    monkeypatch.setattr(first, "_store", SimpleNamespace(set=first._store.set, incr=incr))
    with contextlib.suppress(KeyboardInterrupt, AttributeError):  # it dies before it can end
        first.merge("file", WORDS)
    second = Merger(space, 2)
    assert second.is_done("file")
    assert second.is_done("file")
    assert totals(open_counts(space)) == Counter(WORDS) + Counter({"word3": 5})


def test_a_few_words_are_followed_while_they_rise(space: shmspace.Space) -> None:
    live, merger = LiveCounts(open_counts(space), lambda: [1]), Merger(space, 1)
    live.follow()
    assert live.most() == []
    merger.merge("a", {"x": 2, "y": 3})
    live.follow()
    assert live.most() == [("y", 3), ("x", 2)]
    merger.merge("b", {"x": 5, "z": 100})
    live.follow()
    assert live.most() == [("x", 7), ("y", 3)]
    for number in range(20_000):  # more than is remembered
        merger._store.incr("tokens/1/x", number % 2)
    live.follow()
    assert live.most()[0] == ("x", 10_007)
    live.close()
