"""`shmspace check`: is a space healthy?"""

from __future__ import annotations

import click

import shmspace
from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import one_line, print_document
from shmspace.cli.refusal import ProblemsFound


@click.command()
@click.argument("name")
@directory_option
@document_option
def check(name: str, directory: str | None, as_json: bool) -> None:
    """Check every invariant of the space NAME without stopping anyone; exit code 1 if one is broken."""
    with shmspace.open(name, readonly=True, directory=directory) as space:
        problems = space.check()
    if as_json:
        described = [{"structure": found.structure, "what": found.what, "where": found.where} for found in problems]
        print_document({"name": name, "problems": described})
    else:
        for found in problems:
            print(one_line(f"{found.structure or name}: {found.what} ({found.where})"))
        if not problems:
            print(f"{name}: no problems")
    if problems:
        raise ProblemsFound
