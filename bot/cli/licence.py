"""Whether what is sold may be sold: the weights' licence against the tiers that cost money."""

from collections.abc import Sequence
from pathlib import Path

from bot.admin.tiers import TierAdmin
from bot.cli.engine_choice import Choice
from bot.clock import utc_now
from bot.config import Config
from bot.engine.cards import ModelCard
from bot.engine.licences import Sale
from bot.errors import OperatorError
from bot.rules.quota import includes
from bot.rules.terms import Terms
from bot.rules.tiers import FREE
from bot.rules.wording import counted
from bot.tables.opening import reading

REMEDY = (
    "Meta's weights may not be used commercially: unmap the paid tiers (/tier unmap, SKUS), use "
    "weights whose licence allows it (MUSICGEN_MODEL can be a folder of your own), or ask Meta."
)


async def warnings(tier_admin: TierAdmin, config: Config, choice: Choice) -> list[str]:
    """Return what the operator should know before anybody pays."""
    return [
        *licence(await tier_admin.paid_servers(), config, choice.cards),
        *unreachable(choice.models),
    ]


async def paid_servers(folder: Path) -> int:
    """Return in how many servers of a data folder, running or not, paid tiers are mapped."""
    try:
        async with reading(folder / "fantasia.db") as database:
            return await TierAdmin(database, Terms(), clock=utc_now).paid_servers()
    except OperatorError:  # no database yet, or one that is told of elsewhere
        return 0


def licence(servers: int, config: Config, cards: Sequence[ModelCard]) -> list[str]:
    """Warn where paid tiers are mapped in some servers, or sold, and the weights forbid it."""
    sold = [f"roles are mapped to paid tiers in {counted(servers, 'server')}"] if servers else []
    sold += ["SKUS sells tiers"] if config.skus else []
    forbidding = dict.fromkeys(card.licence.name for card in cards if card.licence.sale is Sale.NO)
    if not sold or not forbidding:
        return []
    licences = "; ".join(forbidding)
    told = " and ".join(sold)
    return [f"{told[0].upper()}{told[1:]}, but the weights are {licences}. {REMEDY}"]


def unreachable(models: tuple[str, ...]) -> list[str]:
    """Warn if the default tier includes none of the available models."""
    if any(includes(FREE, model) for model in models):
        return []
    return [
        f"The default {FREE.name} tier includes none of the models here ({', '.join(models)}): its "
        "members cannot request anything until a server's admins edit it (/tier edit)."
    ]
