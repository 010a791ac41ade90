"""Entry point; workers import this file too, so it imports nothing before it is asked to run."""

if __name__ == "__main__":
    import sys

    from benchmarks.cli import main

    sys.exit(main())
