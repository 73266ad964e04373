"""Ports for programs that must be told one before they listen."""

import random
import socket
from contextlib import suppress

ASSIGNED = range(20_000, 32_768)
"""Below those that Linux gives whoever asks for any: nobody has a port of these by chance."""


def free_port(host: str = "127.0.0.1") -> int:
    """Return a port that nobody listens on, nor will before its program does."""
    for port in random.SystemRandom().sample(ASSIGNED, 99):
        with suppress(OSError), socket.create_server((host, port)):
            return port
    raise AssertionError(f"no port of {host} is free")
