"""What members are owed, as letters: everything in a message, made before it is sent."""

import logging
from dataclasses import dataclass

import discord
from discord import ui

from bot.outbox import PARTS_PER_TAKE
from bot.retention.copies import Copies, Format
from bot.values import Outcome, Oversized, Owed, PostKind, Route, Take, TakeState, Unsent, Upload
from cogs.ui import attachments, embeds, status_embeds, views
from cogs.ui.attachments import Attachment

log = logging.getLogger(__name__)

LADDER = (Format.WAV, Format.FLAC, Format.OGG)
"""The formats to try in turn when the files are too large for Discord."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """A message that is ready to be sent to a member, by their id.

    `upload` holds the sizes of its music, if it has any; `smaller`: there is a smaller format;
    `doubtful`: it may be a repeat, and says so.
    """

    member: int
    embed: discord.Embed
    files: tuple[Attachment, ...] = ()
    view: ui.View | None = None
    upload: Upload | None = None
    smaller: bool = False
    doubtful: bool = False

    @property
    def content(self) -> str:
        """What stands above the embed: the member's mention, which notifies them."""
        return f"<@{self.member}>" + f" {embeds.REPEATED}" * self.doubtful


async def letter(copies: Copies, owed: Owed) -> Letter | Outcome:
    """Make the letter of what is owed, or return the outcome if there is none to send.

    Raises Refusal if its files are gone, and FileError if they cannot be read or made.
    """
    match owed.post.kind:
        case PostKind.RESULT:
            return await _result(copies, owed)
        case PostKind.PREVIEW:
            return await _preview(copies, owed)
        case PostKind.FAILURE:
            view = None if owed.post.route is Route.DIRECT else views.ended_view(owed.job)
            embed = status_embeds.ended(owed.job).set_footer(text=mark(owed))
            return Letter(member=owed.job.origin.user_id, embed=embed, view=view)


def kept(owed: Owed) -> list[Take]:
    """Return the takes that a message holds and whose music is kept."""
    return [take for take in owed.takes if take.audio and owed.post.share.take in (0, take.number)]


async def _preview(copies: Copies, owed: Owed) -> Letter | Outcome:
    files = await attachments.previews(copies, owed.job, owed.takes)
    if not files:  # the attempt that made it was abandoned meanwhile
        return Unsent.UNWANTED
    embed = embeds.preview(owed.job).set_footer(text=mark(owed))
    view = views.view(views.STOP.of(owed.job.id))
    return Letter(member=owed.job.origin.user_id, embed=embed, files=tuple(files), view=view)


async def _result(copies: Copies, owed: Owed) -> Letter | Outcome:
    """Make a letter of music, in the first format that may fit; a part is always tried."""
    part, takes = owed.post.share.part, kept(owed)
    # A part is made since the whole was too large in the smallest format, so it starts with that.
    for kind in LADDER[-1:] if part else LADDER:
        music, picture = await attachments.result(copies, owed.job, takes, kind, part)
        upload = Upload(owed.target, tuple(len(each.content) for each in music))
        if part or not owed.limits.refuse(upload.sizes):
            break
        log.info("job %d: known to be too large for Discord as %s", owed.job.id, kind)
    else:
        return Oversized()
    posted = embeds.Posted(
        mark=mark(owed),
        parent=owed.parent,
        picture=picture.name if picture else None,
        instead=kind,
        refunded=owed.refunded,
        notes=_notes(owed, takes),
    )
    embed = embeds.result(owed.job, takes, posted)
    # A direct message belongs to no server, so its buttons could request nothing.
    bare = owed.post.route is Route.DIRECT or part not in (0, PARTS_PER_TAKE)
    return Letter(
        member=owed.job.origin.user_id,
        embed=embed,
        files=(*music, *filter(None, [picture])),
        view=None if bare else views.result_view(owed.job, owed.takes),
        upload=upload,
        smaller=kind is not LADDER[-1],
    )


def _notes(owed: Owed, takes: list[Take]) -> tuple[str, ...]:
    """Say why a message does not hold all the takes that were made, or not in one file."""
    take, part = owed.post.share
    if take:
        return (embeds.IN_PARTS if part else embeds.TAKES_APART,)
    made = [each for each in owed.takes if each.state is TakeState.RENDERED]
    return (embeds.KEPT_ALONE.format(takes[0].number),) if len(takes) < len(made) else ()


def mark(owed: Owed) -> str:
    """Return the words at the start of a message's footer by which the bot knows it again."""
    number, (take, part) = owed.job.id, owed.post.share
    again = f", attempt {part + 1}" if part else ""
    match owed.post.kind:
        case PostKind.PREVIEW:
            return f"Preview of #{number}{again}"
        case PostKind.FAILURE:
            return f"About #{number}{again}"
        case PostKind.RESULT:
            words = [f"Piece #{number}"]
            words += [f"take {take}"] if take and owed.job.request.takes > 1 else []
            words += [f"part {part} of {PARTS_PER_TAKE}"] if part else []
            return ", ".join(words)
