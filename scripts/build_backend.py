"""The build backend: setuptools, plus what its configuration file has no words for.

1. `cffi_modules`, a keyword of ``setup()`` that only a script could give.
2. The tag of the wheel: one abi3 wheel serves every Python from 3.10 on, except free-threaded builds, which have no
   stable ABI.
3. What the compiler and the next build need besides Python files, in the source distribution.
"""

from __future__ import annotations

import sysconfig
from pathlib import Path
from typing import Any

import setuptools
from setuptools import build_meta
from setuptools.command.sdist import sdist

# What setuptools' own backend offers as functions is offered here as methods of the object below.
__all__ = ["backend"]

_ROOT = Path(__file__).resolve().parent.parent
_SOURCES = ("CHANGELOG.md", "csrc/**/*", "shmspace/_native/*.[ch]", "scripts/build_backend.py")


class _Sdist(sdist):
    def make_distribution(self) -> None:
        for pattern in _SOURCES:
            self.filelist.extend(str(path.relative_to(_ROOT)) for path in _ROOT.glob(pattern) if path.is_file())
        self.filelist.sort()
        self.filelist.remove_duplicates()
        super().make_distribution()


class _Backend(build_meta._BuildMetaBackend):
    """The hooks of PEP 517 and 660 are inherited; all of them come through `run_setup`."""

    def run_setup(self, setup_script: str = "setup.py") -> None:
        options: dict[str, Any] = {}
        if not sysconfig.get_config_var("Py_GIL_DISABLED"):
            options["bdist_wheel"] = {"py_limited_api": "cp310"}
        setuptools.setup(
            cffi_modules=["shmspace/_native/build.py:ffibuilder"], cmdclass={"sdist": _Sdist}, options=options
        )


backend = _Backend()
