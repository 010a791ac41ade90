"""Counting the words of a text: the work of the demo, the same in the workers and in the plain count."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

# Names and numbers as Python's tokenizer sees them. Longer words are counted in pieces: a count has a largest size.
_WORD = re.compile(r"[^\W\d]\w{0,255}|\d\w{0,255}")

# What a count costs in a message beside its word, at most: two headers and the number.
_OVERHEAD_BYTES = 14


def count_words(path: Path) -> Counter[str]:
    """Count the words of one file; one that cannot be read has none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Counter()
    return Counter(_WORD.findall(text))


def split_counts(counts: Mapping[str, int], part_bytes: int) -> Iterator[dict[str, int]]:
    """Cut counts into parts that take at most `part_bytes` in a message each; no counts are one empty part.

    >>> list(split_counts({"a": 1, "b": 2}, 20))
    [{'a': 1}, {'b': 2}]
    """
    part: dict[str, int] = {}
    room = part_bytes
    for word, count in counts.items():
        cost = len(word.encode()) + _OVERHEAD_BYTES
        if cost > room and part:
            yield part
            part, room = {}, part_bytes
        part[word] = count
        room -= cost
    yield part
