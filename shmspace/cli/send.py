"""`shmspace send`: messages from arguments or standard input into a channel."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import click

import shmspace
from shmspace.cli.channel import open_channel, open_space
from shmspace.cli.options import create_option, directory_option, json_option, timeout_option
from shmspace.cli.output import plural
from shmspace.cli.refusal import Misuse, Refusal
from shmspace.cli.value import from_json
from shmspace.errors import CodecError, Timeout


@click.command()
@click.argument("name")
@click.argument("channel")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@timeout_option("Wait at most S seconds for room for each message; 0 does not wait. Without it: for ever.")
@create_option
@directory_option
@json_option('Parse each value as JSON; {"base64": "..."} is bytes.')
def send(
    name: str,
    channel: str,
    values: tuple[str, ...],
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Send each VALUE, or each line of standard input if none is given, to CHANNEL of the space NAME.

    A value is sent as text; a channel that takes only bytes gets its UTF-8 bytes, and text that is not UTF-8 is sent as
    bytes. The messages go out one by one: when one is refused, those before it have been sent.
    """
    # All arguments are looked at before the first is sent; standard input cannot wait for its own end.
    ready: Iterable[Any] = _parsed(values, as_json) if values else _lines(as_json)
    with open_space(name, directory, create=create) as space, open_channel(space, channel, create=create) as opened:
        _send_all(opened, ready, timeout)


def _send_all(channel: shmspace.Channel, values: Iterable[Any], timeout: float | None) -> None:
    sent = 0
    try:
        for value in values:
            _send_one(channel, value, timeout)
            sent += 1
    except (Timeout, CodecError) as error:
        if sent == 0:
            raise
        raise Refusal(f"{error} ({plural(sent, 'message')} before it went out)") from error


def _send_one(channel: shmspace.Channel, value: Any, timeout: float | None) -> None:
    try:
        channel.send(value, timeout)
    except CodecError:
        # A shell has no other way to write bytes than text, so that is what text means to a channel of bytes.
        if not isinstance(value, str):
            raise
        channel.send(value.encode(), timeout)


def _parsed(values: Sequence[str], as_json: bool) -> list[Any]:
    found = []
    for number, value in enumerate(values, 1):
        data = os.fsencode(value)
        found.append(_json(data, f"value {number}") if as_json else _text(data))
    return found


def _lines(as_json: bool) -> Iterator[Any]:
    for number, line in enumerate(sys.stdin.buffer, 1):
        data = line.removesuffix(b"\n")
        yield _json(data, f"line {number}") if as_json else _text(data)


def _json(data: bytes, what: str) -> Any:
    try:
        return from_json(data)
    except ValueError as error:
        raise Misuse(f"{what} is not JSON: {error}") from error


def _text(data: bytes) -> str | bytes:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data
