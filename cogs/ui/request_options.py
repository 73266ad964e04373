"""The options of the commands that request music: what they take, and what is offered for them."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from discord import app_commands

from bot.client import Interaction
from bot.engine import cards
from bot.engine.cards import OPTION_TEXTS, ModelCard, OptionBounds
from bot.rules import lyrics
from bot.rules.quota import includes
from cogs.ui import submit
from cogs.ui.autocomplete import offered

LENGTHS = (5, 8, 15, 30, 60, 90, 120)


def with_options(callback: Callable[..., Any], models: Sequence[ModelCard]) -> Callable[..., Any]:
    """Let a command's callback take the options that some of these models have.

    They stand in its `**given`, within the bounds of all of those models.
    """
    options = cards.offered(models)
    # discord.py reads the parameters of a command from its signature.
    signature = inspect.signature(callback)
    own = [each for each in signature.parameters.values() if each.kind is not each.VAR_KEYWORD]
    more = [_parameter(name, known) for name, known in options.items()]
    setattr(callback, "__signature__", signature.replace(parameters=[*own, *more]))  # noqa: B010
    described = {name: _described(name, known) for name, known in options.items()}
    return app_commands.describe(**described)(callback)


def _described(name: str, known: Sequence[OptionBounds]) -> str:
    defaults = " or ".join(dict.fromkeys(f"{each.default:g}" for each in known))
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
    return await _models(interaction, typed, lambda _: True)


async def singers(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the models that sing, in the same way."""
    return await _models(interaction, typed, lambda card: card.sings)


async def _models(
    interaction: Interaction, typed: str, wanted: Callable[[ModelCard], bool]
) -> list[app_commands.Choice[str]]:
    held, _ = await submit.allowed(interaction)
    loaded = interaction.client.services.studio.models
    found = []
    for name in dict.fromkeys((*loaded, *sorted(held.tier.models - {"*"}))):
        if not wanted(cards.card(name)):
            continue
        note = "" if includes(held.tier, name) else f": not in your {held.tier.name} tier"
        note = note if name in loaded else ": not available here"
        found.append((f"{name}{note}", name))
    return offered(found, typed)


async def languages(_: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Offer the languages of lyrics, by their names or codes."""
    return offered(((name, code) for code, name in lyrics.LANGUAGES.items()), typed)
