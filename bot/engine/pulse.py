"""Signs of life while a step lasts, so that nobody takes a long one for the end of the child."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

PULSE_INTERVAL = 20.0
"""Seconds between two signs of life; the bot takes a longer silence than this for a death."""

PULSE_LEEWAY = 2.0
"""How many times longer than expected a step may last: others use the machine as well."""


@contextmanager
def pulse(beat: Callable[[float], None], expected: float) -> Iterator[None]:
    """Call `beat` from a thread now and then while the block runs, if it is expected to be long.

    It is told how many seconds are left of those, with some leeway, after which that ends: a step
    that hangs is silent then.
    """
    if PULSE_LEEWAY * expected < PULSE_INTERVAL:
        yield
        return
    over, until = threading.Event(), time.monotonic() + PULSE_LEEWAY * expected

    def beats() -> None:
        while not over.wait(PULSE_INTERVAL) and (left := until - time.monotonic()) > 0:
            beat(left)

    thread = threading.Thread(target=beats, name="pulse", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
