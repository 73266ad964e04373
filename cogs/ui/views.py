"""What can be pressed under a message, without what happens then: each is known by a custom id."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui

from bot.errors import Refusal
from bot.values import Fault, Job, Status, Take

NUMBER = "(?P<number>[0-9]{1,18})"
"""A job's number in a pattern; more digits would not fit into SQLite's 64 bits."""

TAKE = "(?P<take>[0-9])"
"""The number of a take in a pattern; 0: of all."""


@dataclass(frozen=True, slots=True)
class NamedButton:
    """A button that is known by its custom id: a name, with the numbers of a job and a take."""

    name: str
    label: str
    style: discord.ButtonStyle = discord.ButtonStyle.secondary
    emoji: str | None = None

    @property
    def template(self) -> str:
        """The pattern of the custom ids of those about a job, or a take of it."""
        return f"{self.name}:{NUMBER}(?::{TAKE})?"

    def of(self, *numbers: int) -> ui.Button[Any]:
        """Return the button of a job, or of a take, by the numbers of both; or of neither."""
        known = ":".join(map(str, (self.name, *numbers)))
        return ui.Button(label=self.label, custom_id=known, style=self.style, emoji=self.emoji)


PRIMARY, DANGER = discord.ButtonStyle.primary, discord.ButtonStyle.danger

# Old messages have buttons with these names, so a name is never changed.
CANCEL = NamedButton("cancel", "Cancel")
STOP = NamedButton("stop", "Stop here")
POST_AGAIN = NamedButton("post-again", "Post again")
AGAIN = NamedButton("again", "Again")
EDIT = NamedButton("edit", "Edit")
EXTEND = NamedButton("extend", "Extend")
SAVE = NamedButton("save", "Save as")
DELETE = NamedButton("delete", "Delete", DANGER)
DELETE_NOW = NamedButton("delete-now", "Delete", DANGER)
KEEP_TAKE = NamedButton("keep-take", "Keep only this one")
STAR = NamedButton("star", "☆ Star")
UNSTAR = NamedButton("unstar", "★ Starred")
NAME = NamedButton("name", "Name it")
GENERATE = NamedButton("generate", "Generate", PRIMARY, "🎵")
SET_UP = NamedButton("setup", "Set up", PRIMARY)
FORM_BACK = NamedButton("form-back", "Back to the form", PRIMARY)


def view(*items: ui.Item[Any]) -> ui.View:
    """Return a view of components that are answered by their custom ids."""
    made = ui.View(timeout=None)
    for item in items:
        made.add_item(item)
    # discord.py keeps each view that is sent, and one without a timeout for ever; a stopped one is
    # not kept. Presses are answered by the dynamic items, after a restart too.
    made.stop()
    return made


def open_view(job: Job) -> ui.View | None:
    """Return the button that ends an open job: Stop once its preview was posted, else Cancel."""
    if job.stopping:
        return None
    return view((STOP if job.heard else CANCEL).of(job.id))


def ended_view(job: Job) -> ui.View | None:
    """Return the buttons of a job that has ended."""
    if job.status is not Status.UNDELIVERABLE or job.fault is Fault.GONE or job.deleted:
        return None
    return view(POST_AGAIN.of(job.id))


def piece_view(job: Job, takes: Sequence[Take], *, own: bool) -> ui.View:
    """Return the buttons of a piece's card, those of its `own` member among them."""
    shown = result_view(job, takes)
    if own and not job.deleted and not job.forgotten:
        for button in (UNSTAR if job.starred else STAR, NAME):
            shown.add_item(button.of(job.id))
    return shown


def result_view(job: Job, takes: Sequence[Take]) -> ui.View:
    """Return the buttons of a piece, and the choice of a take where there are several.

    What there is no music of is neither extended nor saved.
    """
    made = job.status in (Status.RENDERED, Status.DELIVERED) and not job.deleted
    buttons = [AGAIN, EDIT, *([EXTEND, SAVE] if made else []), *([] if job.deleted else [DELETE])]
    kept = [take for take in takes if take.audio] if made else []
    several = [_take_select(job, kept)] if len(kept) > 1 else []
    return view(*several, *(button.of(job.id) for button in buttons))


def _take_select(job: Job, takes: Sequence[Take]) -> ui.Select[Any]:
    options = [
        discord.SelectOption(
            label=f"Take {take.number}", value=str(take.number), description=f"seed {take.seed}"
        )
        for take in takes
    ]
    return ui.Select(
        custom_id=f"take:{job.id}", placeholder="One take: extend, save, keep it", options=options
    )


def take_name(job: Job, take: Take) -> str:
    """Return what begins a choice of a take; nothing where there is only one."""
    return f"Take {take.number}: " if job.request.takes > 1 else ""


def parsed(pattern: str, chosen: str) -> Sequence[str]:
    """Return the groups of what was chosen; raise Refusal for what is not offered."""
    # Discord passes on whatever a client says was chosen.
    if match := re.fullmatch(pattern, chosen, re.ASCII):
        return match.groups()
    raise Refusal("That is not one of the choices.")
