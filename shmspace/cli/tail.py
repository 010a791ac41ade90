"""`shmspace tail`: look at what goes through a channel, or into a log, without taking it."""

from __future__ import annotations

from typing import Any

import click

import shmspace
from shmspace.cli.options import directory_option, json_option
from shmspace.cli.recv import print_message, warn_of_gap
from shmspace.cli.refusal import Refusal
from shmspace.cli.structure import existing_channel, existing_log, is_log
from shmspace.cli.tail_log import parse_start, tail_log
from shmspace.errors import Empty, EndOfStream, Lagged, ReadOnly


@click.command()
@click.argument("name")
@click.argument("structure")
@click.option("-n", "--count", type=click.IntRange(0), default=10, show_default=True, help="Most of what was before.")
@click.option("-f", "--follow", is_flag=True, help="Go on with what comes from now on, until the stream ends.")
@click.option("--from", "start", metavar="OFFSET", help='Of a log: all from there on; "oldest": from the first.')
@click.option("--key", help="Of a log: only records with this key. A sharded log needs it.")
@directory_option
@json_option("Print each message or record as one line of JSON.")
def tail(
    name: str,
    structure: str,
    count: int,
    follow: bool,
    start: str | None,
    key: str | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Print the last messages of a channel, or records of a log, in the space NAME, taking none from anybody.

    Works on channels that deliver to all readers; what they replay to a new reader is what there is of before. Writers
    never wait for this reader: if it is too slow, it says how much it missed. Where a log and a channel have the same
    name, --from or --key mean the log.
    """
    with shmspace.open(name, readonly=True, directory=directory) as space:
        if is_log(space, structure, asked=start is not None or key is not None):
            with existing_log(space, structure, key) as log:
                begin = None if start is None else parse_start(start, log)
                tail_log(log, count=count, start=begin, key=key, follow=follow, as_json=as_json)
        else:
            _tail_channel(space, structure, count, follow, as_json)


def _tail_channel(space: shmspace.Space, channel: str, count: int, follow: bool, as_json: bool) -> None:
    with existing_channel(space, channel) as opened:
        try:
            with opened.reader() as reader:
                for value in _before(reader, opened.stat().capacity, count):
                    print_message(value, as_json)
                if follow:
                    _follow(reader, as_json)
        except ReadOnly as refused:
            raise Refusal(
                f"channel {channel!r} gives each message to one reader, so looking would take it: "
                f"use shmspace recv {space.name} {channel}"
            ) from refused


def _before(reader: shmspace.Reader, capacity: int, count: int) -> list[Any]:
    # More than `capacity` cannot have been waiting; without that bound a busy writer would keep this going.
    found: list[Any] = []
    while not found:
        try:
            found = reader.recv_many(capacity, timeout=0)
        except Lagged as gap:
            warn_of_gap(gap)
        except (Empty, EndOfStream):
            break
    return found[-count:] if count else []


def _follow(reader: shmspace.Reader, as_json: bool) -> None:
    while True:
        try:
            print_message(reader.recv(), as_json)
        except Lagged as gap:
            warn_of_gap(gap)
        except EndOfStream:
            return
