"""`shmspace put` and `out`: values from arguments or standard input into a queue or a tuple space."""

from __future__ import annotations

import click

from shmspace.cli.given import put_each, values_given
from shmspace.cli.options import create_option, directory_option, json_option, timeout_option
from shmspace.cli.structure import open_queue, open_space, open_tuples

_JSON = 'Parse each value as JSON; {"base64": "..."} is bytes.'
_WAIT = "Wait at most S seconds for room for each value; 0 does not wait. Without it: for ever."


@click.command()
@click.argument("name")
@click.argument("queue")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@timeout_option(_WAIT)
@create_option
@directory_option
@json_option(_JSON)
def put(
    name: str,
    queue: str,
    values: tuple[str, ...],
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Put each VALUE, or each line of standard input if none is given, into QUEUE of the space NAME."""
    ready = values_given(values, as_json)
    with open_space(name, directory, create=create) as space, open_queue(space, queue, create=create) as opened:
        put_each(lambda value: opened.put(value, timeout=timeout), ready, "value")


@click.command()
@click.argument("name")
@click.argument("tuples")
@click.argument("key")
@click.argument("values", metavar="[VALUE]...", nargs=-1)
@timeout_option(_WAIT)
@create_option
@directory_option
@json_option(_JSON)
def out(
    name: str,
    tuples: str,
    key: str,
    values: tuple[str, ...],
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Add each VALUE, or each line of standard input if none is given, under KEY of the tuple space TUPLES in NAME."""
    ready = values_given(values, as_json)
    with open_space(name, directory, create=create) as space, open_tuples(space, tuples, create=create) as opened:
        put_each(lambda value: opened.out(key, value, timeout), ready, "value")
