"""Whatever bytes a region has, its users get answers: an error that is documented, or right behaviour, or a repair.

Never a signal, a call that hangs, or a look outside of the region (guard pages around it, AddressSanitizer and
UndefinedBehaviorSanitizer notice). The region has a bit of everything in it, and two dead members; flip.c sets one
control word at a time to extremes, or flips a bit of it, and uses the region from processes that come and that stay.
SHMSPACE_ALL_BITS=1 leaves nothing out, and takes an hour. fuzz_open.c damages many bytes at once, led by libFuzzer.
"""

from __future__ import annotations

import functools
import os
import random
from pathlib import Path

import pytest

from tests.helpers import csanitize
from tests.helpers.control_words import Walk, Word
from tests.helpers.csanitize import FLAVOURS
from tests.helpers.leftovers import SHM, unique_name
from tests.helpers.region_bytes import C

ALL_BITS = os.environ.get("SHMSPACE_ALL_BITS", "0") != "0"
ENDS_S = 14_000 if ALL_BITS else 300
PARTS = 4
"""Each is a test, so that several processes can share the work."""
EXTREMES = 0
STRIDE = 1 if ALL_BITS else 89
"""Of all bits of important words; it divides no width."""
EVERY_LIVE = 1 if ALL_BITS else 6
MANY = ("shm_block", "shm_cell", "shm_waiter", "shm_fifo_", "shm_segment", "shm_key", "shm_slot")
"""Kinds of which there are many."""
EVERY_OF_MANY = 1 if ALL_BITS else 3
EVERY_PLAIN = 1 if ALL_BITS else 199
FUZZ_S = int(os.environ.get("SHMSPACE_FUZZ_SECONDS", "600" if ALL_BITS else "5"))
CHANGES_BYTES = 1 + 32 * 13
HANGS_S = 20

pytestmark = pytest.mark.timeout(ENDS_S + 100)


@functools.cache
def flip() -> Path:
    """Build it with all that watches, as far as a compiler here can."""
    flavour = FLAVOURS["asan"] if csanitize.can_build(FLAVOURS["asan"]) else FLAVOURS["plain"]
    return csanitize.build(flavour, [csanitize.CORRUPT / "flip.c"])["flip"]


def make_region(name: str) -> list[Word]:
    """Make a region with all kinds of things in it; its control words."""
    made = csanitize.run(flip(), ["make", str(SHM), name])
    assert made.passed, made.text
    return Walk((SHM / f"shmspace.{name}").read_bytes()).words()


def important(words: list[Word]) -> list[Word]:
    """Leave out the plain ones, and some of those of which there are many."""
    chosen = [word for word in words if not word.is_plain]
    many = [word for word in chosen if word.label.startswith(MANY)]
    left_out = set(many) - set(many[::EVERY_OF_MANY])
    return [word for word in chosen if word not in left_out]


def survive(how: str, stride: int, name: str, words: list[Word], directory: Path) -> None:
    """Change each of the words."""
    assert words
    targets = directory / "targets"
    targets.write_text("".join(word.line() for word in words))
    try:
        outcome = csanitize.run(flip(), [how, str(stride), str(SHM), name, str(targets)], ENDS_S)
    finally:
        (SHM / f"shmspace.{name}").unlink(missing_ok=True)
    assert outcome.passed, outcome.text


@pytest.mark.parametrize("part", range(PARTS))
def test_who_comes_to_a_word_set_to_extremes_gets_an_answer(part: int, tmp_path: Path) -> None:
    name = unique_name("flip")
    words = important(make_region(name))
    survive("copy", EXTREMES, name, words[part::PARTS], tmp_path)


@pytest.mark.parametrize("part", range(PARTS))
def test_who_is_there_when_a_word_is_set_to_extremes_gets_an_answer(part: int, tmp_path: Path) -> None:
    name = unique_name("flip")
    words = important(make_region(name))
    survive("live", EXTREMES, name, words[part :: PARTS * EVERY_LIVE], tmp_path)


@pytest.mark.parametrize("how", ["copy", "live"])
@pytest.mark.parametrize("part", range(PARTS))
def test_a_bit_flipped_in_a_word_gives_an_answer(part: int, how: str, tmp_path: Path) -> None:
    name = unique_name("flip")
    words = important(make_region(name))
    survive(how, STRIDE, name, words[part::PARTS], tmp_path)


def test_words_that_stand_for_many_do_no_more_harm(tmp_path: Path) -> None:
    name = unique_name("flip")
    words = [word for word in make_region(name) if word.is_plain]
    survive("copy", EXTREMES, name, words[::EVERY_PLAIN], tmp_path)


def test_the_region_has_control_words_of_every_kind() -> None:
    name = unique_name("flip")
    words = make_region(name)
    (SHM / f"shmspace.{name}").unlink()
    kinds = {word.label.partition(".")[0].partition("#")[0].partition("(")[0] for word in words if not word.is_plain}
    assert kinds >= {
        *("shm_header", "shm_section", "shm_member", "shm_directory", "shm_class", "shm_pool", "page_word"),
        *("shm_block", "free_link", "shm_entry", "shm_ring", "shm_slot", "shm_port", "shm_mutex"),
        *("shm_queue_main", "shm_lane", "shm_fifo_in", "shm_fifo_out", "shm_fifo_line", "shm_segment", "shm_cell"),
        *("shm_waiter", "shm_tuples_main", "shm_shard", "shm_buckets", "chain", "shm_key"),
        *("shm_log_main", "shm_log_shard", "shm_record", "bucket"),
        *("shm_store_main", "shm_store_shard", "shm_item", "order", "shm_feed", "shm_claim"),
    }
    labels = {word.label for word in words}
    assert {"shm_ring(one).producer_lock", "shm_ring(all).ports", "shm_mutex(l).word"} <= labels
    assert {"shm_log_shard(log)#0.tail", "shm_log_shard(shards)#1.slots_block", "shm_record(log)#0#7.word"} <= labels
    assert {"shm_store_shard(store)#0.changing", "shm_shard(store)#1.first"} <= labels
    assert all(word.offset + word.size_bytes <= C["SHM_SIZE_LEAST"] for word in words)


def test_a_fuzzer_finds_no_bytes_that_harm(tmp_path: Path) -> None:
    flavour = FLAVOURS["fuzz"]
    if not csanitize.can_build(flavour):
        pytest.skip("no libFuzzer here, Debian package: clang")
    program = csanitize.build(flavour, [csanitize.CORRUPT / "fuzz_open.c"])["fuzz_open"]
    seed = int(os.environ.get("SHMSPACE_SEED", random.randrange(1, 1 << 31)))
    print(f"SHMSPACE_SEED={seed}")
    arguments = [
        *(f"-max_total_time={FUZZ_S}", f"-timeout={HANGS_S}", f"-seed={seed}", f"-max_len={CHANGES_BYTES}"),
        *("-len_control=0", f"-artifact_prefix={tmp_path}/", "-print_final_stats=1"),
    ]
    name = unique_name("fuzz")
    outcome = csanitize.run(
        program, arguments, FUZZ_S + 5 * HANGS_S, SHMSPACE_FUZZ_DIRECTORY=str(SHM), SHMSPACE_FUZZ_NAME=name
    )
    (SHM / f"shmspace.{name}").unlink(missing_ok=True)
    inputs = {path.name: path.read_bytes().hex() for path in tmp_path.iterdir()}
    assert outcome.passed, f"{inputs}\n{outcome.text[-8000:]}"
    assert "Done" in outcome.text
