"""The form of a request, empty or with a piece's filled in; on the quota of whoever sends it."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import discord
from discord import ui

from bot.client import Interaction
from bot.engine.cards import KNOWN_OPTIONS, ModelCard, card
from bot.errors import Problems, Refusal
from bot.rules import bounds
from bot.rules.markup import escape, isolate
from bot.rules.quota import includes
from bot.values import Membership, Request, Wish
from cogs.ui import forms, permissions, submit, views
from cogs.ui.autocomplete import LONGEST_CHOICE, MOST_CHOICES
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import settings
from cogs.ui.forms import Form, Said

LONGEST_NUMBER = 12
LONGEST_FIELD_TEXT = 100
"""Characters of a field of the form."""

FORM = "form:(?P<form>generate|edit:(?P<number>[0-9]{1,18}))"
"""The pattern of the custom ids of forms of a request."""

PROMPT_EXAMPLE = "Such as: warm lo-fi hip hop with piano and rain"


class GenerateButton(PressableItem, template=views.GENERATE):
    """Opens an empty form: the one button of a /panel."""

    async def press(self, interaction: Interaction) -> None:
        held, longest = await submit.allowed(interaction)
        seconds = held.up_to(bounds.USUAL_SECONDS, longest)
        await _show(interaction, "generate", {"seconds": str(seconds)})


class RequestForm(ui.Modal):
    """A request to fill in: words and length, and of a piece that is edited all the rest."""

    def __init__(
        self, form: str, said: Said, held: Membership, longest: int, models: Sequence[str]
    ) -> None:
        edits = form != "generate"
        title = "Edit and resubmit" if edits else "Words into music"
        super().__init__(title=title, custom_id=f"form:{form}")
        self._said = said
        words = self._text("prompt", bounds.LONGEST_PROMPT)
        words.style, words.placeholder = discord.TextStyle.paragraph, PROMPT_EXAMPLE
        allowed = f"1 to {longest}, with your {isolate(held.tier.name)} tier"
        self.add_item(ui.Label(text="What the music should be", component=words))
        self.add_item(
            ui.Label(text="Seconds", description=allowed, component=self._text("seconds"))
        )

        if edits:
            self._add_details(held, models)

    def _add_details(self, held: Membership, models: Sequence[str]) -> None:
        # A form has at most five fields, so that all settings share one.
        wishes = self._text("settings", LONGEST_FIELD_TEXT)
        wishes.required = False
        takes = f"1 to {held.tier.takes}: versions of that length"
        self.add_item(ui.Label(text="Takes", description=takes, component=self._text("takes")))
        self.add_item(ui.Label(text="Model", component=self._models(held, models)))
        new_seed = "A new seed unless you give one, such as: seed 7"
        self.add_item(ui.Label(text="Settings", description=new_seed, component=wishes))

    def _text(self, name: str, longest: int = LONGEST_NUMBER) -> ui.TextInput[Any]:
        value = self._said.get(name, "")[:longest]
        return ui.TextInput(custom_id=name, default=value or None, max_length=longest)

    def _models(self, held: Membership, models: Sequence[str]) -> ui.Select[Any]:
        chosen = self._said.get("model", "")
        options = [
            discord.SelectOption(
                label=isolate(name, LONGEST_CHOICE),
                value=name,
                description=None if includes(held.tier, name) else "not in your tier",
                default=name == chosen,
            )
            for name in models[:MOST_CHOICES]
        ]
        return ui.Select(custom_id="model", options=options)


async def _submitted(interaction: Interaction, match: re.Match[str], said: Said) -> None:
    """Queue what a form says."""
    await submit.queue(interaction, await _wish(interaction, match, said))


async def _wish(interaction: Interaction, match: re.Match[str], said: Said) -> Wish:
    """Return what a form asks for; raise Refusal that says all that cannot be had by anybody."""
    wrong, wish = Problems(), Wish(prompt=said["prompt"], model=said.get("model"))
    with wrong.noted():
        wish = replace(wish, seconds=number("Seconds", said["seconds"]))
    with wrong.noted():
        wish = replace(wish, takes=number("Takes", said.get("takes", "1")))
    studio = interaction.client.services.studio
    model = card(wish.model) if wish.model else studio.cards[0]
    before = await edited(interaction, match["number"])
    with wrong.noted():
        options, seed = read(said.get("settings", ""), model)
        wish = replace(wish, options=wanted(options, model, before), seed=seed)
    with wrong.noted():
        studio.ask(wish)
    wrong.tell()
    return replace(wish, edited_from=int(match["number"])) if before else wish


def wanted(
    options: Mapping[str, float], model: ModelCard, before: Request | None
) -> Mapping[str, float]:
    """Return the options that a form asks of a model.

    What still stands there of a piece by one with other options, as it was, is not asked of it.
    """
    if before is None or card(before.model).options == model.options:
        return options
    return {name: value for name, value in options.items() if before.options.get(name) != value}


async def edit(interaction: Interaction, number: int, request: Request) -> None:
    """Open the form with the request of a piece."""
    said = {
        "prompt": request.prompt,
        "seconds": str(math.ceil(request.length)),
        "takes": str(request.takes),
        "model": request.model,
        "settings": settings(request.options),
    }
    await _show(interaction, f"edit:{number}", said)


async def _show(interaction: Interaction, form: str, said: Said) -> None:
    await forms.show(interaction, await _form(interaction, form, said))


async def _form(interaction: Interaction, form: str, said: Said) -> RequestForm:
    held, longest = await submit.allowed(interaction)
    models = interaction.client.services.studio.models
    return RequestForm(form, said, held, longest, models)


async def _filled(interaction: Interaction, match: re.Match[str], said: Said) -> RequestForm:
    return await _form(interaction, match["form"], said)


REQUEST = Form(FORM, _filled, _submitted)
"""The form of a request."""


async def edited(interaction: Interaction, number: str | None) -> Request | None:
    """Return what a piece was made from, if it still is: it may be forgotten meanwhile."""
    viewer = permissions.viewer(interaction)
    try:
        pieces = interaction.client.services.pieces
        return await pieces.request(int(number), viewer) if number else None
    except Refusal:
        return None


def read(text: str, model: ModelCard) -> tuple[dict[str, float], int | None]:
    """Return the options and the seed in a text; raise Refusal that says all it cannot read.

    Such as: guidance 4.5, temperature 0.8, top_k 90, seed 7. It also says which a `model` has.
    """
    wrong, found = Problems(), dict[str, float]()
    for part in filter(None, (part.strip() for part in text.split(","))):
        with wrong.noted():
            name, value = _setting(part, model)
            found[name] = value
    wrong.tell()
    seed = found.pop("seed", None)
    return found, None if seed is None else int(seed)


def _setting(part: str, model: ModelCard) -> tuple[str, float]:
    match = re.fullmatch(r"(\w+)[ :=]+([0-9.]{1,12})", part.casefold())
    if not match or match[1] not in {*KNOWN_OPTIONS, "seed"}:
        raise Refusal(
            f"I cannot read the setting “{escape(part, 40)}”. Write settings like this: "
            f"{settings(model.complete({}))}, seed 7."
        )
    name, value = match.groups()
    whole = name == "seed" or KNOWN_OPTIONS[name].whole
    return name, number(name, value) if whole else _decimal(name, value)


def number(name: str, text: str) -> int:
    """Return the whole number that a field says; raise Refusal if it is none."""
    if not re.fullmatch("[0-9]{1,10}", text.strip()):
        raise Refusal(f"{name} must be a whole number.")
    return int(text)


def _decimal(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise Refusal(f"{name} must be a number.") from None
