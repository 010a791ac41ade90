"""Numbers, names and tables as people read them."""

from __future__ import annotations

import time

import pytest

from shmspace.cli.output import human_age, human_seconds, human_size, one_line, print_table, printable


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0"),
        (1023, "1023"),
        (1024, "1K"),
        (1025, "1K"),
        (1536, "1.5K"),
        ((1 << 20) - 1, "1M"),
        (64 << 20, "64M"),
        (1 << 30, "1G"),
        (5 << 40, "5T"),
        (5000 << 40, "5000T"),
    ],
)
def test_a_size_is_written_as_it_is_given(size_bytes: int, text: str) -> None:
    assert human_size(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (0.9, "0 s"), (59.9, "59 s"), (60, "1 min"), (3599, "59 min"), (3600, "1 h"), (200_000, "2 d")],
)
def test_a_time_span_is_written_in_its_largest_unit(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


def test_an_age_counts_from_its_time_stamp_and_is_a_dash_without_one() -> None:
    assert human_age(time.time_ns() - 7_200_000_000_000) == "2 h"
    assert human_age(0) == "-"


def test_control_characters_do_not_reach_the_terminal() -> None:
    assert printable("\x1b]0;x\x07ü\n\x9b") == "\\x1b]0;x\\x07ü\\n\\x9b"
    assert one_line("a\n  b\tc\x00") == "a b c\\x00"


def test_a_table_without_a_terminal_has_one_whole_line_per_row(capsys: pytest.CaptureFixture[str]) -> None:
    print_table(["name", "n"], [["x" * 300, "1"], ["[bold]a\nb", "10"]], right=["n"])
    assert capsys.readouterr().out.splitlines() == [
        "name".ljust(300) + "   n",
        "x" * 300 + "   1",
        "[bold]a\\nb".ljust(300) + "  10",
    ]
