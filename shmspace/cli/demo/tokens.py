"""Counting the words of a text: the work of the demo, the same in the workers and in the plain count."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

# Names and numbers as Python's tokenizer sees them. Longer words are counted in pieces: a count has a largest size.
_WORD = re.compile(r"[^\W\d]\w{0,255}|\d\w{0,255}")


def count_words(path: Path) -> Counter[str]:
    """Count the words of one file; one that cannot be read has none."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return Counter()
    return Counter(_WORD.findall(text))

