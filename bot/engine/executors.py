"""Executors of calls: a thread of its own, or the caller's, at once."""

import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Generic, Protocol, TypeVar

from bot.engine.contract import Idle

T = TypeVar("T")


class Executor(Protocol):
    """Runs calls in the order in which they come."""

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call, or line it up; the future tells what becomes of it."""


class ThreadExecutor:
    """A thread that runs calls one after another.

    Not one of concurrent.futures: a process that dies would wait for its thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call as soon as those before it are over, unless it is cancelled before."""
        future: Future[T] = Future()
        self._calls.put(lambda: run_future(future, call))
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


class InlineExecutor:
    """Runs calls at once, in the thread that submits them."""

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Return what became of a call."""
        future: Future[T] = Future()
        run_future(future, call)
        return future


def run_future(future: "Future[T]", call: Callable[[], T]) -> None:
    """Run a call whose future is not cancelled, and let that tell what became of it."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:
        future.set_exception(error)


class Tasks(Generic[T]):
    """Calls of one render, and what comes of them, in the order in which they were submitted."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._calls: deque[Future[T | None]] = deque()

    def submit(self, call: Callable[[], T | None]) -> None:
        """Let a call be run."""
        self._calls.append(self._executor.submit(call))

    def finished(self) -> Iterator[T]:
        """Yield what came of those that are over; raise what one of them raised."""
        while self._calls and self._calls[0].done():
            if (made := self._calls.popleft().result()) is not None:
                yield made

    def remaining(self) -> Iterator[T | Idle]:
        """Yield what comes of all, and Idle where that is not yet known."""
        while self._calls:
            yield from self.finished()
            if self._calls:
                yield Idle()

    def cancel(self) -> None:
        """Let none begin that has not begun."""
        for call in self._calls:
            call.cancel()
