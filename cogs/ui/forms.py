"""Forms that outlive a restart: each is known by its custom id, and answered from what it holds."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import discord
from discord import ui
from discord.ext import commands

from bot.client import Interaction, require_membership
from bot.errors import Refusal

Said = Mapping[str, str]
"""What was typed or chosen, by the names of the fields."""

Answer = Callable[[Interaction, re.Match[str], Said], Awaitable[None]]
"""Answers a form, whose custom id matched."""


class Forms(commands.Cog):
    """Answers forms from what they hold, so that one survives a restart while it is open."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    @commands.Cog.listener()
    async def on_interaction(self, interaction: discord.Interaction[Any]) -> None:
        """Pass on what a form says to what its custom id names."""
        if interaction.type is not discord.InteractionType.modal_submit:
            return
        try:
            require_membership(interaction)
            await self._answer(interaction)
        except Exception as error:
            await interaction.client.tree.on_error(interaction, error)

    async def _answer(self, interaction: Interaction) -> None:
        data: Any = interaction.data  # discord.py fills in only forms that it stores
        for pattern, answered in self._answers.items():
            if match := re.fullmatch(pattern, data["custom_id"]):
                return await answered(interaction, match, _said(data))
        raise Refusal("That form is out of date. Open it again; nothing was queued.")


async def show(interaction: Interaction, form: ui.Modal) -> None:
    """Open a form that discord.py does not store: it would keep it for ever, by its id alone."""
    form.stop()
    await interaction.response.send_modal(form)


def _said(data: Any) -> dict[str, str]:  # noqa: ANN401
    fields = [label["component"] for label in data["components"]]
    return {
        field["custom_id"]: field.get("value") or next(iter(field.get("values") or ()), "")
        for field in fields
    }
