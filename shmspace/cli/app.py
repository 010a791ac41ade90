"""The command `shmspace`: the group of all commands, and what becomes of each way in which a command can end.

1. Exit codes: 0 done, 1 refused or found problems, 2 misuse, 130 after Ctrl-C and 141 when the reader of a pipe has
   left (128 plus the signal, as a shell reports it).
2. An error is one line on standard error. A traceback appears only if SHMSPACE_DEBUG is set.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Sequence

import click

from shmspace.cli.check import check
from shmspace.cli.demo.command import demo
from shmspace.cli.doctor.command import doctor
from shmspace.cli.gc import gc
from shmspace.cli.get import get, take
from shmspace.cli.ls import ls
from shmspace.cli.members import members
from shmspace.cli.output import one_line
from shmspace.cli.put import out, put
from shmspace.cli.recv import recv
from shmspace.cli.refusal import Misuse, ProblemsFound, Refusal
from shmspace.cli.rm import rm
from shmspace.cli.send import send
from shmspace.cli.stat import stat
from shmspace.cli.store import delete, list_, set_
from shmspace.cli.tail import tail
from shmspace.cli.watch import watch
from shmspace.errors import InvalidName, ShmspaceError

_DONE, _REFUSED, _MISUSE, _INTERRUPTED, _PIPE_CLOSED = 0, 1, 2, 130, 141


@click.group(no_args_is_help=False, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="shmspace", prog_name="shmspace")
def cli() -> None:
    """Look at, use and tidy up spaces in shared memory.

    Exit codes: 0 done, 1 refused or found problems, 2 misuse.
    """


for _command in (check, delete, demo, doctor, gc, get, list_, ls, members, out, put, recv, rm, send, set_, stat, tail):
    cli.add_command(_command)
for _command in (take, watch):
    cli.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command, by default that of `sys.argv`, and return its exit code.

    >>> main(["ls", "--nonsense"])
    2
    """
    _prepare_streams()
    try:
        code = _run(sys.argv[1:] if arguments is None else list(arguments))
        sys.stdout.flush()  # here, where a full disk or a closed pipe can still be told
        return code
    except BrokenPipeError:
        code = _PIPE_CLOSED
    except OSError as error:
        _complain(str(error))
        code = _REFUSED
    except KeyboardInterrupt:
        code = _INTERRUPTED
    _forget_output()
    return code


def _run(arguments: list[str]) -> int:
    # click's own main() takes every EOFError and KeyboardInterrupt for an abort and says so; ours mean other things.
    try:
        with cli.make_context("shmspace", arguments) as context:
            cli.invoke(context)
        return _DONE
    except click.exceptions.Exit as leaving:
        return leaving.exit_code
    except click.UsageError as error:
        where = error.ctx.command_path if error.ctx else "shmspace"
        _complain(f"{error.format_message()} (see '{where} --help')")
        return _MISUSE
    except (Misuse, InvalidName) as error:
        _complain(str(error))
        return _MISUSE
    except ProblemsFound:
        return _REFUSED
    except (BrokenPipeError, KeyboardInterrupt):
        raise
    except (click.Abort, click.ClickException, Refusal, ShmspaceError, OSError) as error:
        _complain(error.format_message() if isinstance(error, click.ClickException) else str(error))
        return _REFUSED
    except Exception as error:
        if os.environ.get("SHMSPACE_DEBUG"):
            raise
        _complain(f"internal error: {type(error).__name__}: {error} (SHMSPACE_DEBUG=1 shows the traceback)")
        return _REFUSED


def _complain(message: str) -> None:
    # Standard error may be closed or full as well, and then there is nobody left to tell.
    with contextlib.suppress(OSError):
        print(f"shmspace: {one_line(message)}", file=sys.stderr, flush=True)


def _prepare_streams() -> None:
    # A stream that was closed by the caller is None. One that cannot show a character shows its escape instead.
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w")  # noqa: SIM115  (lives as long as the process)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(errors="backslashreplace")


def _forget_output() -> None:
    # The interpreter flushes standard output once more as it leaves, and would complain about the same thing again.
    with contextlib.suppress(OSError, ValueError):
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
