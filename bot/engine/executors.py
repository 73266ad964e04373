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
        """Start a call, or queue it; the future gets its outcome."""


class ThreadExecutor:
    """A thread that runs calls one after another.

    Not one of concurrent.futures: a process that dies would wait for its thread.
    """

    def __init__(self, name: str) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name=name, daemon=True).start()

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Start a call as soon as those before it have ended, unless it is cancelled first."""
        future: Future[T] = Future()
        self._calls.put(lambda: run_future(future, call))
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


class InlineExecutor:
    """Runs calls at once, in the thread that submits them."""

    def submit(self, call: Callable[[], T]) -> "Future[T]":
        """Return the outcome of a call."""
        future: Future[T] = Future()
        run_future(future, call)
        return future


def run_future(future: "Future[T]", call: Callable[[], T]) -> None:
    """Run a call whose future is not cancelled, and give the future its outcome."""
    if not future.set_running_or_notify_cancel():
        return
    try:
        future.set_result(call())
    except BaseException as error:  # whoever waits for it hears of it, whatever it is
        future.set_exception(error)


class Tasks(Generic[T]):
    """Calls of one render and their outcomes, in the order in which they were submitted.

    A call that returns None has nothing to yield.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor
        self._calls: deque[Future[T | None]] = deque()

    def submit(self, call: Callable[[], T | None]) -> None:
        self._calls.append(self._executor.submit(call))

    def finished(self) -> Iterator[T]:
        """Yield the results of those that have ended; raise what one of them raised."""
        while self._calls and self._calls[0].done():
            if (made := self._calls.popleft().result()) is not None:
                yield made

    def remaining(self) -> Iterator[T | Idle]:
        """Yield the results of all, and Idle while the next is not ready."""
        while self._calls:
            yield from self.finished()
            if self._calls:
                yield Idle()

    def cancel(self) -> None:
        """Cancel those that have not started."""
        for call in self._calls:
            call.cancel()
