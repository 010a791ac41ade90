"""The examples in the docstrings run and give what they show."""

from __future__ import annotations

import doctest
import importlib
from pathlib import Path

import pytest

import shmspace

_PACKAGE = Path(shmspace.__file__).parent
# Only the build runs the one, and the other is a program.
_NO_EXAMPLES = {"shmspace._native.build", "shmspace.__main__"}


def _modules() -> list[str]:
    names = set()
    for path in _PACKAGE.rglob("*.py"):
        parts = path.relative_to(_PACKAGE.parent).with_suffix("").parts
        names.add(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return sorted(names - _NO_EXAMPLES)


@pytest.mark.parametrize("name", _modules())
def test_the_examples_run(name: str) -> None:
    failed, _ = doctest.testmod(importlib.import_module(name))
    assert failed == 0
