"""Music as the files of a message: one way for results, `Save as` and `/resend`."""

import contextlib
import io
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import discord

from bot import discord_errors
from bot.client import Fantasia, Interaction
from bot.errors import Refusal
from bot.outbox import PARTS_PER_TAKE
from bot.retention.copies import Copies, Format
from bot.values import Job, Take, Target, Upload

SMALLER_FORMATS = {
    Format.WAV: ": choose FLAC, MP3 or OGG.",
    Format.FLAC: ": choose MP3 or OGG.",
    Format.OGG: ": choose MP3.",
    Format.MP3: ", and no other format is smaller.",
}
"""What helps where a format is too large, by that format."""


class TooLarge(Refusal):
    """The files are larger than Discord accepts there."""


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to send, already read: a disk error must not look like one of Discord's."""

    name: str
    content: bytes


async def music(
    copies: Copies, job: Job, takes: Sequence[Take], kind: Format, part: int = 0
) -> list[Attachment]:
    """Return takes in a format, or a `part` (from 1) of each; raise Refusal where one is gone.

    Raises FileError for what cannot be read or made.
    """
    if not takes:
        raise Refusal(f"The music of #{job.id} is no longer kept.")
    piece = (part, PARTS_PER_TAKE) if part else (1, 1)
    return [
        Attachment(_name(job, take, kind, part), await copies.music(job, take, kind, piece))
        for take in takes
    ]


async def previews(copies: Copies, job: Job, takes: Sequence[Take]) -> list[Attachment]:
    """Return the previews of takes that have one."""
    return [
        Attachment(_name(job, take), heard)
        for take in takes
        if take.preview and (heard := await copies.read(take.preview))
    ]


async def result(
    copies: Copies, job: Job, takes: Sequence[Take], kind: Format, part: int = 0
) -> tuple[list[Attachment], Attachment | None]:
    """Return takes as `music` does, and the job's picture if it has one; a `part` has none."""
    found = await music(copies, job, takes, kind, part)
    return found, None if part else await _picture(copies, job)


async def _picture(copies: Copies, job: Job) -> Attachment | None:
    if job.picture is None or not (content := await copies.read(job.picture)):
        return None
    return Attachment(f"{job.request.slug}-{job.id}.png", content)


@contextlib.asynccontextmanager
async def files(
    client: Fantasia, target: Target, job: Job, takes: Sequence[Take], kind: Format, *, most: int
) -> AsyncIterator[list[discord.File]]:
    """Yield takes as files for the block to send; raise TooLarge if Discord does not accept them.

    Files are not tried if one is larger than `most` bytes, or as large as what was recently refused
    there. The outcome of the block is remembered.
    """
    found = await music(client.services.copies, job, takes, kind)
    upload = Upload(target, tuple(len(each.content) for each in found))
    too_large = TooLarge(
        f"As {kind.upper()} it is {max(upload.sizes) / 2**20:.1f} MiB, more than Discord accepts "
        f"here{SMALLER_FORMATS[kind]}"
    )
    if max(upload.sizes) > most or (await client.services.outbox.limits(target)).refuse(
        upload.sizes
    ):
        raise too_large
    try:
        yield [discord.File(io.BytesIO(each.content), each.name) for each in found]
    except discord.HTTPException as error:
        if not discord_errors.too_large(error):
            raise
        await client.services.outbox.too_large(upload)
        raise too_large from error
    await client.services.outbox.fitted(upload)


def upload_target(interaction: Interaction) -> tuple[Target, int]:
    """Return where the answer to an interaction goes, and the most bytes that a file may have.

    Discord states the member's limit; the server's comes from a table in the library.
    """
    server = interaction.guild.filesize_limit if interaction.guild else 0
    target = Target(interaction.guild_id or 0, answer=True)
    return target, max(server, interaction.filesize_limit)


def _name(job: Job, take: Take, kind: str = "wav", part: int = 0) -> str:
    """Name a take's file after its prompt, such as `mozart-fantasia-7.wav`."""
    number = f"-{take.number}" if job.request.takes > 1 else ""
    number += f"-part-{part}" if part else ""
    return f"{job.request.slug}-{job.id}{number}.{kind}"
