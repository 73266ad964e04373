"""Music as the files of a message: one way for results, `Save as` and `/resend`."""

import contextlib
import io
from collections.abc import AsyncIterator, Sequence

import discord

from bot import discord_errors
from bot.client import Fantasia, Interaction
from bot.errors import Refusal
from bot.outbox import PARTS_PER_TAKE
from bot.retention.archive import Format
from bot.values import Job, Take, Target
from cogs.ui import embeds

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
    client: Fantasia,
    target: Target,
    job: Job,
    takes: Sequence[Take],
    kind: Format,
    *,
    most: int | None = None,
    part: int = 0,
) -> AsyncIterator[list[discord.File]]:
    """Yield takes as files for the block to send; raise TooLarge if Discord does not accept them.

    Files are not tried if one is larger than `most` bytes, where that is known, or as large as what
    was recently refused there. The outcome of the block is remembered. A `part` (from 1) is always
    tried, since there is nothing smaller.
    """
    if not takes:
        raise Refusal(f"The music of #{job.id} is no longer kept.")
    piece = (part, PARTS_PER_TAKE) if part else (1, 1)
    music = [await client.services.archive.music(job, take, kind, piece) for take in takes]
    sizes = [len(each) for each in music]
    too_large = TooLarge(
        f"As {kind.upper()} it is {max(sizes) / 2**20:.1f} MiB, more than Discord accepts here"
        f"{SMALLER_FORMATS[kind]}"
    )
    if most is not None and max(sizes) > most:
        raise too_large
    if not part and await client.services.outbox.known_too_large(target, sizes):
        raise too_large
    names = [embeds.file_name(job, take, kind, part) for take in takes]
    try:
        yield [file(*each) for each in zip(music, names, strict=True)]
    except discord.HTTPException as error:
        if not discord_errors.too_large(error):
            raise
        await client.services.outbox.too_large(target, sizes)
        raise too_large from error
    await client.services.outbox.fitted(target, sizes)


def answer(interaction: Interaction) -> tuple[Target, int]:
    """Return where the answer to an interaction goes, and the most bytes that a file may have.

    Discord states the member's limit; the server's comes from a table in the library.
    """
    server = interaction.guild.filesize_limit if interaction.guild else 0
    target = Target(interaction.guild_id or 0, answer=True)
    return target, max(server, interaction.filesize_limit)


def file(content: bytes, name: str) -> discord.File:
    """Return a file to send, already read: a disk error must not look like one of Discord's."""
    return discord.File(io.BytesIO(content), name)
