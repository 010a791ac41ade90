"""Work for processes that get a Ctrl-C in the middle of a blocking call of a store."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import shmspace
from tests.helpers.peer_wait import Call


def _clear(st: shmspace.Store) -> str:
    st.clear()
    return "done"


def _hold(st: shmspace.Store) -> str:
    with st.lock("k") as held:
        held.set("taken")
    return "taken"


async def _hold_aio(st: shmspace.Store) -> str:
    async with st.aio.lock("k") as held:
        await held.set("taken")
    return "taken"


FOR_LOCKS: dict[str, Callable[[shmspace.Store], Any]] = {
    "set": lambda st: st.set("k", 1) and "done",
    "set with a timeout": lambda st: st.set("k", 1, timeout=1e6) and "done",
    "[]": lambda st: st.__setitem__("k", 1) or "done",
    "incr": lambda st: st.incr("k") and "done",
    "patch": lambda st: st.patch("k", {"a": 1}) and "done",
    "delete": lambda st: st.delete("k") and "done",
    "delete of a glob": lambda st: st.delete("*") and "done",
    "clear": _clear,
    "pop": lambda st: st.pop("k") and "done",
    "lock": _hold,
    "aio.set": lambda st: asyncio.run(st.aio.set("k", 1)) and "done",
    "aio.lock": lambda st: asyncio.run(_hold_aio(st)),
}
FOR_EVENTS: dict[str, Callable[[shmspace.Watch], Any]] = {
    "iteration": lambda watch: next(watch),
    "next": lambda watch: watch.next(),
    "next with a timeout": lambda watch: watch.next(timeout=1e6),
    "aio.next": lambda watch: asyncio.run(watch.aio.next()),
}


def wait_until_interrupted(talk: Connection, name: str, call: str) -> None:
    """Make one blocking call; say how it ended; make it again when told, and say so too."""
    with shmspace.open(name, create=False) as space:
        st = space.store()
        watch = st.watch()
        talk.send("ready")
        for _ in range(2):
            try:
                outcome = FOR_LOCKS[call](st) if call in FOR_LOCKS else FOR_EVENTS[call](watch).entry.value
            except KeyboardInterrupt:
                outcome = "interrupted"
            talk.send(outcome)
            talk.recv()


def watch_under_fire(talk: Connection, name: str) -> None:
    """Watch until told to stop, taking up again after every interrupt; says which values and how many interrupts came.

    `list.extend` keeps what it was given before an exception, and looks for no signals itself: every interrupt is
    raised by the watch, or when it has ended.
    """
    got: list[shmspace.Event] = []
    asking, interrupts = False, 0

    def handler(*_: object) -> None:
        nonlocal asking, interrupts
        if asking:
            asking = False
            interrupts += 1
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, handler)
    with shmspace.open(name, create=False) as space:
        watch = space.store().watch()
        talk.send("ready")

        def close_when_told() -> None:
            talk.recv()
            watch.close()

        closer = Call(close_when_told)
        while not watch.closed:
            try:
                asking = True
                got.extend(watch)
                asking = False
            except KeyboardInterrupt:
                pass
        asking = False
        closer.result()
    talk.send(([len(event.entry.value) if event.key == "long" else event.entry.value for event in got], interrupts))
