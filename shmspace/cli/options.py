"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from shmspace.options import check_timeout, parse_size

_F = TypeVar("_F", bound=Callable[..., Any])


def directory_option(command: _F) -> _F:
    """Add ``--directory``: where the region files are, as in `shmspace.open`."""
    return click.option(
        "--directory",
        type=click.Path(exists=True, file_okay=False),
        help="Where the region files are, instead of POSIX shared memory (/dev/shm).",
    )(command)


def create_option(command: _F) -> _F:
    """Add ``--create``: without it a misspelt name is an error, not a new space or structure."""
    return click.option(
        "--create", is_flag=True, help="Make the space and the structure, with default options, if they are missing."
    )(command)


def json_option(text: str) -> Callable[[_F], _F]:
    """Add ``--json``; `text` says what it does there."""
    return click.option("--json", "as_json", is_flag=True, help=text)


def timeout_option(text: str) -> Callable[[_F], _F]:
    """Add ``--timeout``, 0 or more seconds; `text` says what it bounds there."""
    return click.option("--timeout", metavar="S", callback=_seconds, help=text)


def size_option(flag: str, *, default: str, text: str) -> Callable[[_F], _F]:
    """Add an option that is a number of bytes, also as ``64M`` or ``1G``."""
    return click.option(flag, metavar="SIZE", default=default, show_default=True, callback=_size, help=text)


document_option = json_option("Print one JSON document.")


def _seconds(context: click.Context, option: click.Parameter, value: str | None) -> float | None:
    try:
        return None if value is None else check_timeout(float(value))
    except ValueError:
        raise click.BadParameter(f"{value!r} is not 0 or a positive, finite number of seconds") from None


def _size(context: click.Context, option: click.Parameter, value: str) -> int:
    try:
        return parse_size(value, what="the size")
    except ValueError as error:
        raise click.BadParameter(str(error)) from None
