"""What a member reads of an exception."""

import logging
import secrets

import discord
from discord import app_commands

from bot.errors import Refusal, StorageError

log = logging.getLogger(__name__)

STUDIO_BUSY = "The studio is busy, so nothing was changed or charged. Try again in a minute."
DAMAGED = (
    "The studio's database is damaged, so nothing was changed or charged. Whoever runs this bot "
    "must restore a backup."
)
UNWRITTEN = (
    "The studio cannot write to its disk, so nothing was changed or charged. Whoever runs this bot "
    "must fix that; try again later."
)


class ReturnedRefusal(Exception):
    """A refusal with something to press under it."""

    def __init__(self, refusal: Refusal, view: discord.ui.View) -> None:
        super().__init__(str(refusal))
        self.refusal, self.view = refusal, view


def reply(cause: Exception) -> str:
    """Return what a member reads of an error, and log what is not theirs to fix."""
    if isinstance(cause, Refusal | app_commands.CheckFailure):
        return str(cause)
    if isinstance(cause, StorageError):
        log.error("%s", cause)
        return _told(cause)
    if isinstance(cause, app_commands.CommandSignatureMismatch | app_commands.CommandNotFound):
        return "This command was just updated. Try again in a minute."
    reference = secrets.token_hex(4)
    log.error("error %s", reference, exc_info=cause)
    return f"Something went wrong on our side (reference `{reference}`)."


def _told(error: StorageError) -> str:
    if error.busy:
        return STUDIO_BUSY
    return DAMAGED if error.damaged else UNWRITTEN
