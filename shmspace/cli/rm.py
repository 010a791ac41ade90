"""`shmspace rm`: remove a space for everybody."""

from __future__ import annotations

import click

import shmspace
from shmspace.cli.options import directory_option, json_option
from shmspace.cli.output import plural, print_document
from shmspace.errors import Corrupted, IncompatibleLayout
from shmspace.layout import read_space


@click.command()
@click.argument("name")
@directory_option
@json_option("Print one JSON document.")
def rm(name: str, directory: str | None, as_json: bool) -> None:
    """Remove the space NAME for everybody: calls blocked in it, and later ones, raise Closed in every process."""
    members = _members(name, directory)
    shmspace.destroy(name, directory=directory)
    if as_json:
        print_document({"name": name, "members": members})
    elif members:
        print(f"{name}: removed while {plural(members, 'member')} {'was' if members == 1 else 'were'} attached")
    else:
        print(f"{name}: removed")


def _members(name: str, directory: str | None) -> int | None:
    try:
        return read_space(name, directory).members
    except (Corrupted, IncompatibleLayout):  # which is a good reason to remove it
        return None
