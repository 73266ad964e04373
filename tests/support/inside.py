"""What tests see, or set going, inside the bot where no caller does: each behind a function.

Nothing else in `tests` reaches behind an underscore of ours, and `test_architecture.py` counts what
does here. The benchmarks of a GPU are among its callers, on machines that have no packages of the
bot's: what it looks into is imported for its type alone.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from unittest.mock import MagicMock, patch

if TYPE_CHECKING:
    import aiosqlite
    import pytest
    import simcord

    from bot.client import Fantasia
    from bot.engine.conversation import Conversation
    from bot.studio import Studio
    from bot.tables.database import Database


def database(studio: "Studio") -> "Database":
    """Return the rows of a studio, to see what was written or to make the past of a test."""
    return studio._database


def connection(database: "Database") -> "aiosqlite.Connection":
    """Return the connection below a database, to count its steps or to let it fail."""
    return database._connection


def reconnect(database: "Database", connection: Any) -> None:
    """Put something before the connection of a database that is open, to cut it off."""
    database._connection = connection


def cached(bot: "Fantasia") -> Any:
    """Return what discord.py keeps of its servers and views, which has no public way in."""
    return bot._connection


def looks(bot: "Fantasia") -> set[asyncio.Task[None]]:
    """Return the looks of the delivery that are under way."""
    delivery: Any = bot.get_cog("Delivery")
    return set(delivery._looks)


@contextmanager
def reports(engine: "Conversation") -> Iterator[MagicMock]:
    """Count what an engine's process reports, for as long as the block: a call for each report."""
    with patch.object(engine, "_route", wraps=engine._route) as routed:
        yield routed


async def settle(env: "simcord.Env", dispatch: str) -> None:
    """Wait, as SimCord does after an action, until the bot has done what it saw."""
    await env._settle_internal(dispatch=dispatch)


def patience(monkeypatch: "pytest.MonkeyPatch", env: "type[simcord.Env]") -> list[float]:
    """Note the seconds that SimCord gives a bot to do what it saw."""
    given, settle = list[float](), env._settle_internal

    async def note(env: "simcord.Env", **options: Any) -> None:
        given.append(options.get("timeout") or env.settle_timeout)
        await settle(env, **options)

    monkeypatch.setattr(env, "_settle_internal", note)
    return given
