"""Forms that outlive a restart: each is known by its custom id, and answered from what it holds."""

import contextlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import discord
from discord import ui
from discord.ext import commands

from bot.client import Interaction, require_membership
from bot.discord_api.replies import ReturnedRefusal
from bot.errors import Refusal, StorageError
from cogs.ui import permissions, submit, views
from cogs.ui.buttons import PressableItem

Said = Mapping[str, str]
"""What was typed or chosen, by the names of the fields."""

LINES = discord.TextStyle.paragraph
"""The style of a field for several lines."""

OUT_OF_DATE = "That form is out of date. Open it again; nothing was queued."


@dataclass(frozen=True, slots=True)
class Form:
    """A kind of form: the pattern of its custom ids, what fills one in, and what answers it."""

    pattern: str
    filled: Callable[[Interaction, re.Match[str], Said], Awaitable[ui.Modal]]
    answered: Callable[[Interaction, re.Match[str], Said], Awaitable[None]]


class Forms(commands.Cog):
    """Answers forms from what they hold, so that one survives a restart while it is open.

    One that is refused comes back with what was typed. Discord opens no form in answer to a form,
    so there is a button that opens it.
    """

    def __init__(self, kinds: Sequence[Form]) -> None:
        self._kinds = kinds

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
        form, match = self.known(data["custom_id"])
        said = _said(data)
        try:
            await form.answered(interaction, match, said)
        except submit.Queued:
            raise  # whoever filled it in once more would pay twice
        except Refusal as refusal:
            with contextlib.suppress(StorageError):  # then it is refused without the button
                await interaction.client.services.drafts.keep(
                    permissions.guild_of(interaction), interaction.user.id, match[0], said
                )
                raise ReturnedRefusal(refusal, views.view(views.FORM_BACK.of())) from refusal
            raise

    def known(self, custom_id: str) -> tuple[Form, re.Match[str]]:
        """Return the kind that a custom id names; raise Refusal if there is none."""
        for form in self._kinds:
            if match := re.fullmatch(form.pattern, custom_id):
                return form, match
        raise Refusal(OUT_OF_DATE)


class BackButton(PressableItem, template=views.FORM_BACK.name):
    """Opens the form that was refused last."""

    async def press(self, interaction: Interaction) -> None:
        """Open it with what was typed into it."""
        draft = await interaction.client.services.drafts.last(
            permissions.guild_of(interaction), interaction.user.id
        )
        await show(interaction, draft.form, draft.said)


async def show(interaction: Interaction, custom_id: str, said: Said) -> None:
    """Open the form with this custom id, with what was `said`."""
    cog = interaction.client.get_cog(Forms.__name__)
    assert isinstance(cog, Forms)
    form, match = cog.known(custom_id)
    await interaction.response.send_modal(await form.filled(interaction, match, said))


def modal(title: str, custom_id: str, said: Said, *fields: ui.Label[Any]) -> ui.Modal:
    """Return a form with what was `said` in its fields."""
    made = ui.Modal(title=title, custom_id=custom_id)
    for field in fields:
        _fill(field.component, said)
        made.add_item(field)
    made.stop()  # else discord.py stores it for ever, by its id alone
    return made


def text(
    label: str,
    name: str,
    longest: int,
    about: str | None = None,
    **more: Any,  # noqa: ANN401
) -> ui.Label[Any]:
    """Return a field to type into, with what `TextInput` takes besides."""
    typed = ui.TextInput[Any](custom_id=name, max_length=longest, **more)
    return ui.Label(text=label, description=about, component=typed)


def _fill(field: ui.Item[Any], said: Said) -> None:
    if isinstance(field, ui.TextInput):
        field.default = said.get(field.custom_id, "")[: field.max_length] or None
    elif isinstance(field, ui.Select):
        for option in field.options:
            option.default = option.value == said.get(field.custom_id)


def _said(data: Any) -> dict[str, str]:  # noqa: ANN401
    fields = [label["component"] for label in data["components"]]
    return {
        field["custom_id"]: field.get("value") or next(iter(field.get("values") or ()), "")
        for field in fields
    }
