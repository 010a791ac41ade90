"""Probes of who may do what: the directory itself, and the files under our prefix."""

from __future__ import annotations

import os
import pwd
import shlex
import stat
from collections.abc import Iterator
from pathlib import Path

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.layout import REGION_PREFIX, TEMPORARY_PREFIX


def probe_directory(directory: Path, uid: int) -> Finding:
    """Look at the mode of `directory`, as it is for the user `uid`."""
    try:
        found = directory.stat()
    except OSError as error:
        return Finding("directory", Level.FAIL, f"{directory} cannot be looked at: {error.strerror}")
    mode = stat.S_IMODE(found.st_mode)
    text = f"{directory} has mode {mode:04o} and belongs to {_user(found.st_uid)}"
    if not os.access(directory, os.W_OK | os.X_OK):
        # What everybody shares is open to everybody; any other place is to be its user's own.
        mend = _chmod("1777", directory) if found.st_uid == 0 else f"chown {_user(uid)} {_quoted(directory)}"
        return Finding("directory", Level.FAIL, f"{text}: no space can be made there", mend)
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        text += ": anybody may remove or replace everybody's spaces"
        return Finding("directory", Level.FAIL, text, _chmod("+t", directory))
    if found.st_uid not in (0, uid):
        text += ", who may remove or replace our spaces"
        return Finding("directory", Level.WARN, text, f"chown root {_quoted(directory)}")
    return Finding("directory", Level.OK, text)


def probe_files(directory: Path, uid: int) -> list[Finding]:
    """Look at every file in `directory` that has a name of ours."""
    found = [finding for path, status in _ours(directory) if (finding := _judge(path, status, uid)) is not None]
    return found or [Finding("files", Level.OK, f"no region in {directory} that would refuse us or let strangers in")]


def _ours(directory: Path) -> Iterator[tuple[Path, os.stat_result]]:
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        return
    for name in names:
        if name.startswith((REGION_PREFIX, TEMPORARY_PREFIX)):
            try:
                yield directory / name, (directory / name).lstat()
            except OSError:  # gone meanwhile
                continue


def _judge(path: Path, status: os.stat_result, uid: int) -> Finding | None:
    if not stat.S_ISREG(status.st_mode):
        text = f"{path} is no regular file, so no space can have that name"
        return Finding("files", Level.FAIL, text, f"rm -r {_quoted(path)}")
    mode = stat.S_IMODE(status.st_mode)
    if status.st_uid != uid and not mode & 0o066:
        owner = _user(status.st_uid)
        text = f"{path} belongs to {owner}, so opening a space of that name is refused"
        command = "gc" if path.name.startswith(TEMPORARY_PREFIX) else f"rm {path.name.removeprefix(REGION_PREFIX)}"
        return Finding("files", Level.WARN, text, f"sudo -u '{owner}' shmspace {command}")
    if status.st_uid == uid and mode & 0o002:
        text = f"{path} has mode {mode:04o}: every user of this machine can change what is in it"
        return Finding("files", Level.WARN, text, _chmod("600", path))
    return None


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"#{uid}"  # as sudo takes it


def _quoted(path: Path) -> str:
    return shlex.quote(str(path))


def _chmod(mode: str, path: Path) -> str:
    return f"chmod {mode} {_quoted(path)}"
