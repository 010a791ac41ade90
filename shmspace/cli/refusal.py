"""What a command raises when it ends with an exit code of its own."""

from __future__ import annotations


class Refusal(Exception):
    """The command could not do what was asked; its text is the one line that goes to standard error, exit code 1."""


class Misuse(Exception):
    """The input of a command makes no sense; its text is the one line that goes to standard error, exit code 2."""


class ProblemsFound(Exception):
    """The command did its work and printed what it found, and that is not healthy: exit code 1, nothing more to say."""
