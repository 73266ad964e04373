"""The form of a request, empty or with a piece's filled in; on the quota of whoever sends it."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import discord
from discord import ui

from bot.client import Interaction
from bot.engine.cards import KNOWN_OPTIONS, ModelCard, card
from bot.errors import Problems, Refusal
from bot.rules.bounds import LONGEST_PROMPT, USUAL_SECONDS
from bot.rules.markup import escape, isolate
from bot.rules.quota import includes
from bot.values import Membership, Request, Tier, Wish
from cogs.ui import forms, permissions, submit, views
from cogs.ui.autocomplete import LONGEST_CHOICE, MOST_CHOICES
from cogs.ui.buttons import PressableItem
from cogs.ui.embeds import settings
from cogs.ui.forms import LINES, Form, Said

LONGEST_NUMBER = 12
LONGEST_FIELD_TEXT = 100
"""Characters of a field of the form."""

VERSIONS = "1 to {}: versions of that length"
NEW_SEED = "A new seed unless you give one, such as: seed 7"
WORDS, WORDS_EXAMPLE = "What the music should be", "Such as: warm lo-fi hip hop with piano and rain"


class GenerateButton(PressableItem, template=views.GENERATE.name):
    """Opens an empty form: the one button of a /panel."""

    async def press(self, interaction: Interaction) -> None:
        held, longest = await submit.allowed(interaction)
        seconds = held.up_to(USUAL_SECONDS, longest)
        await forms.show(interaction, "form:generate", {"seconds": str(seconds)})


async def _filled(interaction: Interaction, match: re.Match[str], said: Said) -> ui.Modal:
    """Return the form: words and length, and of a piece that is edited all the rest."""
    held, longest = await submit.allowed(interaction)
    words = forms.text(WORDS, "prompt", LONGEST_PROMPT, style=LINES, placeholder=WORDS_EXAMPLE)
    seconds = seconds_field(held, longest)
    if not match["number"]:
        return forms.modal("Words into music", match[0], said, words, seconds)
    return forms.modal(
        "Edit and resubmit",
        match[0],
        said,
        words,
        seconds,
        forms.text("Takes", "takes", LONGEST_NUMBER, VERSIONS.format(held.tier.takes)),
        ui.Label(text="Model", component=_models(interaction, held.tier)),
        # A form has at most five fields, so that all settings share one.
        forms.text("Settings", "settings", LONGEST_FIELD_TEXT, NEW_SEED, required=False),
    )


def seconds_field(held: Membership, longest: int) -> ui.Label[Any]:
    """Return the field for a length, which says what the member may have."""
    allowed = f"1 to {longest}, with your {isolate(held.tier.name)} tier"
    return forms.text("Seconds", "seconds", LONGEST_NUMBER, allowed)


def _models(interaction: Interaction, tier: Tier) -> ui.Select[Any]:
    options = [
        discord.SelectOption(
            label=isolate(name, LONGEST_CHOICE),
            value=name,
            description=None if includes(tier, name) else "not in your tier",
        )
        for name in interaction.client.services.studio.models[:MOST_CHOICES]
    ]
    return ui.Select(custom_id="model", options=options)


async def _submitted(interaction: Interaction, match: re.Match[str], said: Said) -> None:
    """Queue what a form asks for."""
    wrong, wish = Problems(), Wish(prompt=said["prompt"], model=said.get("model"))
    with wrong.noted():
        wish = replace(wish, seconds=number("Seconds", said["seconds"]))
    with wrong.noted():
        wish = replace(wish, takes=number("Takes", said.get("takes", "1")))
    model = card(wish.model) if wish.model else interaction.client.services.studio.cards[0]
    before = await edited(interaction, match["number"])
    with wrong.noted():
        options, seed = read(said.get("settings", ""), model)
        wish = replace(wish, options=wanted(options, model, before), seed=seed)
    wish = replace(wish, edited_from=int(match["number"]) if before else None)
    await queue(interaction, wish, wrong)


async def queue(interaction: Interaction, wish: Wish, wrong: Problems) -> None:
    """Queue what a form asks for; raise Refusal that says all that cannot be had by anybody."""
    with wrong.noted():
        interaction.client.services.studio.ask(wish)
    wrong.tell()
    await submit.queue(interaction, wish)


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
    await forms.show(interaction, f"form:edit:{number}", said)


REQUEST = Form(f"form:(?:generate|edit:{views.NUMBER})", _filled, _submitted)
"""The form of a request, empty or with a piece's."""


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
