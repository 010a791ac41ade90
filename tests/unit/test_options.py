"""What each argument check takes, and how it refuses the rest."""

from __future__ import annotations

import fractions
import math
from datetime import datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shmspace import options
from shmspace.errors import InvalidName


@pytest.mark.parametrize(
    ("value", "size"),
    [
        (1, 1),
        ("4096", 4096),
        ("1k", 1024),
        ("64M", 64 << 20),
        ("1g", 1 << 30),
        (" 2T ", 2 << 40),
        (1 << 61, 1 << 61),
    ],
)
def test_a_size_is_a_number_or_a_text_with_a_unit(value: object, size: int) -> None:
    assert options.parse_size(value, what="size") == size


@pytest.mark.parametrize(
    "value",
    ["", "M", "1.5M", "-1", "1MB", "1 M", "1X", "\u0663M", "9" * 40, "99999999T", 0, -5, 1 << 62],
)
def test_a_size_that_means_nothing_is_a_value_error(value: object) -> None:
    with pytest.raises(ValueError, match="^size must be"):
        options.parse_size(value, what="size")


@pytest.mark.parametrize("value", [True, 1.0, None, b"1M"])
def test_a_size_of_another_type_is_a_type_error(value: object) -> None:
    with pytest.raises(TypeError, match="^size must be"):
        options.parse_size(value, what="size")


@pytest.mark.parametrize("name", ["a", "A.b_c-9", "_", "-x", "a" * 100])
def test_a_space_name_comes_back(name: str) -> None:
    assert options.check_space_name(name) == name


@pytest.mark.parametrize("name", ["", ".a", "..", "a/b", "a b", "a\n", "ä", "a" * 101, "a\0"])
def test_any_other_space_name_is_invalid(name: str) -> None:
    with pytest.raises(InvalidName, match="cannot name a space"):
        options.check_space_name(name)


def test_a_space_name_must_be_text() -> None:
    with pytest.raises(TypeError, match="must be str, not bytes"):
        options.check_space_name(b"a")


@pytest.mark.parametrize("name", ["a", "größe/1 *", b"abc", "x" * 255, "ü" * 127, "\u00a0", "\U0001f600"])
def test_a_structure_name_becomes_utf8(name: str | bytes) -> None:
    assert options.check_structure_name(name) == (name.encode() if isinstance(name, str) else name)


@pytest.mark.parametrize(
    "name",
    [
        "",
        b"",
        "x" * 256,
        "ü" * 128,
        "a\0",
        "\x1f",
        "\x7f",
        "\x80",
        "\x9f",
        b"\xff",
        b"\xc2\x85",
        "\ud800",
    ],
)
def test_any_other_structure_name_is_invalid(name: object) -> None:
    with pytest.raises(InvalidName, match="cannot name a structure"):
        options.check_structure_name(name)


@pytest.mark.parametrize("name", [None, 1, bytearray(b"a")])
def test_a_structure_name_must_be_text_or_bytes(name: object) -> None:
    with pytest.raises(TypeError, match="must be str or bytes"):
        options.check_structure_name(name)


@given(st.binary())
def test_a_name_is_shown_as_text_exactly_if_it_is_utf8(name: bytes) -> None:
    shown = options.name_to_str(name)
    assert (shown.encode() if isinstance(shown, str) else shown) == name
    try:
        name.decode()
    except UnicodeDecodeError:
        assert isinstance(shown, bytes)
    else:
        assert isinstance(shown, str)


@pytest.mark.parametrize("timeout", [0, 0.0, -0.0, 1, 2.5, fractions.Fraction(1, 2), 1e300])
def test_a_timeout_is_seconds(timeout: float) -> None:
    assert options.check_timeout(timeout) == float(timeout)


def test_no_timeout_stays_none() -> None:
    assert options.check_timeout(None) is None
    assert options.timeout_ns(None) == -1


@pytest.mark.parametrize("timeout", [-1, -1e-9, math.nan, math.inf, -math.inf, 10**400])
def test_a_negative_or_endless_timeout_is_a_value_error(timeout: float) -> None:
    for check in (options.check_timeout, options.timeout_ns):
        with pytest.raises(ValueError, match="^timeout must be"):
            check(timeout)


@pytest.mark.parametrize("timeout", [True, "1", b"1", [], 1j])
def test_a_timeout_that_is_no_number_is_a_type_error(timeout: object) -> None:
    for check in (options.check_timeout, options.timeout_ns):
        with pytest.raises(TypeError, match="^timeout must be"):
            check(timeout)


@given(st.floats(min_value=0, allow_nan=False, allow_infinity=False))
def test_a_timeout_in_nanoseconds_fits_and_never_becomes_zero_by_rounding(timeout: float) -> None:
    nanoseconds = options.timeout_ns(timeout)
    assert 0 <= nanoseconds <= 1 << 62
    assert (nanoseconds == 0) == (timeout == 0)


def test_a_choice_is_one_of_the_given() -> None:
    assert options.check_choice("all", what="delivery", choices=("one", "all")) == "all"
    with pytest.raises(ValueError, match="delivery must be one of 'one', 'all', not 'two'"):
        options.check_choice("two", what="delivery", choices=("one", "all"))
    with pytest.raises(TypeError, match="delivery must be str, not int"):
        options.check_choice(1, what="delivery", choices=("one", "all"))


def test_a_count_lies_between_its_bounds() -> None:
    assert [options.check_count(n, what="capacity", least=1, most=3) for n in (1, 3)] == [1, 3]
    for count in (0, 4, -1):
        with pytest.raises(ValueError, match=f"capacity must be from 1 to 3, not {count}"):
            options.check_count(count, what="capacity", least=1, most=3)
    for other in (True, 1.0, "1", None):
        with pytest.raises(TypeError, match="capacity must be a whole number"):
            options.check_count(other, what="capacity", least=1, most=3)


@given(st.datetimes(datetime(1700, 1, 1), datetime(2200, 1, 1), timezones=st.timezones()))
def test_a_time_is_exact_to_the_microsecond(moment: datetime) -> None:
    nanoseconds = options.time_ns(moment)
    assert nanoseconds % 1000 == 0
    exact = datetime(1970, 1, 1, tzinfo=timezone.utc) + timedelta(microseconds=nanoseconds // 1000)
    assert exact == moment.astimezone(timezone.utc)


def test_a_time_in_nanoseconds_stays_as_it_is() -> None:
    assert options.time_ns(1_700_000_000_123_456_789) == 1_700_000_000_123_456_789


@pytest.mark.parametrize("moment", [datetime(2024, 1, 1), datetime.max.replace(tzinfo=timezone.utc), 1 << 63])
def test_a_naive_or_distant_time_is_a_value_error(moment: object) -> None:
    with pytest.raises(ValueError, match="^the time "):
        options.time_ns(moment)


@pytest.mark.parametrize("moment", [1.5, True, None, "now"])
def test_a_time_of_another_type_is_a_type_error(moment: object) -> None:
    with pytest.raises(TypeError, match="^a time must be"):
        options.time_ns(moment)
