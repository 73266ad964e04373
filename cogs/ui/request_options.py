"""The options of the commands that request music: what they take, and what is offered for them."""

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
from cogs.ui.parameters import taking

LENGTHS = (5, 8, 15, 30, 60, 90, 120)


def with_options(callback: Callable[..., Any], models: Sequence[ModelCard]) -> Callable[..., Any]:
    """Let a command's callback take the options that some of these models have.

    They stand in its `**given`, within the bounds of all of those models.
    """
    options = cards.offered(models)
    known = {name: (_range(each), _described(name, each)) for name, each in options.items()}
    return taking(known, dict.fromkeys(known))(callback)


def _described(name: str, known: Sequence[OptionBounds]) -> str:
    defaults = " or ".join(dict.fromkeys(f"{each.default:g}" for each in known))
    return f"{OPTION_TEXTS[name]} (default {defaults}{', by model' * (' or ' in defaults)})"


def _range(known: Sequence[OptionBounds]) -> Any:  # noqa: ANN401
    least, most = min(each.least for each in known), max(each.most for each in known)
    kind = int if known[0].whole else float
    return app_commands.Range[kind, kind(least), kind(most)]


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
