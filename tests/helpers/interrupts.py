"""Ctrl-C at a chosen place: at each of those at which Python looks for signals while a frame of the library runs.

That is on entering a function, after a call of a function of C, and on going back in a loop. (Raised here, what comes
after the call in a `return` would miss the `try` around it, where Python would raise it: that place is left out.)
Functions that run when an object goes are left out too: what is raised there reaches nobody.
"""

from __future__ import annotations

import dis
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import shmspace
from shmspace import _native

PACKAGE = str(Path(shmspace.__file__).parent)
LOOKS_FOR_SIGNALS = ("CALL", "BACKWARD", "ABSOLUTE", "RESUME")
GOING = _native._gone.__code__


class Interrupt:
    """Runs a call and raises KeyboardInterrupt at its place number `place`."""

    def __init__(self, place: int) -> None:
        self._left = place
        self._returned_to: FrameType | None = None
        self.struck = False
        self.where = ""

    def run(self, work: Callable[[], Any]) -> None:
        """Do the work; `struck` says whether it had so many places."""
        before = threading.gettrace() if hasattr(threading, "gettrace") else None
        sys.settrace(self._enter)
        try:
            work()
        except KeyboardInterrupt:
            assert self.struck
        finally:
            sys.settrace(before)

    def _enter(self, frame: FrameType, event: str, _: Any) -> Any:
        if not frame.f_code.co_filename.startswith(PACKAGE) or _is_going(frame):
            return None
        frame.f_trace_opcodes = True
        frame.f_trace_lines = False
        return self._follow("RESUME")

    def _follow(self, last: str) -> Callable[[FrameType, str, Any], Any]:
        def step(frame: FrameType, event: str, _: Any) -> Any:
            nonlocal last
            if event == "return":
                self._returned_to = frame.f_back
            if event == "opcode":
                was_python, self._returned_to = self._returned_to is frame, None
                after, last = last, dis.opname[frame.f_code.co_code[frame.f_lasti]]
                if not was_python and last != "RETURN_VALUE" and any(name in after for name in LOOKS_FOR_SIGNALS):
                    self._left -= 1
                    if self._left < 0 and not self.struck:
                        self.struck = True
                        self.where = f"{frame.f_code.co_qualname}:{frame.f_lineno} after {after}"
                        raise KeyboardInterrupt
            return step

        return step


def _is_going(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code is GOING:
            return True
        frame = frame.f_back
    return False


def at_every_place(work: Callable[[], Any], afterwards: Callable[[], Any]) -> int:
    """Do the work again and again, interrupted one place later each time, until it is not; how many places it has."""
    place = 0
    while True:
        interrupt = Interrupt(place)
        interrupt.run(work)
        try:
            afterwards()
        except BaseException as error:
            error.add_note(f"after an interrupt at place {place}: {interrupt.where}")
            raise
        if not interrupt.struck:
            return place
        place += 1
