"""A process that has opened a space and makes there whatever call a test tells it to make.

with Puppet(space_name) as far:
    far.do("space.channel", "jobs", keep="ch")
    far.do("ch.send", b"x")              # its result; its exception is raised here
    far.begin("ch.recv")                 # without waiting for it
    far.until_blocked().result()
    far.enter("space.lock", "build", keep="held")
    far.look("held.owner_died")
    far.leave("held")
"""

from __future__ import annotations

import operator
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any

import shmspace
from tests.helpers.peer import Peer

Order = tuple[str, str, tuple[Any, ...], dict[str, Any], str]


class Puppet:
    """The test's end of a process that makes calls on a space."""

    def __init__(self, name: str, **options: Any) -> None:
        self.peer = Peer(dance, name, {"create": False, **options})
        try:
            self.result()
        except BaseException:
            self.peer.kill()
            raise

    @property
    def pid(self) -> int:
        return self.peer.pid

    def begin(self, call: str, *args: Any, keep: str = "", **kwargs: Any) -> Puppet:
        self.peer.tell(("do", call, args, kwargs, keep))
        return self

    def result(self) -> Any:
        """What the call under way returned; what it raised is raised here."""
        outcome = self.peer.said()
        if isinstance(outcome, Raised):
            raise outcome.error
        return outcome

    def do(self, call: str, *args: Any, keep: str = "", **kwargs: Any) -> Any:
        return self.begin(call, *args, keep=keep, **kwargs).result()

    def enter(self, call: str, *args: Any, keep: str, **kwargs: Any) -> None:
        """Make a context manager, enter it, and keep what `as` would name under `keep`."""
        self.begin_enter(call, *args, keep=keep, **kwargs).result()

    def begin_enter(self, call: str, *args: Any, keep: str, **kwargs: Any) -> Puppet:
        self.peer.tell(("enter", call, args, kwargs, keep))
        return self

    def leave(self, keep: str) -> None:
        self.peer.tell(("leave", keep, (), {}, ""))
        self.result()

    def look(self, path: str) -> Any:
        self.peer.tell(("look", path, (), {}, ""))
        return self.result()

    def until_blocked(self) -> Puppet:
        self.peer.until_blocked()
        return self

    def kill(self) -> None:
        self.peer.kill()

    def __enter__(self) -> Puppet:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.peer.__exit__(kind, error, trace)


class Raised:
    """An exception on its way to the test."""

    def __init__(self, error: BaseException) -> None:
        self.error = error


def dance(talk: Connection, name: str, options: dict[str, Any]) -> None:
    """The process's end: obey until the test hangs up."""
    things: dict[str, Any] = {}
    entered: dict[str, Any] = {}
    try:
        space = things["space"] = shmspace.open(name, **options)
    except shmspace.ShmspaceError as error:
        talk.send(Raised(error))
        return
    with space:
        talk.send(None)
        while True:
            try:
                order = talk.recv()
            except EOFError:
                return
            try:
                reply = obey(things, entered, order)
            except BaseException as error:
                reply = Raised(error)
            talk.send(reply)


def obey(things: dict[str, Any], entered: dict[str, Any], order: Order) -> Any:
    """Do one order; what is kept stays here, everything else goes back to the test."""
    verb, path, args, kwargs, keep = order
    if verb == "leave":
        entered.pop(path).__exit__(None, None, None)
        return None
    root, _, rest = path.partition(".")
    found = operator.attrgetter(rest)(things[root]) if rest else things[root]
    if verb == "look":
        return found
    result = found(*args, **kwargs)
    if verb == "enter":
        entered[keep] = result
        result = result.__enter__()
    if not keep:
        return result
    things[keep] = result
    return None
