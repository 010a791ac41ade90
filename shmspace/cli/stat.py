"""`shmspace stat`: one space and its structures."""

from __future__ import annotations

import click

from shmspace.cli.ls import summary
from shmspace.cli.options import directory_option, document_option
from shmspace.cli.output import human_age, human_size, plural, print_document, print_table
from shmspace.cli.refusal import Refusal
from shmspace.layout import SpaceInfo, StructureInfo, read_space


@click.command()
@click.argument("name")
@click.argument("structure", required=False)
@directory_option
@document_option
def stat(name: str, structure: str | None, directory: str | None, as_json: bool) -> None:
    """Show the space NAME and the numbers of its structures, or of STRUCTURE alone, without attaching.

    Where several kinds have a structure of that name, all are shown.
    """
    info = read_space(name, directory)
    if info.state != "ok":
        raise Refusal(info.detail)
    structures = sorted(info.structures, key=lambda found: (found.kind, str(found.name)))
    if structure is not None:
        structures = [found for found in structures if found.name == structure]
        if not structures:
            raise Refusal(f"the space {name!r} has no structure {structure!r}; shmspace stat {name} lists what it has")
    if as_json:
        described = [{"kind": found.kind, "name": found.name, "stat": found.stat} for found in structures]
        print_document({**summary(info), "structures": described})
        return
    if structure is None:
        _print_space(info)
    _print_structures(structures)


def _print_space(info: SpaceInfo) -> None:
    print(
        f"{info.name}: {human_size(info.used)} used of {human_size(info.committed)} committed of "
        f"{human_size(info.size)}, {plural(info.members, 'member')}, {plural(len(info.structures), 'structure')}"
        f", created {human_age(info.created_ns)} ago, in {info.path}"
    )


def _print_structures(structures: list[StructureInfo]) -> None:
    # Each kind counts other things, so each has a table of its own.
    for kind in sorted({found.kind for found in structures}):
        of_kind = [found for found in structures if found.kind == kind]
        counters = list(of_kind[0].stat)
        rows = [[str(found.name), *(str(found.stat.get(counter, "-")) for counter in counters)] for found in of_kind]
        print()
        print_table([kind, *counters], rows, right=counters)
