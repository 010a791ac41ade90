"""Work for other processes about stores: handles that travel and handles that are inherited."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from typing import Any

import shmspace
from tests.helpers.peer_wait import blocked
from tests.helpers.scenario_fork import in_child, refused


def answer(st: shmspace.Store) -> None:
    """Answer the question that is there."""
    with st.lock("question"):
        st["answer"] = st.pop("question") * 6


def give_a_store_away(talk: Connection, name: str, method: str) -> None:
    """Give a store to a process started in the given way; says how it ended."""
    with shmspace.open(name, create=False) as space:
        st = space.store()
        st["question"] = 7
        context: Any = multiprocessing.get_context(method)
        child = context.Process(target=answer, args=(st,))
        child.start()
        with st.watch("answer", start=0) as events:
            while next(events).key != "answer":
                pass
        child.join()
        talk.send(child.exitcode)


def use_what_was_inherited(talk: Connection, name: str) -> None:
    """Use a store, a watch and a held lock after a fork, on both sides; says `done`."""
    with shmspace.open(name, create=False) as space:
        st = space.store()
        st["k"] = 1
        events = st.watch()
        st["k"] = 2
        assert next(events).entry.value == 2
        st["k"] = 3
        waiting = blocked(next, st.watch("never"))
        with st.lock("l") as held:

            def work() -> list[Any]:
                found = [st["k"], next(events).entry.value, len(st)]
                st["child"] = held.key
                found += [refused(lambda: held.entry), refused(lambda: st.set("l", 1, timeout=0))]
                held.release()  # it stays the parent's
                return [*found, refused(lambda: st.lock("l", 0).__enter__())]

            found = in_child(work)
            assert found == [3, 3, 1, "Closed", "Locked", "Locked"], found
            held.set("mine")
        assert (next(events).entry.value, next(events).entry.value, next(events).entry.value) == (3, "l", "mine")
        assert st["child"] == "l"
        st.close()
        assert refused(waiting.result) == "Closed"
        talk.send("done")
