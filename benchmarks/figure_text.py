"""Figure text: one number with its unit, short enough for a table and a bar."""

from __future__ import annotations

_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def text_of(value: float, unit: str) -> str:
    """Three digits and the unit: `2.05 M/s`, `0.86 us`, `0.3 %`."""
    if unit.endswith("/s"):
        short = "" if unit == "messages/s" else f" {unit.removesuffix('/s')}"
        for size, prefix in _PREFIXES:
            if value >= size:
                return f"{_three_digits(value / size)} {prefix}{short}/s"
        return f"{_three_digits(value)}{short}/s"
    if unit.startswith("%"):
        return f"{value:.2f} %"
    return f"{_three_digits(value)} {unit}".rstrip()


def _three_digits(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"
