"""What `shmspace tail` prints of a log."""

from __future__ import annotations

from datetime import datetime, timezone

import click

import shmspace
from shmspace.cli.output import plural
from shmspace.cli.value import to_json, to_line, to_text
from shmspace.errors import InvalidOffset
from shmspace.log import Log

_AT_ONCE = 256


def tail_log(log: Log, *, count: int, start: int | None, key: str | None, follow: bool, as_json: bool) -> None:
    """Print the last `count` records, or all from `start` on; with `follow` go on for ever. Only those with `key`."""
    position = _print_before(log, count, start, key, as_json)
    if not follow:
        return
    with log.stream(position, lost="skip") as stream:
        told = 0
        for record in stream:
            if stream.lost > told:
                missed = plural(stream.lost - told, "record")
                click.echo(f"shmspace: {missed} missed: the writers were faster", err=True)
                told = stream.lost
            if _is_wanted(record, key):
                _print_record(record, as_json)


def _print_before(log: Log, count: int, start: int | None, key: str | None, as_json: bool) -> int:
    """Print what there is; give the offset to go on at."""
    end = log.next_offset
    position = shmspace.OLDEST if start is None else start
    if start is None and key is None:
        first = log.range()
        position = max(first[0], end - count) if first else end
    if start is not None and start > end:
        return start
    last: list[shmspace.Record] = []
    while True:
        position, records = log.consume(position, _AT_ONCE)
        if not records or records[0].offset >= end:  # what came meanwhile is for those who follow
            break
        kept = [record for record in records if record.offset < end and _is_wanted(record, key)]
        if start is None:
            last = (last + kept)[-count:] if count else []
        else:
            for record in kept:
                _print_record(record, as_json)
        if records[-1].offset >= end:
            break
    for record in last:
        _print_record(record, as_json)
    return end


def _is_wanted(record: shmspace.Record, key: str | None) -> bool:
    return key is None or record.key == key.encode()


def _print_record(record: shmspace.Record, as_json: bool) -> None:
    key = None if record.key is None else to_json(record.key)
    if as_json:
        fields = {"offset": record.offset, "time": record.time, "key": key, "value": to_json(record.value)}
        print(to_line(fields), flush=True)
        return
    stamp = datetime.fromtimestamp(record.time // 1_000_000 / 1000, timezone.utc).isoformat(timespec="milliseconds")
    value = "(deleted)" if record.data is None else to_text(record.value)
    parts = [str(record.offset), stamp.replace("+00:00", "Z"), *([] if key is None else [to_text(key)]), value]
    print("  ".join(parts), flush=True)


def parse_start(text: str, log: Log) -> int:
    """Give the offset that ``--from`` means: a number, or ``oldest``."""
    if text == "oldest":
        found = log.range()
        return found[0] if found else log.next_offset
    if not text.isdecimal():
        raise InvalidOffset(f'--from {text!r}: it must be an offset or "oldest"')
    return int(text)
