"""The form of a song: style, lyrics, language, length, and a line of settings with the rest."""

import math
import re
from dataclasses import replace
from typing import Any

import discord
from discord import ui

from bot.client import Interaction
from bot.engine.cards import ModelCard, card
from bot.errors import Problems
from bot.rules import bounds
from bot.rules.lyrics import LANGUAGES, LONGEST_LYRICS
from bot.rules.markup import isolate
from bot.values import Request, Wish
from cogs.ui import forms, request_form, submit
from cogs.ui.embeds import settings
from cogs.ui.forms import Form, Said

LONGEST_SONG_SETTINGS = 200
"""Characters of the line of settings: a model may have a long name."""

SECTIONS = "[verse] [chorus] [bridge] [outro] begin sections; [inst] is played without a voice"
STYLE_EXAMPLE = "Such as: indie pop, warm female voice, piano"
LYRICS_EXAMPLE = "[verse]\nThe rain has a song of its own\n\n[chorus]\nFantasia, take me home"

A_STYLE, A_LINE = "a style", "a line"
"""What stands for what is yet to be typed while all else is looked at."""


class SongForm(ui.Modal):
    """A song to fill in."""

    def __init__(self, form: str, said: Said, allowed: str) -> None:
        super().__init__(title="A song", custom_id=form)
        self._said = said
        style = self._text("prompt", bounds.LONGEST_PROMPT, STYLE_EXAMPLE)
        words = self._text("lyrics", LONGEST_LYRICS, LYRICS_EXAMPLE)
        style.style = words.style = discord.TextStyle.paragraph
        language = self._text("language", 40, "The model finds out", required=False)
        seconds = self._text("seconds", request_form.LONGEST_NUMBER)
        more = self._text("settings", LONGEST_SONG_SETTINGS, "takes 2, seed 7", required=False)
        self.add_item(ui.Label(text="Style", component=style))
        self.add_item(ui.Label(text="Lyrics", description=SECTIONS, component=words))
        self.add_item(
            ui.Label(text="Language", description="Such as: English, or de", component=language)
        )
        self.add_item(ui.Label(text="Seconds", description=allowed, component=seconds))
        self.add_item(
            ui.Label(text="Settings", description="Takes, model, seed and others", component=more)
        )

    def _text(
        self, name: str, longest: int, example: str | None = None, *, required: bool = True
    ) -> ui.TextInput[Any]:
        return ui.TextInput(
            custom_id=name,
            default=self._said.get(name, "")[:longest] or None,
            max_length=longest,
            placeholder=example,
            required=required,
        )


async def open_for(interaction: Interaction, wish: Wish) -> None:
    """Open the form with what a wish for a song has; raise Refusal for what nobody may have.

    Nobody writes lyrics to be told then that there is no model which sings them.
    """
    known = replace(wish, prompt=wish.prompt or A_STYLE, lyrics=wish.lyrics or A_LINE)
    asked = interaction.client.services.studio.ask(known)
    held, longest = await submit.allowed(interaction)
    seconds = held.up_to(asked.seconds, longest) if wish.seconds is None else asked.seconds
    said = {
        "prompt": wish.prompt,
        "lyrics": wish.lyrics or "",
        "language": LANGUAGES.get(asked.language or "", ""),
        "seconds": str(seconds),
        "settings": _settings(wish),
    }
    await forms.show(interaction, await _form(interaction, "form:song", said))


async def edit(interaction: Interaction, number: int, request: Request) -> None:
    """Open the form with the song of a piece; of another's the lyrics are for them to write."""
    said = {
        "prompt": request.prompt,
        "lyrics": request.lyrics or "",
        "language": LANGUAGES.get(request.language or "", ""),
        "seconds": str(math.ceil(request.length)),
        "settings": f"takes {request.takes}, model {request.model}, {settings(request.options)}",
    }
    await forms.show(interaction, await _form(interaction, f"form:song:{number}", said))


def _settings(wish: Wish) -> str:
    """Write what a wish has besides words and length, as `read` reads it."""
    named = {
        "takes": wish.takes if wish.takes > 1 else None,
        "model": wish.model,
        "seed": wish.seed,
        **{name: f"{value:g}" for name, value in wish.options.items()},
    }
    return ", ".join(f"{name} {value}" for name, value in named.items() if value is not None)


def read(text: str, usual: ModelCard) -> Wish:
    """Return what a line of settings asks for; raise Refusal that says all it cannot read.

    Such as: takes 2, model ace, seed 7, steps 8. `usual` is the model unless it says another.
    """
    wrong, wish, rest = Problems(), Wish(prompt=""), list[str]()
    for part in (part.strip() for part in text.split(",")):
        name, _, value = part.partition(" ")
        if name.casefold() == "model" and value:
            wish = replace(wish, model=value.strip())
        elif name.casefold() == "takes" and value:
            with wrong.noted():
                wish = replace(wish, takes=request_form.number("Takes", value))
        else:
            rest.append(part)
    with wrong.noted():
        model = card(wish.model) if wish.model else usual
        options, seed = request_form.read(",".join(rest), model)
        wish = replace(wish, options=options, seed=seed)
    wrong.tell()
    return wish


async def _form(interaction: Interaction, form: str, said: Said) -> SongForm:
    held, longest = await submit.allowed(interaction)
    return SongForm(form, said, f"1 to {longest}, with your {isolate(held.tier.name)} tier")


async def _filled(interaction: Interaction, match: re.Match[str], said: Said) -> SongForm:
    return await _form(interaction, match[0], said)


async def _submitted(interaction: Interaction, match: re.Match[str], said: Said) -> None:
    """Queue the song that a form asks for."""
    wrong, wish = Problems(), Wish(prompt="")
    studio = interaction.client.services.studio
    usual = next((each for each in studio.cards if each.sings), studio.cards[0])
    before = await request_form.edited(interaction, match["number"])
    with wrong.noted():
        wish = read(said.get("settings", ""), usual)
    model = card(wish.model) if wish.model else usual
    wish = replace(wish, options=request_form.wanted(wish.options, model, before))
    wish = replace(wish, prompt=said["prompt"], lyrics=said["lyrics"], language=said["language"])
    with wrong.noted():
        wish = replace(wish, seconds=request_form.number("Seconds", said["seconds"]))
    with wrong.noted():
        studio.ask(wish)
    wrong.tell()
    if before:
        wish = replace(wish, edited_from=int(match["number"]))
    await submit.queue(interaction, wish)


SONG = Form("form:song(:(?P<number>[0-9]{1,18}))?", _filled, _submitted)
"""The form of a song."""
