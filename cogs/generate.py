"""/generate: the command that requests music."""

import inspect
from collections.abc import Sequence
from typing import Any

from discord import app_commands

from bot.client import Fantasia, Interaction
from bot.engine import cards
from bot.engine.cards import OptionBounds
from bot.rules import bounds
from bot.rules.bounds import LONGEST_PROMPT, MOST_TAKES, USUAL_SECONDS
from bot.rules.quota import includes
from bot.studio import Studio
from bot.values import Wish
from cogs.ui import prompt_words, submit
from cogs.ui.autocomplete import offered
from cogs.ui.buttons import CancelButton, PostAgainButton, StopButton
from cogs.ui.extending import (
    EXTENSION,
    ExtendButton,
    ExtendSelect,
    ExtendTakeButton,
    OtherWordsButton,
)
from cogs.ui.forms import BackButton, Forms
from cogs.ui.piece_card import TITLE, NameButton, StarButton, UnstarButton
from cogs.ui.request_form import REQUEST, AgainButton, EditButton, GenerateButton
from cogs.ui.result_buttons import DeleteButton, DeleteNowButton
from cogs.ui.saving import SaveButton, SaveSelect, SaveTakeButton
from cogs.ui.take_buttons import TAKES

BUTTONS = (CancelButton, PostAgainButton, StopButton, AgainButton, EditButton, GenerateButton)
RESULTS = (
    *(ExtendButton, ExtendTakeButton, ExtendSelect, OtherWordsButton),
    *(SaveButton, SaveTakeButton, SaveSelect),
    *(DeleteButton, DeleteNowButton),
    *TAKES,
)
PIECES = (StarButton, UnstarButton, NameButton)

FORMS = (REQUEST, EXTENSION, TITLE)

LENGTHS = (5, 8, 15, 30, 60, 90, 120)


OPTION_TEXTS = {
    "guidance": "How closely the music follows the prompt",
    "temperature": "How adventurous the music is",
    "top_k": "How many candidates each step chooses from",
    "steps": "How many steps the music is refined in",
}


def command(studio: Studio) -> app_commands.Command[Any, ..., None]:
    """Make /generate with the operator's longest piece as the bound that Discord enforces.

    It takes the options that some model here has, within the bounds of all of those.
    """
    options = cards.offered([cards.card(name) for name in studio.models])

    @app_commands.describe(
        prompt="What the music should be, such as: mozart fantasia",
        duration=f"Length in seconds, 1 to {studio.max_seconds} "
        f"(default {USUAL_SECONDS}, or less if your tier allows less)",
        takes="How many versions of that length (default 1)",
        model="The model that makes the music",
        seed="The same seed, prompt and settings make the same music again",
        **{name: _described(name, known) for name, known in options.items()},
    )
    @app_commands.autocomplete(prompt=prompt_words.phrases)
    @app_commands.autocomplete(duration=durations)
    @app_commands.autocomplete(model=models)  # not choices: these are the same for all members
    async def generate(
        interaction: Interaction,
        prompt: app_commands.Range[str, 1, LONGEST_PROMPT],
        duration: app_commands.Range[int, 1, studio.max_seconds] | None = None,
        takes: app_commands.Range[int, 1, MOST_TAKES] = 1,
        model: app_commands.Range[str, 1, 100] | None = None,
        seed: app_commands.Range[int, 0, bounds.HIGHEST_SEED] | None = None,
        **given: float | None,
    ) -> None:
        """Turn words into music."""
        wish = Wish(
            prompt=prompt,
            seconds=duration,
            takes=takes,
            model=model,
            seed=seed,
            options={name: value for name, value in given.items() if value is not None},
        )
        await submit.queue(interaction, wish)

    # discord.py reads the parameters of a command from its signature.
    signature = inspect.signature(generate)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    more = [_parameter(name, known) for name, known in options.items()]
    setattr(generate, "__signature__", signature.replace(parameters=[*own, *more]))  # noqa: B010
    return app_commands.command()(generate)


def _described(name: str, known: Sequence[OptionBounds]) -> str:
    defaults = " or ".join(dict.fromkeys(f"{bounds.default:g}" for bounds in known))
    return f"{OPTION_TEXTS[name]} (default {defaults}{', by model' * (' or ' in defaults)})"


def _parameter(name: str, known: Sequence[OptionBounds]) -> inspect.Parameter:
    least, most = min(each.least for each in known), max(each.most for each in known)
    kind = int if known[0].whole else float
    held = app_commands.Range[kind, kind(least), kind(most)]  # type: ignore[valid-type]
    return inspect.Parameter(
        name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=held | None
    )


async def durations(interaction: Interaction, typed: str) -> list[app_commands.Choice[int]]:
    """Offer lengths that the member's tier allows, and flag one that it does not."""
    held, longest = await submit.allowed(interaction)
    lengths = sorted({length for length in LENGTHS if length < longest} | {longest})
    if typed.isdecimal() and len(typed) < 4:
        asked = int(typed)
        if asked > longest:
            name = f"{longest} s: the longest your {held.tier.name} tier allows"
            return offered([(name, longest)])
        lengths = [asked] * (asked > 0) + [n for n in lengths if str(n).startswith(typed)]
    unique = dict.fromkeys(lengths)
    return offered((f"{length} s", length) for length in unique)


async def models(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the models, and flag those the member cannot choose or that are not loaded."""
    held, _ = await submit.allowed(interaction)
    loaded = interaction.client.services.studio.models
    found = []
    for name in dict.fromkeys((*loaded, *sorted(held.tier.models - {"*"}))):
        note = "" if includes(held.tier, name) else f": not in your {held.tier.name} tier"
        note = note if name in loaded else ": not available here"
        found.append((f"{name}{note}", name))
    return offered(found, typed)


async def setup(bot: Fantasia) -> None:
    """Add /generate, its buttons and its forms to the bot."""
    bot.tree.add_command(command(bot.services.studio))
    # Presses of what was posted before this start find their class by these.
    bot.add_dynamic_items(*BUTTONS, BackButton, *RESULTS, *PIECES)
    await bot.add_cog(Forms(FORMS))
