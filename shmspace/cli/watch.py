"""`shmspace watch`: the changes of a store as they come."""

from __future__ import annotations

import itertools
from collections.abc import Iterable

import click

import shmspace
from shmspace.cli.options import directory_option, json_option, timeout_option
from shmspace.cli.output import plural, printable
from shmspace.cli.refusal import Refusal
from shmspace.cli.structure import open_store
from shmspace.cli.value import to_line, to_text
from shmspace.errors import Empty, Lagged


@click.command()
@click.argument("name")
@click.argument("store")
@click.argument("glob", required=False)
@click.option("-n", "--count", type=click.IntRange(min=1), help="Stop after so many events. Without it: never.")
@click.option("--start", type=click.IntRange(min=0), metavar="SEQ", help="Begin with what came after that event.")
@timeout_option("Wait at most S seconds for each event; 0 does not wait. Without it: for ever.")
@directory_option
@json_option("Print each event as one line of JSON.")
def watch(
    name: str,
    store: str,
    glob: str | None,
    count: int | None,
    start: int | None,
    timeout: float | None,
    directory: str | None,
    as_json: bool,
) -> None:
    """Print the changes of STORE in the space NAME as they come: of keys that match GLOB, of one key, or of all.

    Each is one line: its number, set or del, the key, and the value, which of del is the one that was removed. Writers
    never wait for this watch: if it is too slow, it says how much it missed.
    """
    wanted: Iterable[int] = itertools.count() if count is None else range(count)
    with (
        shmspace.open(name, readonly=True, directory=directory) as space,
        open_store(space, store) as opened,
        opened.watch(glob, start="now" if start is None else start, timeout=timeout) as events,
    ):
        for seen in wanted:
            try:
                _print_event(_next(events), as_json)
            except Empty as empty:
                wish = f"{seen}" if count is None else f"{seen} of {plural(count, 'event')}"
                raise Refusal(f"store {store!r} gave nothing more within {timeout:g} s, after {wish}") from empty


def _next(events: shmspace.Watch) -> shmspace.Event:
    while True:
        try:
            event: shmspace.Event = next(events)
            return event
        except Lagged as gap:
            click.echo(f"shmspace: {plural(gap.lost, 'event')} missed: the writers were faster", err=True)


def _print_event(event: shmspace.Event, as_json: bool) -> None:
    if as_json:
        print(to_line(event), flush=True)
        return
    print(f"{event.seq}  {event.op}  {printable(event.key)}  {to_text(event.entry.value)}", flush=True)
