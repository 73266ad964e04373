"""The form of a song: style, lyrics, language, length, and a line of settings with the rest."""

import math
import re
from dataclasses import replace

from discord import ui

from bot.client import Interaction
from bot.engine.cards import ModelCard, card
from bot.errors import Problems
from bot.rules.bounds import LONGEST_PROMPT
from bot.rules.lyrics import LANGUAGES, LONGEST_LYRICS
from bot.values import Request, Wish
from cogs.ui import forms, request_form, submit
from cogs.ui.embeds import settings
from cogs.ui.forms import LINES, Form, Said
from cogs.ui.views import NUMBER

LONGEST_SETTINGS = 200
"""Characters of the line of settings: a model may have a long name."""

SECTIONS = "[verse] [chorus] [bridge] [outro] begin sections; [inst] is played without a voice"
LANGUAGE, ANY_LANGUAGE = "Such as: English, or de", "The model finds out"
ALL_ELSE, IN_A_LINE = "Takes, model, seed and others", "takes 2, seed 7"
STYLE_EXAMPLE = "Such as: indie pop, warm female voice, piano"
LYRICS_EXAMPLE = "[verse]\nThe rain has a song of its own\n\n[chorus]\nFantasia, take me home"

A_STYLE, A_LINE = "a style", "a line"
"""What stands for what is yet to be typed while all else is looked at."""


async def open_for(interaction: Interaction, wish: Wish) -> None:
    """Open the form with what a wish for a song has; raise Refusal for what they may not have.

    Nobody writes lyrics to be told then that there is no model which sings them, or none for them.
    """
    known = replace(wish, prompt=wish.prompt or A_STYLE, lyrics=wish.lyrics or A_LINE)
    asked = interaction.client.services.studio.ask(known)
    await submit.require_model(interaction, asked.model)
    held, longest = await submit.allowed(interaction)
    seconds = held.up_to(asked.seconds, longest) if wish.seconds is None else asked.seconds
    said = {
        "prompt": wish.prompt,
        "lyrics": wish.lyrics or "",
        "language": LANGUAGES.get(asked.language or "", ""),
        "seconds": str(seconds),
        "settings": _settings(wish),
    }
    await forms.show(interaction, "form:song", said)


async def edit(interaction: Interaction, number: int, request: Request) -> None:
    """Open the form with the song of a piece; of another's the lyrics are for them to write.

    Raises Refusal where their tier does not include its model.
    """
    await submit.require_model(interaction, request.model)
    said = {
        "prompt": request.prompt,
        "lyrics": request.lyrics or "",
        "language": LANGUAGES.get(request.language or "", ""),
        "seconds": str(math.ceil(request.length)),
        "settings": f"takes {request.takes}, model {request.model}, {settings(request.options)}",
    }
    await forms.show(interaction, f"form:song:{number}", said)


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


async def _filled(interaction: Interaction, match: re.Match[str], said: Said) -> ui.Modal:
    held, longest = await submit.allowed(interaction)
    return forms.modal(
        "A song",
        match[0],
        said,
        forms.text("Style", "prompt", LONGEST_PROMPT, style=LINES, placeholder=STYLE_EXAMPLE),
        forms.text(
            "Lyrics", "lyrics", LONGEST_LYRICS, SECTIONS, style=LINES, placeholder=LYRICS_EXAMPLE
        ),
        forms.text("Language", "language", 40, LANGUAGE, required=False, placeholder=ANY_LANGUAGE),
        request_form.seconds_field(held, longest),
        forms.text(
            "Settings",
            "settings",
            LONGEST_SETTINGS,
            ALL_ELSE,
            required=False,
            placeholder=IN_A_LINE,
        ),
    )


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
    wish = replace(wish, edited_from=int(match["number"]) if before else None)
    await request_form.queue(interaction, wish, wrong)


SONG = Form(f"form:song(:{NUMBER})?", _filled, _submitted)
"""The form of a song."""
