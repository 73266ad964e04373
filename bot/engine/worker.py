"""The child process: reads commands on stdin, writes reports on its own copy of stdout.

Each round (admit · step · retire) makes one step of the engine for all renders together, and then
turns to each of them: an iterator that yields once a round, is closed to cancel it, and asks
`finishing` whether to stop and keep what is done so far.
"""

import argparse
import contextlib
import logging
import math
import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Sequence
from functools import partial
from typing import BinaryIO, NoReturn

from bot.engine.cards import EngineName
from bot.engine.contract import Engine, Idle, Rendering
from bot.engine.messages import (
    Cancel,
    Cancelled,
    Command,
    Done,
    Failed,
    Finish,
    Progress,
    ProtocolError,
    Render,
    Report,
    command,
    encode,
)
from bot.errors import JobError, OperatorError
from bot.values import Fault

log = logging.getLogger(__name__)

REPORT_INTERVAL = 0.1
"""Seconds between two reports of a render's progress."""

IDLE_PAUSE = 0.01
"""Seconds between two looks at renders that all wait."""


class Worker:
    """Steps the admitted renders in turn and answers for each exactly once."""

    def __init__(self, engine: Engine, inbox: "queue.Queue[Command]", out: BinaryIO) -> None:
        self._engine = engine
        self._slots = engine.ready().slots
        self._inbox = inbox
        self._out = out
        self._waiting: dict[int, Render] = {}
        self._running: dict[int, Rendering] = {}
        self._takes: dict[int, int] = {}
        self._finishing: set[int] = set()
        self._pause = 0.0
        self._progress: dict[int, Progress] = {}
        """What was made since progress was last reported."""
        self._told: dict[int, float] = {}
        """When that was."""

    def run(self) -> None:
        """Work until the process ends."""
        self._say(self._engine.ready())
        while True:
            self._receive()
            self._admit()
            self._engine.step()
            turns = [self._turn_to(order) for order in list(self._running)]
            self._pause = IDLE_PAUSE if turns and not any(turns) else 0.0

    def _receive(self) -> None:
        """Carry out the commands received; wait for one if there is nothing else to do."""
        nothing = not self._running and not self._waiting
        with contextlib.suppress(queue.Empty):
            self._obey(self._inbox.get(timeout=None if nothing else self._pause))
            while True:
                self._obey(self._inbox.get_nowait())

    def _obey(self, order: Command) -> None:
        match order:
            case Render():
                self._waiting[order.id] = order
            case Cancel():
                self._cancel(order.id)
            case Finish():
                if order.id in self._waiting or order.id in self._running:
                    self._finishing.add(order.id)

    def _admit(self) -> None:
        while self._waiting and sum(self._takes.values()) < self._slots:
            order = self._waiting.pop(next(iter(self._waiting)))
            finishing = partial(self._finishing.__contains__, order.id)
            self._running[order.id] = self._engine.render(order, finishing)
            self._takes[order.id] = len(order.parts)

    def _turn_to(self, order: int) -> bool:
        """Advance a render, and return whether it could."""
        try:
            said = next(self._running[order])
            if said and not isinstance(said, Idle):
                self._tell(order, said)
            return not isinstance(said, Idle)
        except StopIteration:
            self._retire(order, Done(id=order))
        except JobError as error:
            self._retire(order, Failed(id=order, fault=error.fault, reason=str(error)))
        return True

    def _cancel(self, order: int) -> None:
        if self._waiting.pop(order, None) or order in self._running:
            self._retire(order, Cancelled(id=order))

    def _retire(self, order: int, last: Report) -> None:
        rendering = self._running.pop(order, None)
        if rendering is not None:
            rendering.close()
        self._takes.pop(order, None)
        self._finishing.discard(order)
        self._tell(order, last)
        self._told.pop(order, None)

    def _tell(self, order: int, said: Report) -> None:
        """Report on a render, after any progress that was held back."""
        if isinstance(said, Progress):
            self._progress[order] = said
            now = time.monotonic()
            if now - self._told.get(order, -math.inf) < REPORT_INTERVAL:
                return
            self._told[order] = now
        if progress := self._progress.pop(order, None):
            self._say(progress)
        if not isinstance(said, Progress):
            self._say(said)

    def _say(self, message: Report) -> None:
        self._out.write(encode(message))
        self._out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the engine that the arguments name and serve the bot at the other end of the pipes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the bot ends it, by closing its end of the pipe
    out = _own_stdout()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    inbox: queue.Queue[Command] = queue.Queue()
    threading.Thread(target=_read, args=(inbox,), daemon=True, name="inbox").start()
    try:
        engine = load(_parser().parse_args(arguments))
    except OperatorError as error:
        out.write(encode(Failed(id=0, fault=Fault.LOAD, reason=str(error))))
        out.flush()
        return 1
    except Exception as error:
        _die(error)
    try:
        Worker(engine, inbox, out).run()
    except Exception as error:
        _die(error)
    return 0


def load(options: argparse.Namespace) -> Engine:
    """Return the engine that the options name; raise OperatorError if it cannot start."""
    return LOADERS[options.engine](options)


def _sketch(options: argparse.Namespace) -> Engine:
    from bot.engine.sketch.engine import Sketch

    return Sketch(options.pace, finishes=options.finish == "on")


def _musicgen(options: argparse.Namespace) -> Engine:
    from bot.engine.musicgen.models import Repertoire

    return Repertoire(
        options.model or ["facebook/musicgen-small"],
        options.device,
        options.precision,
        options.slots,
        kernels=options.kernels,
        finishes=options.finish == "on",
        most=options.models_loaded,
    )


LOADERS = {EngineName.MUSICGEN: _musicgen, EngineName.SKETCH: _sketch}
"""How each engine starts; only then are its libraries imported."""


def _die(error: Exception) -> NoReturn:
    """End the process at once; its last words, which the bot quotes, are the error's first line."""
    traceback.print_exception(error)
    log.critical("%s: %s", type(error).__name__, str(error).strip().partition("\n")[0])
    os._exit(1)  # at an orderly exit a broken GPU's libraries would print last


def _own_stdout() -> BinaryIO:
    """Keep stdout for the protocol; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _read(inbox: "queue.Queue[Command]") -> None:
    # Not sys.stdin, whose lock this thread would hold when the process ends, which aborts Python.
    # Without this thread the process is deaf: it ends at once, even in the middle of a step.
    try:
        for line in os.fdopen(os.dup(0), "rb"):
            inbox.put(command(line))
    except ProtocolError as error:
        log.critical("cannot read what the bot sent: %s", error)
        os._exit(1)
    os._exit(0)  # the bot is gone, so there is nothing left to do


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot.engine.worker")
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--models-loaded", type=int, default=None)
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--slots", type=int, default=None)
    parser.add_argument("--finish", choices=("on", "off"), default="on")
    parser.add_argument("--pace", type=float, default=0.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
