"""`shmspace recv`: take messages out of a channel."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import click

import shmspace
from shmspace.cli.options import create_option, directory_option, json_option, timeout_option
from shmspace.cli.output import plural
from shmspace.cli.refusal import Refusal
from shmspace.cli.structure import open_channel, open_space
from shmspace.cli.value import to_line, to_text
from shmspace.errors import Empty, EndOfStream, Lagged


@click.command()
@click.argument("name")
@click.argument("channel")
@click.option("-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="Messages to take.")
@click.option("--all", "until_end", is_flag=True, help="Take messages until the stream ends, whatever the count.")
@timeout_option("Wait at most S seconds for each message; 0 does not wait. Without it: for ever.")
@create_option
@directory_option
@json_option("Print each message as one line of JSON.")
def recv(
    name: str,
    channel: str,
    count: int,
    until_end: bool,
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Take messages from CHANNEL of the space NAME and print each as one line.

    Text is printed as it is, bytes that are not UTF-8 as {"base64": "..."}, anything else as JSON. Each message is
    written out before the next is taken. Exit code 1 if the stream ends or the time runs out before all have come.
    """
    with open_space(name, directory, create=create) as space, open_channel(space, channel, create=create) as opened:
        taken = 0
        wanted: Iterator[int] = itertools.count() if until_end else iter(range(count))
        try:
            with opened.reader() as reader:
                for _ in wanted:
                    print_message(_take(reader, timeout), as_json)
                    taken += 1
        except EndOfStream as end:
            if not until_end:
                raise Refusal(f"channel {channel!r} ended after {taken} of {plural(count, 'message')}") from end
        except Empty as empty:
            wish = f"{taken}" if until_end else f"{taken} of {plural(count, 'message')}"
            raise Refusal(f"channel {channel!r} gave nothing more within {timeout:g} s, after {wish}") from empty


def _take(reader: shmspace.Reader, timeout: float | None) -> Any:
    while True:
        try:
            return reader.recv(timeout)
        except Lagged as gap:
            warn_of_gap(gap)


def warn_of_gap(gap: Lagged) -> None:
    """Tell that a reader was overtaken; it goes on with the oldest message that is left."""
    click.echo(f"shmspace: {plural(gap.lost, 'message')} missed: the writers were faster", err=True)


def print_message(value: Any, as_json: bool) -> None:
    """Print one message as one line and let it out at once: whoever reads the pipe may be waiting for it."""
    print(to_line(value) if as_json else to_text(value), flush=True)
