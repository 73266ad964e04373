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
from dataclasses import dataclass, field
from typing import BinaryIO, NoReturn

from bot.engine.cards import EngineName
from bot.engine.contract import Engine, Idle, Rendering
from bot.engine.messages import (
    Alive,
    Cancel,
    Cancelled,
    Command,
    Done,
    Failed,
    Finish,
    Progress,
    Render,
    Report,
    command,
    encode,
)
from bot.engine.pipes import own_stdout, receive
from bot.engine.pulse import pulse
from bot.errors import JobError, OperatorError
from bot.values import Fault

log = logging.getLogger(__name__)

REPORT_INTERVAL = 0.1
"""Seconds between two reports of a render's progress."""

IDLE_PAUSE = 0.01
"""Seconds between two looks at renders that all wait."""


@dataclass(slots=True, eq=False)
class AcceptedOrder:
    """All that is known of an order until its last report; one without a rendering waits."""

    order: Render
    rendering: Rendering | None = None
    finishing: threading.Event = field(default_factory=threading.Event)
    progress: Progress | None = None
    """What was made since progress was last reported."""
    told: float = -math.inf
    """When that was, in seconds of a clock that nobody sets."""


class Worker:
    """Steps the admitted renders in turn and answers for each exactly once."""

    def __init__(self, engine: Engine, inbox: "queue.Queue[Command]", out: BinaryIO) -> None:
        self._engine, self._inbox, self._out = engine, inbox, out
        self._orders: dict[int, AcceptedOrder] = {}
        """In the order in which they came, which is that of their turns."""
        self._pause = 0.0

    def run(self) -> NoReturn:
        """Work until the process ends."""
        self._say(self._engine.ready())
        while True:
            self._receive()
            self._admit()
            with pulse(lambda left: self._say(Alive(left=left)), self._engine.expected()):
                self._engine.step()
            turns = [self._turn_to(each) for each in list(self._orders.values()) if each.rendering]
            self._pause = IDLE_PAUSE if turns and not any(turns) else 0.0

    def _receive(self) -> None:
        """Carry out the commands received; wait for one if there is nothing else to do."""
        with contextlib.suppress(queue.Empty):
            self._obey(self._inbox.get(timeout=self._pause if self._orders else None))
            while True:
                self._obey(self._inbox.get_nowait())

    def _obey(self, command: Command) -> None:
        if isinstance(command, Render):
            self._orders[command.id] = AcceptedOrder(command)
        elif accepted := self._orders.get(command.id):  # else it ended while this was on its way
            match command:
                case Cancel():
                    self._retire(accepted, Cancelled(id=command.id))
                case Finish():
                    accepted.finishing.set()

    def _admit(self) -> None:
        for waiting in [each for each in self._orders.values() if not each.rendering]:
            # The last may have more takes than there is room for: what begins them lets them wait.
            if self._takes(waiting.order.model) < self._engine.slots(waiting.order.model):
                waiting.rendering = self._engine.render(waiting.order, waiting.finishing.is_set)

    def _takes(self, model: str) -> int:
        """Return how many takes of a model are under way."""
        under_way = (each.order for each in self._orders.values() if each.rendering)
        return sum(len(order.parts) for order in under_way if order.model == model)

    def _turn_to(self, accepted: AcceptedOrder) -> bool:
        """Advance a render, and return whether it could."""
        assert accepted.rendering
        number = accepted.order.id
        try:
            said = next(accepted.rendering)
            if said and not isinstance(said, Idle):
                self._tell(accepted, said)
            return not isinstance(said, Idle)
        except StopIteration:
            self._retire(accepted, Done(id=number))
        except JobError as error:
            self._retire(accepted, Failed(id=number, fault=error.fault, reason=str(error)))
        return True

    def _retire(self, accepted: AcceptedOrder, last: Report) -> None:
        del self._orders[accepted.order.id]
        if accepted.rendering:
            accepted.rendering.close()  # before it is told: a cancelled render has left no files
        self._tell(accepted, last)

    def _tell(self, accepted: AcceptedOrder, said: Report) -> None:
        """Report on a render, after any progress that was held back."""
        if isinstance(said, Progress):
            accepted.progress, now = said, time.monotonic()
            if now - accepted.told < REPORT_INTERVAL:
                return
            accepted.told = now
        if accepted.progress:
            self._say(accepted.progress)
            accepted.progress = None
        if not isinstance(said, Progress):
            self._say(said)

    def _say(self, message: Report) -> None:
        self._out.write(encode(message))
        self._out.flush()


def main(arguments: Sequence[str] | None = None) -> int:
    """Load the engine that the arguments name and serve the bot at the other end of the pipes."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the bot ends it, by closing its end of the pipe
    out = own_stdout()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    inbox: queue.Queue[Command] = queue.Queue()
    given = command, inbox.put
    threading.Thread(target=receive, args=given, daemon=True, name="inbox").start()
    try:
        Worker(load(_parser().parse_args(arguments)), inbox, out).run()
    except OperatorError as error:
        out.write(encode(Failed(id=0, fault=Fault.LOAD, reason=str(error))))
        out.flush()
        return 1
    except Exception as error:
        _die(error)


def load(options: argparse.Namespace) -> Engine:
    """Return the engine that the options name; raise OperatorError if it cannot start."""
    return LOADERS[options.engine](options)


def _sketch(options: argparse.Namespace) -> Engine:
    from bot.engine.sketch.engine import Sketch

    return Sketch(options.pace, finishes=options.finish == "on")


def _musicgen(options: argparse.Namespace) -> Engine:
    from bot.engine.repertoire import Repertoire
    from bot.engine.settings import EngineSettings

    settings = EngineSettings(
        device=options.device,
        precision=options.precision,
        slots=options.slots,
        kernels=options.kernels,
        finishes=options.finish == "on",
    )
    return Repertoire(options.model, settings, options.models_loaded, some=options.some)


LOADERS = {EngineName.MUSICGEN: _musicgen, EngineName.SKETCH: _sketch}
"""How each engine starts; only then are its libraries imported."""


def _die(error: Exception) -> NoReturn:
    """End the process at once; its last words, which the bot quotes, are the error's first line."""
    traceback.print_exception(error)
    log.critical("%s: %s", type(error).__name__, str(error).strip().partition("\n")[0])
    os._exit(1)  # at an orderly exit a broken GPU's libraries would print last


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bot.engine.worker")
    parser.add_argument("--engine", type=EngineName, choices=list(EngineName), required=True)
    parser.add_argument("--model", action="append")
    parser.add_argument("--models-loaded", type=int)
    parser.add_argument("--some", action="store_true")
    parser.add_argument("--device", choices=("auto", "cuda", "cpu"), default="auto")
    parser.add_argument("--precision", default="auto")
    parser.add_argument("--kernels", default="auto")
    parser.add_argument("--slots", type=int)
    parser.add_argument("--finish", choices=("on", "off"), default="on")
    parser.add_argument("--pace", type=float, default=0.0)
    return parser


if __name__ == "__main__":
    sys.exit(main())
