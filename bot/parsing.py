"""What an operator wrote, as values: a setting's text, or a command's argument.

Each function raises ValueError that says what was found and what it must be.
"""

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import Literal, TypeVar

from bot.rules.tiers import DEFAULTS

TOKEN = re.compile(r"[\w-]{23,}\.[\w-]{6,}\.[\w-]{27,}", re.ASCII)
SNOWFLAKE = re.compile(r"[0-9]{15,20}")
MODEL = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)

Chosen = TypeVar("Chosen", bound=StrEnum)


def choice(kind: type[Chosen]) -> Callable[[str], Chosen]:
    """Read one of the values of an enum, in whatever capitals."""

    def read(found: str) -> Chosen:
        try:
            return kind(found.lower())
        except ValueError:
            accepted = ", ".join(kind)
            raise ValueError(f"found {found!r}; it must be one of {accepted}") from None

    return read


def number(least: int, most: int, *, or_auto: bool = False) -> Callable[[str], int | None]:
    """Read a whole number within bounds, or None for `auto` where that is accepted."""
    accepted = "auto or a number" if or_auto else "a whole number"

    def read(found: str) -> int | None:
        if or_auto and found.lower() == "auto":
            return None
        # Python's own int() would take other scripts' digits, underscores and spaces as well.
        if not re.fullmatch("[0-9]{1,9}", found) or not least <= int(found) <= most:
            raise ValueError(f"found {found!r}; it must be {accepted} from {least} to {most}")
        return int(found)

    return read


MOST_ENGINES = 64


def engines(found: str) -> int | Literal["ray"] | None:
    """Read how many engines this machine has, None for `auto`, or that Ray's cluster has them."""
    if found.lower() == "ray":
        return "ray"
    try:
        return number(1, MOST_ENGINES, or_auto=True)(found)
    except ValueError:
        raise ValueError(
            f"found {found!r}; it must be auto, a number from 1 to {MOST_ENGINES}, or ray"
        ) from None


def ray_address(found: str) -> str:
    """Read where the head of a cluster listens, as `ray start` tells it."""
    if not re.fullmatch(r"[\w.-]+:[0-9]{1,5}", found, re.ASCII):
        raise ValueError(f"found {found!r}; it must be the head's host:port, such as 10.8.0.1:6379")
    if found.rpartition(":")[0] in ("localhost", "127.0.0.1"):
        raise ValueError(
            f"found {found!r}, for which Ray takes another address of this machine: give the one "
            "that `ray start --head` was given, such as 127.0.0.2 to try it on one machine"
        )
    return found


def path(found: str) -> Path:
    """Read a path, in which ~ is a home folder."""
    try:
        return Path(found).expanduser()
    except RuntimeError:
        raise ValueError(
            f"found {found!r}, but there is no such home folder: set HOME, or give the full path"
        ) from None


def token(found: str) -> str:
    """Read a bot token, which no message repeats."""
    if not TOKEN.fullmatch(found):
        raise ValueError(
            f"found {len(found)} characters that are not a bot token; copy the token from the Bot "
            "page of your application in Discord's developer portal (three parts joined by dots)"
        )
    return found


def model(found: str) -> str:
    """Read the name of a checkpoint: a repository on the hub, or a folder."""
    if not MODEL.fullmatch(found) and not Path(found).is_dir():
        raise ValueError(
            f"found {found!r}; it must be a repository such as facebook/musicgen-small, or a "
            "folder with state_dict.bin and compression_state_dict.bin"
        )
    return found


def models(found: str) -> tuple[str, ...]:
    """Read several names of checkpoints, each once."""
    return tuple(dict.fromkeys(model(part.strip()) for part in found.strip(" ,").split(",")))


def snowflake(found: str) -> int:
    """Read a server's id."""
    if not SNOWFLAKE.fullmatch(found):
        raise ValueError(f"found {found!r}; it must be a server id, a number of 15 to 20 digits")
    return int(found)


def snowflakes(found: str) -> frozenset[int]:
    """Read several servers' ids."""
    return frozenset(snowflake(part) for part in re.split(r"[\s,]+", found.strip(" ,")))


def skus(found: str) -> dict[int, str]:
    """Read which SKU buys which of the default tiers, by its key."""
    names = {tier.key: tier.name for tier in DEFAULTS}
    sold = {}
    for part in found.strip(" ,").split(","):
        sku, _, tier = part.partition(":")
        if not SNOWFLAKE.fullmatch(sku.strip()) or tier.strip().casefold() not in names:
            raise ValueError(
                f"found {part.strip()!r}; it must be SKU:tier, comma-separated, where the tier is "
                f"one of {', '.join(names.values())}"
            )
        sold[int(sku)] = tier.strip().casefold()
    return sold


def url(found: str) -> str:
    """Read the address of a page."""
    if not re.fullmatch(r"https://[^\s<>()]+", found):
        raise ValueError(f"found {found!r}; it must be an address that begins with https://")
    return found


def host(found: str) -> str:
    """Read an address to listen on."""
    if not re.fullmatch(r"[A-Za-z0-9.:-]+", found):
        raise ValueError(f"found {found!r}; it must be an address such as 127.0.0.1 or 0.0.0.0")
    return found
