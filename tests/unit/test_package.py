"""What `import shmspace` gives, and what it does not load before it is asked for."""

from __future__ import annotations

import subprocess
import sys

import pytest

import shmspace


def test_all_that_is_promised_can_be_reached() -> None:
    for name in shmspace.__all__:
        assert getattr(shmspace, name) is not None
    assert set(shmspace.__all__) <= set(dir(shmspace))
    assert issubclass(shmspace.Executor, object)
    assert shmspace.mp.Queue.__module__ == "shmspace.mp"
    with pytest.raises(AttributeError, match="no attribute 'no_such'"):
        shmspace.no_such  # noqa: B018


def test_what_needs_multiprocessing_is_loaded_when_it_is_asked_for() -> None:
    program = """if True:
        import sys, shmspace
        print([name for name in ("multiprocessing", "numpy", "shmspace.mp") if name in sys.modules])
        shmspace.mp, shmspace.Executor
        print("shmspace.mp" in sys.modules, "shmspace.executor" in sys.modules)
    """
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\nTrue True\n"
