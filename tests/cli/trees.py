"""Trees of text for the demo to index, and what is in them by another way of counting."""

from __future__ import annotations

import random
import re
from collections import Counter
from pathlib import Path


def grow(root: Path, *, files: int, words: int, seed: int = 7) -> Path:
    """Write so many files of so many words each, in a few folders."""
    source = random.Random(seed)
    vocabulary = [f"word_{n}" for n in range(2000)]
    texts = [" ".join(source.choices(vocabulary, k=words)) for _ in range(min(files, 5))]
    for number in range(files):
        path = root / f"folder{number % 3}" / f"text{number}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(texts[number % len(texts)])
    return root


def words_of(root: Path) -> Counter[str]:
    """Count the words of all files below; only for text made of plain words."""
    words: Counter[str] = Counter()
    for path in root.rglob("*.txt"):
        words.update(re.findall(r"\S+", path.read_text()))
    return words
