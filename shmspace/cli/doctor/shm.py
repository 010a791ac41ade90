"""Probes of the place where region files are: is it there, is it big enough, what kind of file system is it?"""

from __future__ import annotations

import os
from pathlib import Path

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import Mount, mount_of, read_text
from shmspace.cli.output import human_size
from shmspace.layout import DEFAULT_DIRECTORY

# Less than this and hardly any space can be made.
_LEAST_BYTES = 16 << 20

# On these, processes on other machines, or outside the container, do not see one memory or one set of locks.
_NOT_SHARED = {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "glusterfs", "lustre"}


def probe_size(directory: Path, wanted_bytes: int, mountinfo: Path, container: str | None) -> Finding:
    """Compare size and free space of the file system of `directory` with what a space is to grow to."""
    try:
        found = os.statvfs(directory)
    except FileNotFoundError:
        remedy = f"mkdir -p {directory} && {_mount(directory, wanted_bytes)}"
        return Finding("size", Level.FAIL, f"{directory} does not exist", remedy)
    total, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
    mount = mount_of(directory, mountinfo)
    if total == 0 and mount is not None and mount.kind == "tmpfs":  # mounted with size=0
        return Finding("size", Level.OK, f"{directory} has no limit of its own")
    text = f"{directory} has {human_size(free)} free of {human_size(total)}; a space of {human_size(wanted_bytes)} "
    if total < wanted_bytes:
        remedy = _bigger(directory, wanted_bytes, mount, container)
        return Finding("size", Level.FAIL, text + "cannot grow to its size", remedy)
    if free < wanted_bytes:
        level = Level.FAIL if free < _LEAST_BYTES else Level.WARN
        return Finding("size", level, text + "cannot grow to its size now", f"du -ah {directory} | sort -h | tail")
    return Finding("size", Level.OK, text + "fits")


def _bigger(directory: Path, wanted_bytes: int, mount: Mount | None, container: str | None) -> str:
    size = human_size(wanted_bytes)
    if mount is None or mount.kind != "tmpfs":
        in_memory = directory == Path(DEFAULT_DIRECTORY)
        return _mount(directory, wanted_bytes) if in_memory else "shmspace.open(..., directory=None)"
    if container == "kubernetes":
        return (
            f"volumes: [{{name: shm, emptyDir: {{medium: Memory, sizeLimit: {size}i}}}}], "
            f"volumeMounts: [{{name: shm, mountPath: {mount.point}}}]"
        )
    if container is not None:
        return f"{container} run --shm-size={size.lower()} ..."
    return f"mount -o remount,size={size} {mount.point}"


def _mount(directory: Path, size_bytes: int) -> str:
    return f"mount -t tmpfs -o size={human_size(size_bytes)},mode=1777 tmpfs {directory}"


def probe_filesystem(directory: Path, mountinfo: Path) -> Finding:
    """Look at the kind of file system that `directory` is on."""
    mount = mount_of(directory, mountinfo)
    if mount is None:
        return Finding("file system", Level.WARN, f"what {directory} is mounted on is not known: no {mountinfo}")
    if mount.readonly:
        remedy = f"mount -o remount,rw {mount.point}"
        return Finding("file system", Level.FAIL, f"{mount.point} is mounted read-only", remedy)
    if mount.kind in _NOT_SHARED or mount.kind.startswith("fuse"):
        text = f"{directory} is on {mount.kind}, which does not share memory and locks between all its users"
        return Finding("file system", Level.FAIL, text, "shmspace.open(..., directory=None)")
    if mount.kind not in ("tmpfs", "ramfs"):
        text = f"{directory} is on {mount.kind}, not in memory: the kernel writes changed pages to the disk"
        return Finding("file system", Level.WARN, text, "shmspace.open(..., directory=None)")
    return Finding("file system", Level.OK, f"{mount.kind} at {mount.point}")


def probe_memory(meminfo: Path, wanted_bytes: int) -> Finding:
    """Compare the memory that the machine has available with what a space is to grow to."""
    for line in (read_text(meminfo) or "").splitlines():
        name, _, rest = line.partition(":")
        if name == "MemAvailable":
            available = int(rest.split()[0]) * 1024
            text = f"{human_size(available)} of memory available"
            if available >= wanted_bytes:
                return Finding("memory", Level.OK, text)
            text += f", less than {human_size(wanted_bytes)}"
            return Finding("memory", Level.WARN, text, "ps aux --sort=-rss | head")
    return Finding("memory", Level.WARN, f"the available memory is not known: {meminfo} does not tell")


def probe_container(container: str | None, directory: Path) -> Finding:
    """Tell who shares the shared memory, which is the usual reason why two programs do not see the same space."""
    if container is None:
        return Finding("container", Level.OK, "not in a container")
    if container == "kubernetes":
        text = f"in a pod: only those of its containers that mount one volume at {directory} see each other's spaces"
        return Finding("container", Level.OK, text)
    text = f"in a {container} container: only containers started with its shared memory see the spaces in {directory}"
    remedy = f"{container} run --ipc=container:NAME ... (NAME itself started with --ipc=shareable)"
    return Finding("container", Level.OK, text, remedy)
