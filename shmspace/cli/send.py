"""`shmspace send`: messages from arguments or standard input into a channel."""

from __future__ import annotations

import click

from shmspace.cli.given import put_each, values_given
from shmspace.cli.options import create_option, directory_option, json_option, timeout_option
from shmspace.cli.structure import open_channel, open_space


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
    ready = values_given(values, as_json)
    with open_space(name, directory, create=create) as space, open_channel(space, channel, create=create) as opened:
        put_each(lambda value: opened.send(value, timeout), ready, "message")
