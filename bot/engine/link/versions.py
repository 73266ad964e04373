"""Which versions meet: the bot's, and those of a node."""

import platform
from collections.abc import Mapping
from importlib import metadata

from bot import __version__
from bot.engine.messages import fingerprint

VERSIONED = {"fantasia": "Fantasia", "protocol": "the protocol", "ray": "Ray", "python": "Python"}


def here() -> dict[str, str]:
    """Return the versions of what runs this."""
    return {
        "fantasia": __version__,
        "protocol": fingerprint(),
        "ray": metadata.version("ray"),
        "python": platform.python_version(),
    }


def difference(mine: Mapping[str, str], theirs: Mapping[str, str]) -> str | None:
    """Return in which version a node differs from the bot, naming both; None if in none."""
    for part, name in VERSIONED.items():
        if (found := theirs.get(part, "unknown")) != mine[part]:
            return f"it has {name} {found}, and the bot has {mine[part]}"
    return None
