"""Who does a call: a thread of its own, or whoever asks, at once."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Idle:
    """What a render yields while it can only wait, for its files or for another render."""


class Doer(Protocol):
    """Does calls in the order in which they come."""

    def do(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call, or line it up; the future tells what becomes of it."""


class Hand:
    """A thread that does calls one after another.

    Not an executor: a process that dies would wait for its thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def do(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call as soon as those before it are over, unless it is cancelled before."""
        future: Future[T] = Future()
        self._calls.put(lambda: fulfil(future, call))
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


class Here:
    """Does calls at once."""

    def do(self, call: Callable[[], T]) -> "Future[T]":
        """Return what became of a call."""
        future: Future[T] = Future()
        fulfil(future, call)
        return future


def fulfil(future: "Future[T]", call: Callable[[], T]) -> None:
    """Do a call whose future is not cancelled, and let that tell what became of it."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


class Errands(Generic[T]):
    """Calls of one render, and what comes of them, in the order in which they were asked for."""

    def __init__(self, doer: Doer) -> None:
        self._doer = doer
        self._calls: deque[Future[T | None]] = deque()

    def ask(self, call: Callable[[], T | None]) -> None:
        """Let a call be done."""
        self._calls.append(self._doer.do(call))

    def done(self) -> Iterator[T]:
        """Yield what came of those that are over; raise what one of them raised."""
        while self._calls and self._calls[0].done():
            if (made := self._calls.popleft().result()) is not None:
                yield made

    def rest(self) -> Iterator[T | Idle]:
        """Yield what comes of all, and Idle where that is not yet known."""
        while self._calls:
            yield from self.done()
            if self._calls:
                yield Idle()

    def drop(self) -> None:
        """Let none begin that has not begun."""
        for call in self._calls:
            call.cancel()
