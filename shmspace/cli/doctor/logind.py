"""Probe of systemd-logind, which by default removes a user's shared memory when the user's last session ends."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import read_text

# Later ones win over earlier ones where two files have one name; main files: the first that exists counts.
_FOLDERS = ("usr/lib/systemd", "usr/local/lib/systemd", "run/systemd", "etc/systemd")
_SYSTEM_UID_MAX = 999
_TRUE, _FALSE = {"1", "yes", "y", "true", "t", "on"}, {"0", "no", "n", "false", "f", "off"}


def probe_remove_ipc(root: Path, uid: int, user: str) -> Finding:
    """Find out whether logind removes the spaces of `user` at logout; `root` is the root of the file tree."""
    if not (root / "run/systemd/system").is_dir():
        return Finding("RemoveIPC", Level.OK, "systemd does not run here")
    if uid <= system_uid_max(root):
        return Finding("RemoveIPC", Level.OK, f"does not concern {user}, a system user")
    setting = remove_ipc(root)
    if not setting:
        return Finding("RemoveIPC", Level.OK, "RemoveIPC=no")
    if (root / "var/lib/systemd/linger" / user).exists():
        return Finding("RemoveIPC", Level.OK, f"RemoveIPC=yes, but {user} lingers, so nothing is removed at logout")
    text = f"systemd-logind removes all spaces of {user} when the last session of {user} ends (RemoveIPC=yes)"
    return Finding("RemoveIPC", Level.WARN, text, f"loginctl enable-linger {user}")


def system_uid_max(root: Path) -> int:
    """Give the highest user id that counts as a system user."""
    for line in (read_text(root / "etc/login.defs") or "").splitlines():
        words = line.split()
        if len(words) >= 2 and words[0] == "SYS_UID_MAX" and words[1].isdigit():
            return int(words[1])
    return _SYSTEM_UID_MAX


def remove_ipc(root: Path) -> bool:
    """Give the value of RemoveIPC that logind goes by: the last one set counts, yes where none is."""
    setting = True
    for path in _configuration(root):
        setting = _setting_of(read_text(path) or "", setting)
    return setting


def _configuration(root: Path) -> Iterator[Path]:
    for folder in reversed(_FOLDERS):
        if (root / folder / "logind.conf").is_file():
            yield root / folder / "logind.conf"
            break
    drop_ins: dict[str, Path] = {}
    for folder in _FOLDERS:
        for path in sorted((root / folder / "logind.conf.d").glob("*.conf")):
            drop_ins[path.name] = path
    yield from (drop_ins[name] for name in sorted(drop_ins))


def _setting_of(text: str, setting: bool) -> bool:
    section = ""
    for line in map(str.strip, text.splitlines()):
        if line.startswith("["):
            section = line
        name, equals, value = line.partition("=")
        if section == "[Login]" and equals and name.strip() == "RemoveIPC":
            value = value.strip().lower()
            # An empty value is the default again; one that means nothing is ignored.
            setting = True if value in _TRUE or not value else False if value in _FALSE else setting
    return setting
