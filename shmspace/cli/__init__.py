"""The command line, on click and rich (the ``cli`` extra).

One file per command. A command prints to standard output, returns nothing when it is done, and raises what stopped it;
`shmspace.cli.app` alone turns that into one line on standard error and an exit code.
"""
