"""Requesting a piece again, edited, or from an empty form; on the quota of whoever does so."""

import math
import re
from typing import Any

import discord
from discord import ui
from discord.ext import commands

from bot.client import Interaction
from bot.engine.cards import SAMPLING_BOUNDS
from bot.errors import Refusal
from bot.rules import bounds
from bot.rules.markup import escape
from bot.values import Request, SamplingOptions, Wish
from cogs.ui import permissions, submit, views
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import settings

LONGEST_NUMBER = 12
LONGEST_FIELD_TEXT = 100
"""Characters of a field of the form."""


class AgainButton(PressableItem, template=views.AGAIN.template):
    """Requests the same piece with a new seed."""

    async def press(self, interaction: Interaction) -> None:
        """Queue the same request, or extend the same take once more."""
        viewer = permissions.viewer(interaction)
        await submit.queue(
            interaction, await interaction.client.services.pieces.again(self.number, viewer)
        )


class EditButton(PressableItem, template=views.EDIT.template):
    """Opens a form with the request filled in."""

    async def press(self, interaction: Interaction) -> None:
        request = await _request(interaction, self.number)
        await _show(interaction, Form("Edit and resubmit", f"edit:{self.number}", request))


class GenerateButton(PressableItem, template="generate"):
    """Opens an empty form: the one button of a /panel."""

    async def press(self, interaction: Interaction) -> None:
        held, longest = await submit.allowed(interaction)
        seconds = held.up_to(bounds.USUAL_SECONDS, longest)
        model = interaction.client.services.studio.models[0]
        usual = Request(prompt="", seconds=seconds, model=model, seed=0)
        await _show(interaction, Form("Words into music", "generate", usual))


class Form(ui.Modal):
    """A request to fill in or to change; its custom id says which."""

    def __init__(self, title: str, about: str, request: Request) -> None:
        super().__init__(title=title, custom_id=f"form:{about}")
        prompt = _field("prompt", request.prompt, bounds.LONGEST_PROMPT)
        prompt.style = discord.TextStyle.paragraph
        # A form has at most five fields, so that all settings share one.
        wishes = _field("settings", settings(request), LONGEST_FIELD_TEXT)
        wishes.required = False
        for name, field in (
            ("Prompt", prompt),
            ("Seconds", _field("seconds", math.ceil(request.length))),
            ("Takes", _field("takes", request.takes)),
            ("Model", _field("model", request.model, LONGEST_FIELD_TEXT)),
            ("Settings (a new seed unless you give one)", wishes),
        ):
            self.add_item(ui.Label(text=name, component=field))


class Forms(commands.Cog):
    """Answers forms from what they carry, so that one survives a restart while it is open."""

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Queue what a form says."""
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        try:
            await _submitted(interaction)
        except Exception as error:
            await interaction.client.tree.on_error(interaction, error)


async def _show(interaction: Interaction, form: Form) -> None:
    """Open a form that discord.py does not store: it would keep it for ever, by its id alone."""
    form.stop()
    await interaction.response.send_modal(form)


async def _submitted(interaction: Interaction) -> None:
    data: Any = interaction.data  # discord.py fills in only forms that it stores
    about = re.fullmatch("form:(generate|edit:([0-9]{1,18}))", data["custom_id"])
    if not about:
        raise Refusal("That form is out of date. Open it again; nothing was queued.")
    fields = (label["component"] for label in data["components"])
    said = {field["custom_id"]: field["value"] for field in fields}
    style, seed = read(said["settings"])
    wish = Wish(
        prompt=said["prompt"],
        seconds=_number("Seconds", said["seconds"]),
        takes=_number("Takes", said["takes"]),
        model=said["model"],
        style=style,
        seed=seed,
        edited_from=await _still(interaction, int(about[2])) if about[2] else None,
    )
    await submit.queue(interaction, wish)


async def _still(interaction: Interaction, number: int) -> int | None:
    """Return the number of a piece if it still exists: it may be forgotten while a form is open."""
    try:
        await _request(interaction, number)
    except Refusal:
        return None
    return number


def read(text: str) -> tuple[SamplingOptions, int | None]:
    """Return the settings and the seed in a text; raise Refusal if it cannot be read.

    Such as: guidance 4.5, temperature 0.8, top_k 90, seed 7.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\w+)[ :=]+([0-9.]{1,12})", part.casefold())
        if not match or match[1] not in {*SAMPLING_BOUNDS, "seed"}:
            raise Refusal(
                f"I cannot read the setting “{escape(part, 40)}”. Write settings like this: "
                "guidance 3, temperature 1, top_k 250, seed 7."
            )
        found[match[1]] = match[2]
    style = SamplingOptions(
        guidance=_decimal("guidance", found),
        temperature=_decimal("temperature", found),
        top_k=_whole("top_k", found),
    )
    return style, _whole("seed", found)


def _field(name: str, value: object, longest: int = LONGEST_NUMBER) -> ui.TextInput[Any]:
    return ui.TextInput(custom_id=name, default=str(value) or None, max_length=longest)


def _number(name: str, text: str) -> int:
    if not re.fullmatch("[0-9]{1,10}", text.strip()):
        raise Refusal(f"{name} must be a whole number.")
    return int(text)


def _whole(name: str, found: dict[str, str]) -> int | None:
    return _number(name, found[name]) if name in found else None


def _decimal(name: str, found: dict[str, str]) -> float | None:
    try:
        return float(found[name]) if name in found else None
    except ValueError:
        raise Refusal(f"{name} must be a number.") from None


async def _request(interaction: Interaction, number: int) -> Request:
    return await interaction.client.services.pieces.request(number, permissions.viewer(interaction))
