"""How much of a region is in use, from the counts of its size classes and the words of its pages."""

from __future__ import annotations

import struct
from collections.abc import Iterator

from .header import CLASSES, PAGE_WORDS, POOL
from .region import Region
from .tables import Record, constant, struct_bytes

_WORD_BYTES = 8
_WORDS_AT_ONCE = 4096
_LOST_PAGES_MOST = 1 << 16


def used_bytes(region: Region) -> int:
    """Give the bytes in use: what the space needs for itself, blocks, and spans of one block.

    The counts are hints, so it may be wrong for a while, but never more than the size.
    """
    in_blocks = sum(row.word("used_blocks") * row.word("stride_bytes") for row in _classes(region))
    in_huge = sum(_huge_spans(region)) * constant("SHM_PAGE_BYTES")
    return min(region.pages_offset + in_blocks + in_huge, region.size_bytes)


def _classes(region: Region) -> Iterator[Record]:
    section, size = region.header.sections[CLASSES], struct_bytes("shm_class")
    start = section.word("offset")
    for place in range(start, start + section.word("count") * size, size):
        yield region.record("shm_class", place, "the class table")


def _huge_spans(region: Region) -> Iterator[int]:
    """Give the pages of each span that has a single block.

    It goes from head to head of runs and spans. Where these change under it, it may come to a page that is no head, and
    goes on page by page; many of them in a row end the walk, since a damaged count may be as large as it likes.
    """
    section = region.header.sections[PAGE_WORDS]
    pool = region.record("shm_pool", region.header.sections[POOL].word("offset"), "the page pool")
    top = min(pool.word("top_pages"), section.word("count"))
    run, span, huge = (constant(f"SHM_{name}") for name in ("PAGE_RUN", "PAGE_SPAN", "CLASS_HUGE"))
    state_bit, class_bit = constant("SHM_PAGE_STATE_BIT"), constant("SHM_PAGE_CLASS_BIT")
    page = first = lost = 0
    words: tuple[int, ...] = ()
    while page < top and lost < _LOST_PAGES_MOST:
        if page - first >= len(words):
            first, count = page, min(_WORDS_AT_ONCE, top - page)
            place = section.word("offset") + first * _WORD_BYTES
            words = struct.unpack(f"<{count}Q", region.read(place, count * _WORD_BYTES, "the page words"))
        word = words[page - first]
        state, size_class, pages = word >> state_bit, word >> class_bit & 0xFF, word & 0xFFFFFFFF
        is_head = state in (run, span) and 0 < pages <= top - page
        if is_head and (state, size_class) == (span, huge):
            yield pages
        lost = 0 if is_head else lost + 1
        page += pages if is_head else 1
