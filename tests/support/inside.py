"""What tests see, or set going, inside the bot where no caller does: each behind a function.

Nothing else in `tests` reaches behind an underscore; `test_architecture.py` counts what does here.
"""

from bot.client import Fantasia
from bot.tables.database import Database


def database(bot: Fantasia) -> Database:
    """Return the rows of a bot, to see what was written, or to make the past that a test needs."""
    return bot.services.studio._database
