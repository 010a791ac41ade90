"""What tests have an `Executor` call; everything is importable by name, however the workers are started."""

from __future__ import annotations

import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.helpers.peer_wait import until


def same(value: Any) -> Any:
    return value


def add(left: Any, right: Any = 1) -> Any:
    return left + right


def named(*args: Any, **kwargs: Any) -> tuple[Any, Any]:
    return args, kwargs


def divide(left: float, right: float) -> float:
    return left / right


def my_pid(*_: Any) -> int:
    return os.getpid()


def note(file: Path, text: str = "x") -> None:
    """Add a line to a file, with one system call."""
    descriptor = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(descriptor, f"{text}\n".encode())
    finally:
        os.close(descriptor)


def lines(file: Path) -> list[str]:
    return file.read_text().splitlines() if file.exists() else []


def wait_for(file: Path, value: Any = None) -> Any:
    """Say in `file`.begun that it has begun, wait until the file is there, give the value."""
    note(file.with_suffix(".begun"), str(os.getpid()))
    until(file.exists, f"{file} to be made")
    return value


def begun(file: Path) -> int:
    """Wait until a call of `wait_for` has begun; the pid of its worker."""
    found = until(lambda: lines(file.with_suffix(".begun")), "a task to begin")
    return int(found[-1])


# Deaths


def kill_me(log: Path | None = None) -> None:
    if log:
        note(log, str(os.getpid()))
    os.kill(os.getpid(), signal.SIGKILL)


def exit_hard(code: int = 3) -> None:
    os._exit(code)


def kill_me_at_first(log: Path, times: int, value: Any) -> Any:
    """Kill the worker the first so many times; then give the value."""
    note(log, str(os.getpid()))
    if len(lines(log)) <= times:
        os.kill(os.getpid(), signal.SIGKILL)
    return value


# What is raised


class Demanding(Exception):
    """Cannot be unpickled: its arguments are not what it is made with."""

    def __init__(self, first: str, second: str, third: str) -> None:
        super().__init__(f"{first} {second} {third}")


class Detailed(Exception):
    """Has attributes, and says how it is to be pickled."""

    def __init__(self, code: int, *, hint: str) -> None:
        super().__init__(code)
        self.code, self.hint = code, hint

    def __reduce__(self) -> Any:
        return _detailed, (self.code, self.hint)


def _detailed(code: int, hint: str) -> Detailed:
    return Detailed(code, hint=hint)


class Holding(Exception):
    """Cannot be pickled: it holds a lock."""

    def __init__(self) -> None:
        super().__init__("it holds a lock")
        self.lock = threading.Lock()


def fail(kind: type[BaseException], *args: Any, **kwargs: Any) -> None:
    raise kind(*args, **kwargs)


def fail_because_of_another() -> None:
    try:
        raise LookupError("the deeper reason")
    except LookupError as error:
        raise ValueError("what is seen") from error


# What cannot travel


class Stubborn:
    """Cannot be pickled, and says so in its own way."""

    def __reduce__(self) -> Any:
        raise ArithmeticError("I stay here")


class Brittle:
    """Can be pickled, and breaks when it is unpickled."""

    def __reduce__(self) -> Any:
        return _break, ()


def _break() -> None:
    raise ArithmeticError("broken on the way")


class Fatal:
    """Ends whoever unpickles it, if he lets it."""

    def __reduce__(self) -> Any:
        return _leave, ()


def _leave() -> None:
    raise SystemExit("from unpickling")


def make(kind: type[Any]) -> Any:
    return kind()


def give_a_lock() -> Any:
    return threading.Lock()


# Initializers

settings: dict[str, Any] = {}


def configure(**_: Any) -> None:
    settings.update(_)


def set_up(name: str, value: Any) -> None:
    settings[name] = value


def set_up_and_note(log: Path) -> None:
    note(log, str(os.getpid()))


def setting(name: str) -> Any:
    return settings[name]


def kill_me_at_first_start(log: Path, times: int) -> None:
    """An initializer that kills its worker the first so many times."""
    note(log, str(os.getpid()))
    if len(lines(log)) <= times:
        os.kill(os.getpid(), signal.SIGKILL)


# References


class Witness:
    """Writes a line when it is collected."""

    def __init__(self, log: Path) -> None:
        self._log = log

    def __del__(self) -> None:
        note(self._log)

    def __reduce__(self) -> Any:
        return _witnessed, ()


def _witnessed() -> str:
    return "the witness was here"


def bear_witness(log: Path) -> Witness:
    return Witness(log)


def squares(numbers: list[int]) -> Iterator[int]:
    return (number * number for number in numbers)


def within_itself(make_executor: Callable[[], Any], number: int) -> int:
    """Use an executor within a task."""
    with make_executor() as inner:
        return int(sum(inner.map(add, range(number))))


def pickled_size(value: Any) -> int:
    return len(pickle.dumps(value))
