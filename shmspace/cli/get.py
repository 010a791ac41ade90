"""`shmspace get` and `take`: values out of a queue or a tuple space; `get` also of keys of a store."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from shmspace.cli.options import create_option, directory_option, json_option, timeout_option
from shmspace.cli.output import plural
from shmspace.cli.recv import print_message
from shmspace.cli.refusal import Refusal
from shmspace.cli.store import print_keys
from shmspace.cli.structure import open_queue, open_space, open_tuples
from shmspace.errors import Closed, Empty

_WAIT = "Wait at most S seconds for each value; 0 does not wait. Without it: for ever."
_count_option = click.option(
    "-n", "--count", type=click.IntRange(min=1), default=1, show_default=True, help="Values to take."
)


@click.command()
@click.argument("name")
@click.argument("structure")
@click.argument("keys", metavar="[KEY]...", nargs=-1)
@_count_option
@click.option("--dead", is_flag=True, help="Of the dead letters.")
@timeout_option(_WAIT)
@create_option
@directory_option
@json_option("Print each value as one line of JSON; of a store: each entry.")
def get(
    name: str,
    structure: str,
    keys: tuple[str, ...],
    count: int,
    dead: bool,
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Print the values of each KEY of a store in the space NAME; or, without a KEY, take values from a queue.

    Each is one line. A value from a queue is counted as done when it was printed: if that fails it goes back.
    """
    if keys:
        print_keys(name, structure, keys, directory, as_json)
    else:
        _get_from_queue(name, structure, count, dead, timeout, create, directory, as_json)


def _get_from_queue(
    name: str,
    queue: str,
    count: int,
    dead: bool,
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    with open_space(name, directory, create=create) as space, open_queue(space, queue, create=create) as opened:
        source = opened.dead_letters if dead else opened

        def print_one() -> None:
            with source.lease(timeout) as lease:
                print_message(lease.value, as_json)

        _print_each(print_one, count, timeout, f"queue {queue!r}")


@click.command()
@click.argument("name")
@click.argument("tuples")
@click.argument("key")
@_count_option
@click.option("--read", "only_read", is_flag=True, help="Leave the value where it is (only the oldest is shown).")
@timeout_option(_WAIT)
@create_option
@directory_option
@json_option("Print each value as one line of JSON.")
def take(
    name: str,
    tuples: str,
    key: str,
    count: int,
    only_read: bool,
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Take values of KEY from the tuple space TUPLES of the space NAME and print each as one line."""
    with open_space(name, directory, create=create) as space, open_tuples(space, tuples, create=create) as opened:
        call: Callable[..., Any] = opened.read if only_read else opened.take
        times = 1 if only_read else count
        _print_each(lambda: print_message(call(key, timeout), as_json), times, timeout, f"key {key!r} of {tuples!r}")


def _print_each(print_one: Callable[[], None], count: int, timeout: float | None, source: str) -> None:
    for taken in range(count):
        try:
            print_one()
        except Empty as empty:
            wish = f"{taken} of {plural(count, 'value')}"
            raise Refusal(f"{source} gave nothing more within {timeout:g} s, after {wish}") from empty
        except Closed as closed:
            raise Refusal(f"{closed} (after {taken} of {plural(count, 'value')})") from closed
