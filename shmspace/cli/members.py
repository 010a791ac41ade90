"""`shmspace members`: the processes that are attached to a space."""

from __future__ import annotations

import os
import time

import click

import shmspace
from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import human_age, print_document, print_table
from shmspace.cli.value import to_json

_HEADINGS = ("pid", "alive", "since", "holds", "waits", "command")


@click.command()
@click.argument("name")
@directory_option
@document_option
def members(name: str, directory: str | None, as_json: bool) -> None:
    """Show the processes attached to the space NAME: what they hold and what they wait for."""
    before_ns = time.time_ns()
    with shmspace.open(name, readonly=True, directory=directory) as space:
        found = [member for member in space.members() if not _is_this_look(member, before_ns)]
    if as_json:
        print_document([{key: to_json(getattr(member, key)) for key in _HEADINGS} for member in found])
        return
    rows = [
        (
            str(member.pid),
            "yes" if member.alive else "dead",
            human_age(member.since),
            ", ".join(map(str, member.holds)) or "-",
            ", ".join(map(str, member.waits)) or "-",
            member.command,
        )
        for member in found
    ]
    print_table(_HEADINGS, rows, right=["pid", "since"])


def _is_this_look(member: shmspace.Member, before_ns: int) -> bool:
    # Looking attaches this process for a moment, and nobody asked about that one. The time is compared as well because
    # the same number may be another process in another PID namespace.
    return member.pid == os.getpid() and member.since >= before_ns
