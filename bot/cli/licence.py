"""Whether what is sold may be sold: the weights' licences against the tiers that cost money."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from bot.admin.tiers import TierAdmin
from bot.clock import utc_now
from bot.config import Config
from bot.engine.cards import ModelCard
from bot.engine.licences import Licence, Sale
from bot.errors import OperatorError
from bot.rules import tiers
from bot.rules.quota import includes
from bot.rules.terms import Terms
from bot.rules.wording import counted
from bot.tables.opening import reading
from bot.values import Tier

REMEDY = (
    "Take these models out of the paid tiers (/tier edit), unmap the paid tiers (/tier unmap, "
    "SKUS), or offer models whose music may be sold: docs/tiers.md says which."
)

Paid = Mapping[int, Sequence[Tier]]
"""By server, the tiers that cost money and that a role grants there."""


async def paid(folder: Path, models: Sequence[str]) -> Paid:
    """Return what is paid for in the servers of a data folder, running or not."""
    try:
        async with reading(folder / "fantasia.db") as database:
            terms = Terms(tiers=tiers.defaults(models))
            return await TierAdmin(database, terms, clock=utc_now).paid()
    except OperatorError:  # no database yet, or one that is told of elsewhere
        return {}


def warnings(paid: Paid, config: Config, cards: Sequence[ModelCard]) -> list[str]:
    """Return what the operator should know before anybody pays for one of these models.

    That is, where a tier that is sold includes one that may not be, or of which that is not known.
    """
    usual = {tier.key: tier for tier in tiers.defaults([card.name for card in cards])}
    skus = [usual[key] for key in config.skus.values()]
    doubtful = [card for card in cards if card.licence.sale in (Sale.NO, Sale.UNKNOWN)]
    servers = sum(bool(_of(doubtful, found)) for found in paid.values())
    sold = [f"roles are mapped to paid tiers in {counted(servers, 'server')}"] if servers else []
    sold += ["SKUS sells tiers"] if _of(doubtful, skus) else []
    if not sold:
        return []
    listed = _of(doubtful, [*skus, *(tier for found in paid.values() for tier in found)])
    told, sentences = " and ".join(sold), " ".join(licence.told for licence in listed)
    models = "; ".join(f"{', '.join(names)}: {licence.name}" for licence, names in listed.items())
    return [f"{told[0].upper()}{told[1:]}, and these include {models}. {sentences} {REMEDY}"]


def _of(cards: Sequence[ModelCard], sold: Sequence[Tier]) -> dict[Licence, list[str]]:
    """Return the names of those models that some of these tiers include, by their licence."""
    found: dict[Licence, list[str]] = {}
    for card in cards:
        if any(includes(tier, card.name) for tier in sold):
            found.setdefault(card.licence, []).append(card.name)
    return found
