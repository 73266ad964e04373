"""Music that a member asks for once more, as an answer: `Save as` and `/resend`."""

import contextlib
from collections.abc import AsyncIterator, Sequence

import discord

from bot.client import Interaction
from bot.discord_api.errors import too_large
from bot.errors import Refusal
from bot.retention.copies import Format
from bot.values import Job, Take, Target, Upload
from cogs.ui import attachments

SMALLER_FORMATS = {
    Format.WAV: ": choose FLAC, MP3 or OGG.",
    Format.FLAC: ": choose MP3 or OGG.",
    Format.OGG: ": choose MP3.",
    Format.MP3: ", and no other format is smaller.",
}
"""What helps where a format is too large, by that format."""


class TooLarge(Refusal):
    """The files are larger than Discord accepts there."""


@contextlib.asynccontextmanager
async def files(
    interaction: Interaction, job: Job, takes: Sequence[Take], kind: Format
) -> AsyncIterator[list[discord.File]]:
    """Yield takes as files for the block to send; raise TooLarge if Discord does not accept them.

    Files are not tried if one is larger than Discord's limit, or as large as what was recently
    refused there. The outcome of the block is remembered.
    """
    services = interaction.client.services
    found = await attachments.music(services.copies, job, takes, kind)
    target = Target(interaction.guild_id or 0, answer=True)
    upload = Upload(target, tuple(len(each.content) for each in found))
    largest = max(upload.sizes)
    larger = TooLarge(
        f"As {kind.upper()} it is {largest / 2**20:.1f} MiB, more than Discord accepts "
        f"here{SMALLER_FORMATS[kind]}"
    )
    refused = await services.outbox.limits(target)
    if largest > longest_file(interaction) or refused.refuse(upload.sizes):
        raise larger
    try:
        yield [each.file for each in found]
    except discord.HTTPException as error:
        if not too_large(error):
            raise
        await services.outbox.too_large(upload)
        raise larger from error
    await services.outbox.fitted(upload)


def longest_file(interaction: Interaction) -> int:
    """Return the most bytes that a file of an answer may have."""
    # Discord states the member's limit; the server's comes from a table in the library, which may
    # be out of date, so the larger of both is tried.
    server = interaction.guild.filesize_limit if interaction.guild else 0
    return max(server, interaction.filesize_limit)
