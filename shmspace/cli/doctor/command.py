"""`shmspace doctor`: run every probe on this machine and print what they found."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import platform
import pwd
import resource
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path

import click
from rich.console import Console
from rich.text import Text

import shmspace
from shmspace.cli.doctor import cgroup, leftovers, logind, namespace, permission, process, shm
from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import container_of
from shmspace.cli.options import directory_option, document_option, size_option
from shmspace.cli.output import one_line, print_document
from shmspace.cli.refusal import ProblemsFound
from shmspace.errors import ShmspaceError
from shmspace.layout import DEFAULT_DIRECTORY, read_spaces

_STYLES = {Level.OK: "green", Level.WARN: "yellow", Level.FAIL: "bold red"}

Probe = Callable[[], Finding | Iterable[Finding]]


@click.command()
@size_option("--want", default="1G", text="The size that a space is to grow to.")
@directory_option
@document_option
def doctor(want: int, directory: str | None, as_json: bool) -> None:
    """Look for what breaks spaces on this machine and print the command that mends it.

    Exit code 1 if something does not work; warnings alone are 0.
    """
    probes = _probes(Path(directory or DEFAULT_DIRECTORY), want)
    findings = [finding for name, probe in probes for finding in _run(name, probe)]
    worst = max(finding.level for finding in findings)
    if as_json:
        described = [
            {"probe": found.probe, "level": found.level.name.lower(), "found": found.found, "remedy": found.remedy}
            for found in findings
        ]
        print_document({"level": worst.name.lower(), "findings": described})
    else:
        _print(findings)
    if worst == Level.FAIL:
        raise ProblemsFound


def _probes(directory: Path, want: int) -> list[tuple[str, Probe]]:
    root, proc = Path("/"), Path("/proc")
    mountinfo = proc / "self/mountinfo"
    container, uid = container_of(root), os.geteuid()
    libc = " ".join(platform.libc_ver())
    bits = 64 if sys.maxsize > 1 << 32 else 32
    probes: list[tuple[str, Probe]] = [
        ("size", partial(shm.probe_size, directory, want, mountinfo, container)),
        ("file system", partial(shm.probe_filesystem, directory, mountinfo)),
        ("memory", partial(shm.probe_memory, proc / "meminfo", want)),
        ("cgroup", partial(cgroup.probe_cgroup, proc / "self/cgroup", root / "sys/fs/cgroup", want, container)),
        ("container", partial(shm.probe_container, container, directory)),
        ("directory", partial(permission.probe_directory, directory, uid)),
        ("files", partial(permission.probe_files, directory, uid)),
        ("leftovers", partial(leftovers.probe_leftovers, directory, proc)),
        ("PID namespace", lambda: namespace.probe_namespaces(_members(directory), proc)),
        ("kernel", partial(process.probe_kernel, proc / "sys/kernel/osrelease")),
        ("locks", partial(process.probe_locks, directory)),
        ("limits", partial(process.probe_limits, _limits(), want)),
        ("python", partial(process.probe_python, sys.version_info[:3], bits, libc)),
        ("start method", lambda: process.probe_start_method(multiprocessing.get_start_method())),
    ]
    if directory == Path(DEFAULT_DIRECTORY):  # logind leaves other directories alone
        probes.append(("RemoveIPC", partial(logind.probe_remove_ipc, root, uid, _user(uid))))
    return probes


def _run(name: str, probe: Probe) -> list[Finding]:
    # One thing that cannot be looked at must not hide what the other probes find.
    try:
        found = probe()
    except (OSError, ShmspaceError, ValueError) as error:
        return [Finding(name, Level.WARN, f"could not be looked at: {error}")]
    return [found] if isinstance(found, Finding) else list(found)


def _members(directory: Path) -> dict[str, list[shmspace.Member]]:
    found: dict[str, list[shmspace.Member]] = {}
    for info in read_spaces(directory):
        # A damaged space, one of another user or one that has just gone has no members to tell of.
        with (
            contextlib.suppress(ShmspaceError, OSError),
            shmspace.open(info.name, readonly=True, directory=directory) as space,
        ):
            found[info.name] = space.members()
    return found


def _limits() -> dict[str, int]:
    numbers = {"nofile": resource.RLIMIT_NOFILE, "fsize": resource.RLIMIT_FSIZE, "as": resource.RLIMIT_AS}
    return {name: resource.getrlimit(number)[0] for name, number in numbers.items()}


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False)
    width = max(len(finding.probe) for finding in findings)
    for finding in findings:
        level = (f"{finding.level.name.lower():4}", _STYLES[finding.level])
        console.print(Text.assemble(level, f"  {finding.probe:{width}}  {one_line(finding.found)}"), soft_wrap=True)
        if finding.remedy is not None:
            console.print(Text(f"{'':{width + 6}}  -> {one_line(finding.remedy)}"), soft_wrap=True)
