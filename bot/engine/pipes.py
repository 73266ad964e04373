"""The bot at the other end of a process' pipes: what it sends, and what it is sent."""

import logging
import os
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from bot.engine.messages import ProtocolError

log = logging.getLogger(__name__)

T = TypeVar("T")


def own_stdout() -> BinaryIO:
    """Keep stdout for the protocol; whatever a library prints goes to stderr."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def receive(decode: Callable[[bytes], T], put: Callable[[T], object]) -> None:
    """Hand on what the bot sends, and end the process with it; made for a thread of its own."""
    # Not sys.stdin, whose lock this thread would hold when the process ends, which aborts Python.
    # Without this thread the process is deaf: it ends at once, even in the middle of a step.
    try:
        for line in os.fdopen(os.dup(0), "rb"):
            put(decode(line))
    except ProtocolError as error:
        log.critical("cannot read what the bot sent: %s", error)
        os._exit(1)
    os._exit(0)  # the bot is gone, so there is nothing left to do
