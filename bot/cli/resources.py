"""Whether what the arguments name can be used: tried before anything starts in vain."""

import socket
import tempfile
from pathlib import Path

from bot.errors import OperatorError


def require_folder(folder: Path, named: str) -> None:
    """Make a folder if need be; raise OperatorError if no file can be written in it."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise OperatorError(f"{named} cannot be written: {error.strerror}.") from error


def require_port(number: int, named: str) -> None:
    """Raise OperatorError for a port of this machine that is taken or not ours to take."""
    if trouble := port_trouble("127.0.0.1", number):
        raise OperatorError(f"{named} is not available: {trouble}.")


def port_trouble(host: str, number: int) -> str:
    """Return why a port cannot be listened on, or ""."""
    try:
        socket.create_server((host, number)).close()
    except OSError as error:
        return (error.strerror or str(error)).partition(" (")[0]  # it repeats the address there
    return ""


def free_port(host: str) -> int:
    """Return a port that nobody listens on."""
    with socket.create_server((host, 0)) as server:
        return int(server.getsockname()[1])
