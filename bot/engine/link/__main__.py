"""The link's process: `python -m bot.engine.link ADDRESS SILENCE COMMAND...`, Ray's driver.

It is a process of its own since Ray takes over signals, and ends its driver a minute after it has
lost the cluster's head.
"""

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import traceback

import ray

from bot.engine.conversation import LONGEST_LAST_WORDS
from bot.engine.link.actors import Actors
from bot.engine.link.messages import FromLink, ToLink, Trouble, to_link
from bot.engine.messages import encode
from bot.engine.pipes import own_stdout, receive
from bot.errors import OperatorError

REACH_TIMEOUT = 5.0
"""Seconds in which somebody listens at an address, if there is a cluster."""


def main() -> None:
    """Connect, and serve the bot at the other end of the pipes."""
    out = own_stdout()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(name)s: %(message)s")
    loop = asyncio.new_event_loop()
    inbox: asyncio.Queue[ToLink] = asyncio.Queue()

    def put(message: ToLink) -> None:
        loop.call_soon_threadsafe(inbox.put_nowait, message)

    def say(message: FromLink) -> None:
        out.write(encode(message))
        out.flush()

    threading.Thread(target=receive, args=(to_link, put), daemon=True, name="inbox").start()
    address, silence, *words = sys.argv[1:]
    try:
        reach(address)
        connect(address)
        token = os.environ.get("RAY_AUTH_MODE") == "token"
        actors = Actors(words, say, silence=float(silence), token=token)
        loop.run_until_complete(actors.serve(inbox))
    except OperatorError as error:
        say(Trouble(reason=str(error)))
    except Exception as error:
        traceback.print_exception(error)
    os._exit(1)  # an orderly end would wait for a cluster that may be gone


def reach(address: str) -> None:
    """Raise OperatorError if nobody listens: Ray itself would wait for a minute."""
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host, int(port)), REACH_TIMEOUT).close()
    except OSError as error:
        raise OperatorError(f"There is no cluster at {address}: {error}.") from error


def connect(address: str) -> None:
    """Become a driver of the cluster; raise OperatorError that says why not."""
    try:
        # Where a driver starts, its workers look for modules; but a node has its own Fantasia.
        with contextlib.chdir("/"):
            ray.init(
                address, namespace="fantasia", log_to_driver=False, logging_level=logging.ERROR
            )
    except Exception as error:  # of many kinds, and each has its words
        raise OperatorError(f"The cluster at {address} refuses the bot: {why(error)}") from error
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the bot ends it, by closing its end of the pipe


def why(error: Exception) -> str:
    """Return what kept a driver out, which Ray says of a token only where the error came from."""
    if "InvalidAuthToken" in f"{error.__cause__}":
        return "RAY_AUTH_TOKEN, or the file that RAY_AUTH_TOKEN_PATH names, is not its token."
    return " ".join(str(error).split())[:LONGEST_LAST_WORDS]


if __name__ == "__main__":
    main()
