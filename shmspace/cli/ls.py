"""`shmspace ls`: the spaces of a directory."""

from __future__ import annotations

from typing import Any

import click

from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import human_age, human_size, print_document, print_table
from shmspace.layout import SpaceInfo, read_spaces

_HEADINGS = ("name", "size", "committed", "members", "structures", "age", "state")


@click.command()
@directory_option
@document_option
def ls(directory: str | None, as_json: bool) -> None:
    """List the spaces, also damaged ones, without attaching to any."""
    found = sorted(read_spaces(directory), key=lambda info: info.name)
    if as_json:
        print_document([summary(info) for info in found])
        return
    print_table(_HEADINGS, [_row(info) for info in found], right=_HEADINGS[1:6])


def summary(info: SpaceInfo) -> dict[str, Any]:
    """Give what there is to say about a space as a whole."""
    return {
        "name": info.name,
        "path": str(info.path),
        "size": info.size,
        "committed": info.committed,
        "used": info.used,
        "members": info.members,
        "structures": len(info.structures),
        "created": info.created_ns,
        "state": info.state,
        "detail": info.detail,
    }


def _row(info: SpaceInfo) -> tuple[str, ...]:
    if not info.size:  # nothing of it can be read
        return (info.name, "-", "-", "-", "-", "-", f"{info.state}: {info.detail}")
    return (
        info.name,
        human_size(info.size),
        human_size(info.committed),
        str(info.members),
        str(len(info.structures)),
        human_age(info.created_ns),
        info.state,
    )
