"""The link's process: `python -m bot.engine.link ADDRESS COMMAND...`, Ray's driver.

It is a process of its own since Ray takes over signals, and ends its driver a minute after it has
lost the cluster's head.
"""

import asyncio
import logging
import os
import signal
import sys
import threading
from typing import NoReturn

import ray

from bot.engine.link.actors import Actors
from bot.engine.link.messages import FromLink, ToLink, Trouble, to_link
from bot.engine.link.session import told
from bot.engine.messages import encode
from bot.engine.pipes import own_stdout, receive
from bot.errors import OperatorError

CONNECT_TIMEOUT = 60.0
"""Seconds after which a cluster that has not answered is not there."""


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
    address, *words = sys.argv[1:]
    try:
        connect(address)
        actors = Actors(words, say, token=os.environ.get("RAY_AUTH_MODE") == "token")
        loop.run_until_complete(actors.serve(inbox))
    except OperatorError as error:
        say(Trouble(reason=str(error)))
    end(1)


def connect(address: str) -> None:
    """Become a driver of the cluster; raise OperatorError that says why not."""
    late = threading.Timer(CONNECT_TIMEOUT, end, (1,))
    late.daemon = True
    late.start()
    try:
        ray.init(address, namespace="fantasia", log_to_driver=False, logging_level=logging.ERROR)
    except Exception as error:  # of many kinds, and each has its words
        raise OperatorError(f"There is no cluster at {address}: {told(error)}") from error
    finally:
        late.cancel()
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)  # the bot ends it, by closing its end of the pipe


def end(code: int) -> NoReturn:
    """End at once: an orderly end would wait for a cluster that may be gone."""
    os._exit(code)


if __name__ == "__main__":
    main()
