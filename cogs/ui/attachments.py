"""Music as the files of a message: one way for results, `Save as` and `/resend`."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import discord

from bot.errors import Refusal
from bot.outbox import PARTS_PER_TAKE
from bot.retention.copies import Copies, Format
from bot.values import Job, Take


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to send, already read: a disk error must not look like one of Discord's."""

    name: str
    content: bytes

    @property
    def file(self) -> discord.File:
        """The file for one message: discord.py reads it to its end."""
        return discord.File(io.BytesIO(self.content), self.name)


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
    return found, None if part else await picture(copies, job)


async def picture(copies: Copies, job: Job) -> Attachment | None:
    """Return a job's picture, if it has one."""
    if job.picture is None or not (content := await copies.read(job.picture)):
        return None
    return Attachment(f"{job.request.slug}-{job.id}.png", content)


def lyrics(job: Job) -> Attachment:
    """Return the lyrics of a song as a text; raise Refusal where they are not to be had."""
    if not job.request.lyrics:
        raise Refusal(f"The lyrics of #{job.id} are for who wrote them, and for managers.")
    return Attachment(f"{job.request.slug}-{job.id}.txt", f"{job.request.lyrics}\n".encode())


def _name(job: Job, take: Take, kind: str = "wav", part: int = 0) -> str:
    """Name a take's file after its prompt, such as `mozart-fantasia-7.wav`."""
    number = f"-{take.number}" if job.request.takes > 1 else ""
    number += f"-part-{part}" if part else ""
    return f"{job.request.slug}-{job.id}{number}.{kind}"
