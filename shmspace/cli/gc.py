"""`shmspace gc`: remove what dead processes left."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from shmspace.cli.leftover import Leftover, find_leftovers, remove_leftover
from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import human_size, one_line, plural, print_document
from shmspace.cli.refusal import ProblemsFound
from shmspace.errors import ShmspaceError
from shmspace.layout import DEFAULT_DIRECTORY

_REASONS = {
    "temporary": "a region that its creator did not live to finish",
    "half_made": "a region that was given its name unfinished",
    "destroyed": "a space that was destroyed",
    "rebooted": "a space from before a reboot",
    "unused": "a space without a living member",
}


@click.command()
@click.option("--unused", is_flag=True, help="Also remove healthy spaces that no living process is attached to.")
@click.option("--dry-run", is_flag=True, help="Only show what would be removed.")
@directory_option
@document_option
def gc(unused: bool, dry_run: bool, directory: str | None, as_json: bool) -> None:
    """Remove what dead processes left: half-made regions, and with --unused the spaces that nobody uses.

    Exit code 1 if something could not be removed.
    """
    removed: list[Leftover] = []
    refused: list[tuple[Leftover, str]] = []
    for leftover in find_leftovers(Path(directory or DEFAULT_DIRECTORY), unused=unused):
        try:
            if dry_run or remove_leftover(leftover):
                removed.append(leftover)
        except (OSError, ShmspaceError) as error:
            refused.append((leftover, str(error)))
    if as_json:
        described = [{**_described(leftover), "error": error} for leftover, error in refused]
        print_document({"dry_run": dry_run, "removed": list(map(_described, removed)), "refused": described})
    else:
        _print(removed, refused, dry_run)
    if refused:
        raise ProblemsFound


def _described(leftover: Leftover) -> dict[str, Any]:
    return {
        "kind": leftover.kind,
        "name": leftover.name,
        "path": str(leftover.path),
        "size": leftover.size_bytes,
        "reason": _REASONS[leftover.kind],
    }


def _print(removed: list[Leftover], refused: list[tuple[Leftover, str]], dry_run: bool) -> None:
    verb = "would remove" if dry_run else "removed"
    for leftover in removed:
        print(one_line(f"{verb} {leftover.path} ({human_size(leftover.size_bytes)}): {_REASONS[leftover.kind]}"))
    for leftover, error in refused:
        print(one_line(f"could not remove {leftover.path}: {error}"))
    total = human_size(sum(leftover.size_bytes for leftover in removed))
    print(f"{verb} {plural(len(removed), 'leftover')}, {total}" if removed else "nothing to remove")
