"""``python -m shmspace``, and the entry point of the ``shmspace`` command."""

from __future__ import annotations

import sys

# What the `cli` extra installs; everything else that the command line imports comes with the package itself.
_EXTRA = {"click", "rich"}


def main() -> int:
    """Run the command line on `sys.argv`.

    Returns the exit code: 0 done, 1 refused or found problems, 2 misuse, 130 after Ctrl-C.
    """
    try:
        from shmspace.cli.app import main as run
    except ModuleNotFoundError as missing:
        if missing.name is None or missing.name.partition(".")[0] not in _EXTRA:
            raise
        print("shmspace: the command line needs click and rich: pip install shmspace[cli]", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return run()


if __name__ == "__main__":
    sys.exit(main())
