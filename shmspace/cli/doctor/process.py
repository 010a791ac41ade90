"""Probes of what this process runs on: kernel, Python, limits, the way in which multiprocessing starts processes."""

from __future__ import annotations

import errno
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from shmspace.cli.doctor.finding import Finding, Level
from shmspace.cli.doctor.machine import read_text
from shmspace.cli.file_lock import lock
from shmspace.cli.output import human_size

_LEAST_KERNEL = (3, 15)  # open-file-description locks; futexes are much older
_LEAST_PYTHON = (3, 10)
_LEAST_DESCRIPTORS = 256
_UNLIMITED = -1  # resource.RLIM_INFINITY


def probe_kernel(release: Path) -> Finding:
    """Compare the kernel's version with the oldest that has what the package needs; `release` is a file in /proc."""
    text = (read_text(release) or "").strip()
    match = re.match(r"(\d+)\.(\d+)", text)
    if match is None:
        return Finding("kernel", Level.WARN, f"the kernel's version is not known: {release} does not tell")
    if (int(match[1]), int(match[2])) < _LEAST_KERNEL:
        found = f"Linux {text} has no open-file-description locks; {'.'.join(map(str, _LEAST_KERNEL))} has"
        return Finding("kernel", Level.FAIL, found, "apt-get install linux-image-amd64")
    return Finding("kernel", Level.OK, f"Linux {text}")


def probe_locks(directory: Path) -> Finding:
    """Take an open-file-description lock on a file in `directory`: sandboxes and network file systems may refuse it."""
    try:
        with tempfile.TemporaryFile(dir=directory) as file:
            lock(file)
    except OSError as error:
        name = errno.errorcode.get(error.errno or 0, "error")
        text = f"open-file-description locks do not work in {directory}: {name}, {error.strerror}"
        return Finding("locks", Level.FAIL, text, "shmspace.open(..., directory=PATH_ON_A_LOCAL_FILE_SYSTEM)")
    return Finding("locks", Level.OK, f"open-file-description locks work in {directory}")


def probe_python(version: tuple[int, int, int], bits: int, libc: str) -> Finding:
    """Look at the interpreter: its version, the size of its addresses, its C library."""
    text = f"Python {'.'.join(map(str, version))}, {bits} bit, {libc or 'unknown C library'}"
    if version[:2] < _LEAST_PYTHON:
        return Finding("python", Level.FAIL, f"{text}; 3.10 is the oldest that works", "apt-get install python3")
    if bits < 64:
        return Finding("python", Level.FAIL, f"{text}: a space cannot be mapped whole", "install a 64-bit Python")
    return Finding("python", Level.OK, text)


def probe_start_method(method: str) -> Finding:
    """Look at the way in which multiprocessing starts processes."""
    if method != "fork":
        return Finding("start method", Level.OK, f"multiprocessing starts processes by {method}")
    text = (
        "multiprocessing starts processes by fork: spaces survive it, but a fork while other threads run can leave"
        " the child waiting for a lock of another library for ever"
    )
    return Finding("start method", Level.WARN, text, 'multiprocessing.set_start_method("spawn")')


def probe_limits(limits: Mapping[str, int], wanted_bytes: int) -> list[Finding]:
    """Look at the resource limits of this process that bite.

    `limits` has the soft limits of ``nofile`` (descriptors), ``fsize`` and ``as`` (bytes); -1 is no limit.
    """
    findings = []
    files = limits.get("nofile", _UNLIMITED)
    if files != _UNLIMITED and files < _LEAST_DESCRIPTORS:
        text = f"only {files} files may be open at once, and each attached space takes some"
        findings.append(Finding("limits", Level.WARN, text, "ulimit -n 4096"))
    for name, flag, what in (("fsize", "f", "the largest file"), ("as", "v", "the address space")):
        limit = limits.get(name, _UNLIMITED)
        if limit != _UNLIMITED and limit < wanted_bytes:
            text = f"{what} may have {human_size(limit)}, less than a space of {human_size(wanted_bytes)}"
            findings.append(Finding("limits", Level.FAIL, text, f"ulimit -{flag} unlimited"))
    return findings or [Finding("limits", Level.OK, f"none that bites ({files} open files)")]
