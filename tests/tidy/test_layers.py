"""A file includes or imports only what lies below it: the order of the layers, in C and in Python."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.helpers.tree import ROOT, source_files

# C: directories of csrc, lowest first. What stands in csrc/include is for all.
C_LAYERS = ("base", "os", "core", "types", "persist", "audit", "api")
C_CARRIERS = {"ring", "fifo", "table"}  # those that the other types are made of
SYSTEM_CALL_HEADERS = {"sys/mman.h", "fcntl.h", "unistd.h", "sys/syscall.h", "pthread.h"}

# Python: modules of shmspace, lowest layer first; a directory is one module.
_STRUCTURES = """
    attachment bell space structures facts handle shelf lock view channel log log_stream log_handler record
    sharded_log tuples queue entry patch cabinet store_lock watch store aio aio_line aio_values aio_log aio_store
    private freight mp executor executor_pool executor_worker files
    limits limit_storage limit_windows metrics metric_slots
"""
PYTHON_LAYERS: tuple[frozenset[str], ...] = (
    frozenset({"errors", "codec", "ndarray", "options", "defaults", "layout"}),
    frozenset({"_native"}),
    frozenset(_STRUCTURES.split()),
    frozenset({"__init__"}),
    frozenset({"supervisor"}),
    frozenset({"cli"}),
    frozenset({"__main__"}),
)
NATIVE_ONLY = {"cffi", "_cffi_backend"}

_INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)


def c_violations(root: Path) -> list[str]:
    """Name every include in csrc that goes up or sideways, or leaves the operating system to another layer than os."""
    files = {path for path in source_files(root) if path.parts[0] == "csrc"}
    found = []
    for path in sorted(files):
        if path.suffix not in {".c", ".h"} or "vendor" in path.parts:
            continue
        for style, name in _INCLUDE.findall((root / path).read_text()):
            problem = _system_problem(path, name) if style == "<" else _include_problem(path, name, files)
            if problem:
                found.append(f"{path}: {name}: {problem}")
    return found


def _system_problem(path: Path, name: str) -> str | None:
    if name in SYSTEM_CALL_HEADERS and path.parts[1] not in {"os", "bench"}:  # a benchmark is a program, no layer
        return "only csrc/os makes system calls"
    return None


def _include_problem(path: Path, name: str, files: set[Path]) -> str | None:
    places = (path.parent, Path("csrc"), Path("csrc/include"))
    target = next((file for place in places if (file := _normal(place / name)) in files), None)
    if target is None:
        return "there is no such file in csrc"
    here, there = path.parts[1], target.parts[1]  # the directories, which are the layers
    if there == "include" or "vendor" in target.parts:
        return None
    if here == "bench":
        return None
    if here not in C_LAYERS:
        return "csrc/include includes nothing but itself" if here == "include" else f"{here} is no layer"
    if there not in C_LAYERS:
        return f"{there} is no layer"
    if C_LAYERS.index(there) > C_LAYERS.index(here):
        return f"{there} lies above {here}"
    if here == there == "types":
        noun = target.stem.split("_")[0]
        if noun != path.stem.split("_")[0] and noun not in C_CARRIERS:
            return "types do not include each other, save ring, fifo and table"
    return None


def _normal(path: Path) -> Path:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and parts:
            parts.pop()
        else:
            parts.append(part)
    return Path(*parts)


def python_violations(root: Path) -> list[str]:
    """Name every import in shmspace that goes up, and every import of cffi or the extension outside `_native`.

    Imports under ``if TYPE_CHECKING:`` are free: they exist for the type checker only.
    """
    found = []
    for path in source_files(root):
        if path.parts[0] != "shmspace" or path.suffix != ".py":
            continue
        here = _module(path.parts[1])
        if _layer(here) is None:
            found.append(f"{path}: {here} has no layer; give it one in PYTHON_LAYERS")
            continue
        for name in _imports(root / path, path):
            problem = _import_problem(here, name)
            if problem:
                found.append(f"{path}: {name}: {problem}")
    return found


def _module(part: str) -> str:
    return part.removesuffix(".py")


def _layer(module: str) -> int | None:
    return next((rank for rank, modules in enumerate(PYTHON_LAYERS) if module in modules), None)


def _import_problem(here: str, name: str) -> str | None:
    package, *rest = name.split(".")
    if here != "_native" and (package in NATIVE_ONLY or name.startswith("shmspace._native._core")):
        return "only _native knows cffi"
    if package != "shmspace":
        return None
    # A name that is no module, as in `from shmspace import Space`, comes from the package itself.
    there = rest[0] if rest and _layer(rest[0]) is not None else "__init__"
    below, above = _layer(there), _layer(here)
    assert below is not None
    assert above is not None
    return f"{there} lies above {here}" if below > above else None


def _imports(file: Path, path: Path) -> Iterator[str]:
    """Give the full dotted name of everything that a file imports, at the top or within functions."""
    tree = ast.parse(file.read_text(), str(path))
    for_types = {id(inner) for node in ast.walk(tree) if _is_type_checking(node) for inner in ast.walk(node)}
    package = path.parts[:-1]
    for node in ast.walk(tree):
        if id(node) in for_types:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*up, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_type_checking(node: ast.AST) -> bool:
    if not isinstance(node, ast.If):
        return False
    return ast.unparse(node.test) in {"TYPE_CHECKING", "typing.TYPE_CHECKING"}


def test_c_includes_only_what_lies_below() -> None:
    assert c_violations(ROOT) == []


def test_python_imports_only_what_lies_below() -> None:
    assert python_violations(ROOT) == []


def test_the_layers_have_something_in_them() -> None:
    parts = {path.parts[:2] for path in source_files(ROOT)}
    assert {("csrc", "base"), ("csrc", "core"), ("shmspace", "_native"), ("shmspace", "cli")} <= parts


def write(root: Path, path: str, text: str) -> None:
    """Put one file into a tree that is being made up."""
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text)


@pytest.mark.parametrize(
    ("path", "include", "problem"),
    [
        ("csrc/core/lock.c", '"base/bits.h"', None),
        ("csrc/core/lock.c", '"../base/bits.h"', None),
        ("csrc/core/lock.c", '"lock.h"', None),
        ("csrc/base/bits.c", '"shmspace.h"', None),
        ("csrc/base/bits.c", '"core/lock.h"', "core lies above base"),
        ("csrc/core/lock.c", '"types/ring.h"', "types lies above core"),
        ("csrc/types/queue.c", '"types/table.h"', None),
        ("csrc/types/queue.c", '"queue.h"', None),
        ("csrc/types/log.c", '"types/queue.h"', "save ring, fifo and table"),
        ("csrc/types/ring.c", '"types/queue.h"', "save ring, fifo and table"),
        ("csrc/core/lock.c", '"core/gone.h"', "no such file"),
        ("csrc/include/shmspace.h", '"base/bits.h"', "nothing but itself"),
        ("csrc/core/lock.c", "<sys/mman.h>", "only csrc/os"),
        ("csrc/core/lock.c", "<stdint.h>", None),
        ("csrc/os/map.c", "<sys/mman.h>", None),
        ("csrc/misc/a.c", '"base/bits.h"', "misc is no layer"),
    ],
)
def test_an_include_that_turns_an_arrow_is_found(tmp_path: Path, path: str, include: str, problem: str | None) -> None:
    for header in ("base/bits", "core/lock", "types/ring", "types/table", "types/queue", "include/shmspace"):
        write(tmp_path, f"csrc/{header}.h", "")
    write(tmp_path, path, f"#include {include}\n")
    found = c_violations(tmp_path)
    assert [problem in text for text in found] == [True] if problem else found == []


@pytest.mark.parametrize(
    ("path", "code", "problem"),
    [
        ("codec.py", "from .errors import CodecError", None),
        ("channel.py", "from shmspace import codec, _native", None),
        ("channel.py", "from ._native import ring", None),
        ("cli/ls.py", "import shmspace\nfrom shmspace import Space", None),
        ("cli/ls.py", "from ..layout import HEADER", None),
        ("__main__.py", "from shmspace.cli.app import main", None),
        ("errors.py", "from . import space", "space lies above errors"),
        ("codec.py", "def f():\n    from ._native import x", "_native lies above codec"),
        ("codec.py", "import shmspace", "__init__ lies above codec"),
        ("channel.py", "from shmspace import Space", "__init__ lies above channel"),
        ("channel.py", "import shmspace.cli", "cli lies above channel"),
        ("channel.py", "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from .cli import x", None),
        ("__init__.py", "from .supervisor import serve", "supervisor lies above __init__"),
        ("channel.py", "import cffi", "only _native knows cffi"),
        ("channel.py", "from _cffi_backend import FFI", "only _native knows cffi"),
        ("channel.py", "from ._native import _core", "only _native knows cffi"),
        ("channel.py", "from ._native._core import lib", "only _native knows cffi"),
        ("_native/build.py", "import cffi", None),
        ("_native/call.py", "from ._core import lib", None),
        ("misc.py", "", "misc has no layer"),
    ],
)
def test_an_import_that_turns_an_arrow_is_found(tmp_path: Path, path: str, code: str, problem: str | None) -> None:
    write(tmp_path, f"shmspace/{path}", code + "\n")
    found = python_violations(tmp_path)
    assert [problem in text for text in found] == [True] if problem else found == []
