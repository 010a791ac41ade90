"""Build script of the one native extension: the C core, seen through cffi, with the hot methods of hot.c beside it.

The interface is cut out of csrc/include/shmspace.h between its two markers; the status codes come from
csrc/include/shmspace_errors.h. Nothing is written down a second time.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

import cffi

ROOT = Path(__file__).resolve().parents[2]
CSRC = ROOT / "csrc"
LAYERS = ("base", "os", "core", "types", "persist", "audit", "api")
HOT = "int shm_hot_install(void *module, void *checker);\n"


def declarations() -> str:
    """The C declarations that Python sees."""
    header = (CSRC / "include/shmspace.h").read_text()
    public = header.split("/* cffi: begin */")[1].split("/* cffi: end */")[0]
    public = re.sub(r"/\*.*?\*/", "", public, flags=re.DOTALL)
    table = (CSRC / "include/shmspace_errors.h").read_text()
    codes = re.findall(r"E\((SHM_\w+), (-?\d+),", table)
    return public + "enum shm_status {" + ", ".join(f"{name} = {code}" for name, code in codes) + "};\n" + HOT


def sources() -> list[str]:
    """Every C file of the core, and the hot methods, relative to the root of the tree."""
    files = [path for layer in LAYERS for path in sorted((CSRC / layer).glob("*.c"))]
    hot = sorted(Path(__file__).resolve().parent.glob("hot*.c"))
    return [str(path.relative_to(ROOT)) for path in [*files, *hot]]


def flags() -> list[str]:
    """Compiler flags; SHMSPACE_WERROR=1 makes warnings errors."""
    chosen = ["-std=gnu11", "-O2", "-fvisibility=hidden", "-Wall", "-Wextra"]
    if os.environ.get("SHMSPACE_WERROR") == "1":
        # cffi's generated code compares in ways that -Wextra dislikes
        chosen += ["-Werror", "-Wno-sign-compare", "-Wno-unused-parameter"]
    return chosen


ffibuilder = cffi.FFI()
ffibuilder.cdef(declarations())
ffibuilder.set_source(
    "shmspace._native._core",
    '#include "csrc/include/shmspace.h"\n' + HOT,
    sources=sources(),
    include_dirs=[str(ROOT)],
    extra_compile_args=flags(),
    py_limited_api=True,
)

if __name__ == "__main__":
    ffibuilder.compile(verbose=True)
