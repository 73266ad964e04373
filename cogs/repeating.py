"""Asking for the same again, or edited, or by a form alone; on the quota of whoever does."""

import math
import re
from typing import Any

import discord
from discord import ui

from bot import tiers
from bot.client import Interaction
from bot.errors import Refusal
from bot.models import Request, Style
from cogs import asking, doors
from cogs.buttons import OfJob

LONGEST_NUMBER = 12


class AgainButton(OfJob, ui.DynamicItem[ui.Button[Any]], template=r"again:(?P<job>[0-9]{1,18})"):
    """Asks for the same with a new seed."""

    LABEL, NAME = "Again", "again"

    async def press(self, interaction: Interaction) -> None:
        """Queue the same request, or go on once more from where the piece did."""
        request = await _request(interaction, self.job)
        if request.parent_take is not None:
            await self._go_on(interaction, request)
            return
        style = Style(
            guidance=request.guidance, temperature=request.temperature, top_k=request.top_k
        )
        await asking.queue(
            interaction,
            prompt=request.prompt,
            seconds=request.seconds,
            takes=request.takes,
            model=request.model,
            style=style,
        )

    async def _go_on(self, interaction: Interaction, request: Request) -> None:
        studio = interaction.client.studio
        parent = await studio.parent(request)
        if parent is None:
            raise Refusal("The piece that it goes on from is gone.")
        job = await studio.extend(
            asking.origin(interaction),
            doors.presence(interaction),
            parent.job_id,
            parent.number,
            request.seconds,
        )
        await asking.reply(interaction, job)


class EditButton(OfJob, ui.DynamicItem[ui.Button[Any]], template=r"edit:(?P<job>[0-9]{1,18})"):
    """Opens a form with the request filled in."""

    LABEL, NAME = "Edit", "edit"

    async def press(self, interaction: Interaction) -> None:
        """Show the form."""
        request = await _request(interaction, self.job)
        await interaction.response.send_modal(Form("Edit and ask for it", request, self.job))


class GenerateButton(ui.DynamicItem[ui.Button[Any]], template=r"generate"):
    """Opens an empty form: the one button of a /panel."""

    def __init__(self) -> None:
        super().__init__(
            ui.Button(
                label="Generate",
                custom_id="generate",
                style=discord.ButtonStyle.primary,
                emoji="🎵",
            )
        )

    @classmethod
    async def from_custom_id(
        cls,
        interaction: discord.Interaction[Any],  # noqa: ARG003
        item: ui.Item[Any],  # noqa: ARG003
        match: re.Match[str],  # noqa: ARG003
        /,
    ) -> "GenerateButton":
        """Make the button again."""
        return cls()

    async def callback(self, interaction: discord.Interaction[Any]) -> None:
        """Show the form."""
        studio = interaction.client.studio
        usual = Request(
            prompt="", seconds=min(8, studio.max_seconds), model=studio.models[0], seed=0
        )
        await interaction.response.send_modal(Form("Words into music", usual))


class Form(ui.Modal):
    """What a request has, to fill in or to change."""

    def __init__(self, title: str, request: Request, edited_from: int | None = None) -> None:
        super().__init__(title=title)
        self._edited_from = edited_from
        self._prompt = _field("prompt", request.prompt, tiers.LONGEST_PROMPT)
        self._seconds = _field("seconds", math.ceil(request.length))
        self._takes = _field("takes", request.takes)
        self._model = _field("model", request.model, 100)
        self._settings = _field("settings", settings(request), 100)
        for name, field in (
            ("Prompt", self._prompt),
            ("Seconds", self._seconds),
            ("Takes", self._takes),
            ("Model", self._model),
            ("Settings: a new seed unless one is named", self._settings),
        ):
            self.add_item(ui.Label(text=name, component=field))
        self._settings.required = False
        self._prompt.style = discord.TextStyle.paragraph

    async def on_submit(self, interaction: discord.Interaction[Any], /) -> None:
        """Queue what the form says."""
        try:
            style, seed = read(self._settings.value)
            await asking.queue(
                interaction,
                prompt=self._prompt.value,
                seconds=_number("Seconds", self._seconds.value),
                takes=_number("Takes", self._takes.value),
                model=self._model.value,
                style=style,
                seed=seed,
                edited_from=self._edited_from,
            )
        except Exception as error:
            await interaction.client.tree.on_error(interaction, error)


def settings(request: Request) -> str:
    """Write a request's settings as `read` reads them."""
    return ", ".join(f"{name} {getattr(request, name):g}" for name in tiers.BOUNDS)


def read(text: str) -> tuple[Style, int | None]:
    """Return the settings and the seed that a text names; raise Refusal for what it does not say.

    Such as: guidance 4.5, temperature 0.8, top_k 90, seed 7.
    """
    found: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        match = re.fullmatch(r"(\w+)[ :=]+([0-9.]{1,12})", part.casefold())
        if not match or match[1] not in {*tiers.BOUNDS, "seed"}:
            raise Refusal(
                f"I cannot read the settings “{part[:40]}”; they look like: guidance 3, "
                "temperature 1, top_k 250, seed 7."
            )
        found[match[1]] = match[2]
    style = Style(
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
    return await interaction.client.studio.repeatable(number, guild=interaction.guild_id or 0)
