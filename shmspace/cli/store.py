"""`shmspace set`, `list` and `del`, and the part of `get` that is about stores: keys and their values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import click

import shmspace
from shmspace.cli.given import put_each, values_given
from shmspace.cli.options import create_option, directory_option, document_option, json_option, timeout_option
from shmspace.cli.output import plural, print_document, printable
from shmspace.cli.refusal import Misuse
from shmspace.cli.structure import open_space, open_store
from shmspace.cli.value import to_line, to_text

_WAIT = "Wait at most S seconds while somebody has the lock of the key; 0 does not wait. Without it: for ever."
_MAKES = " (--create makes it)"


def print_keys(name: str, store: str, keys: Sequence[str], directory: str | None, as_json: bool) -> None:
    """Print the value of each key as one line; as JSON the whole entry."""
    with shmspace.open(name, readonly=True, directory=directory) as space, open_store(space, store) as opened:
        for key in keys:
            entry = opened.get(key)
            print(to_line(entry) if as_json else to_text(entry.value), flush=True)


@click.command("set")
@click.argument("name")
@click.argument("store")
@click.argument("key")
@click.argument("value", required=False)
@click.option("--ttl", metavar="S", type=float, help="Remove the key after S seconds.")
@click.option("--if-version", type=int, help="Only if the key has this version; 0: only if it is missing.")
@timeout_option(_WAIT)
@create_option
@directory_option
@json_option('Parse the value as JSON; {"base64": "..."} is bytes.')
def set_(
    name: str,
    store: str,
    key: str,
    value: str | None,
    ttl: float | None,
    if_version: int | None,
    timeout: float | None,
    create: bool,
    directory: str | None,
    as_json: bool,
) -> None:
    """Set KEY of STORE in the space NAME to VALUE, or to standard input (without a newline at its end)."""
    given = sys.stdin.buffer.read().removesuffix(b"\n").decode(errors="surrogateescape") if value is None else value
    ready = values_given([given], as_json)
    limits: dict[str, Any] = {"ttl": ttl, "if_version": if_version, "timeout": timeout}
    with (
        open_space(name, directory, create=create) as space,
        open_store(space, store, create=create, hint=_MAKES) as opened,
    ):
        try:
            put_each(lambda found: opened.set(key, found, **limits), ready, "value")
        except shmspace.ShmspaceError:
            raise
        except ValueError as error:
            raise Misuse(str(error)) from error


@click.command("list")
@click.argument("name")
@click.argument("store")
@click.argument("glob", required=False)
@click.option("--limit", type=click.IntRange(min=1), help="At most so many.")
@click.option("--order", type=click.Choice(["key", "asc", "desc"]), default="key", show_default=True,
              help="By key, or by when they were made: the oldest or the newest first.")  # fmt: skip
@directory_option
@json_option("Print each entry as one line of JSON.")
def list_(
    name: str, store: str, glob: str | None, limit: int | None, order: str, directory: str | None, as_json: bool
) -> None:
    """Print the keys of STORE in the space NAME that match GLOB, or all, each with its value as one line."""
    with shmspace.open(name, readonly=True, directory=directory) as space, open_store(space, store) as opened:
        if glob is None or order == "key":
            found = (opened.get(key, None) for key in opened.keys(glob))
            entries = [entry for entry in found if entry is not None]
            if order != "key":
                entries.sort(key=lambda entry: entry.created, reverse=order == "desc")
        else:
            entries = opened.list(glob, order=order, limit=limit)
        for entry in entries[:limit]:
            print(to_line(entry) if as_json else f"{printable(entry.key)}  {to_text(entry.value)}", flush=True)


@click.command("del")
@click.argument("name")
@click.argument("store")
@click.argument("keys", metavar="KEY_OR_GLOB...", nargs=-1, required=True)
@timeout_option(_WAIT)
@directory_option
@document_option
def delete(
    name: str, store: str, keys: tuple[str, ...], timeout: float | None, directory: str | None, as_json: bool
) -> None:
    """Remove keys of STORE in the space NAME, and all that match a glob; say how many went.

    A key that is missing ends it with exit code 1; a glob that matches none is fine.
    """
    removed = 0
    with open_space(name, directory, create=False) as space, open_store(space, store) as opened:
        for key in keys:
            removed += opened.delete(key, timeout=timeout)
    if as_json:
        print_document({"removed": removed})
    else:
        print(f"{plural(removed, 'key')} removed")
