"""Whether what is sold may be sold: the weights' licence against the tiers that cost money."""

from bot.config import Config
from bot.engine import weights
from bot.engines import Choice
from bot.rulebook import Rulebook
from bot.tiers import FREE

MEND = (
    "Meta's weights may not be used commercially: unmap the paid tiers (/tier unmap, SKUS), use "
    "weights whose licence allows it (MUSICGEN_MODEL can be a folder of your own), or ask Meta."
)


async def warnings(rulebook: Rulebook, config: Config, choice: Choice) -> list[str]:
    """Return what the operator should know before anybody pays."""
    return [
        *licence(await rulebook.paid_servers(), config, choice),
        *unreachable(choice),
    ]


def licence(servers: int, config: Config, choice: Choice) -> list[str]:
    """Warn where paid tiers are mapped in some servers, or sold, and the weights forbid it."""
    sold = [f"{servers} servers map roles to paid tiers"] if servers else []
    sold += ["SKUS sells tiers"] if config.skus else []
    if not sold or choice.model == "sketch":
        return []
    if weights.licence(config.musicgen_model) != weights.NON_COMMERCIAL:
        return []
    return [f"{' and '.join(sold)}, but the weights are {weights.NON_COMMERCIAL}. {MEND}"]


def unreachable(choice: Choice) -> list[str]:
    """Warn where everybody's tier does not include the one model that is loaded."""
    if choice.model in FREE.models | {"sketch"}:
        return []
    return [
        f"The default {FREE.name} tier does not include the model {choice.model}, the only one "
        "loaded: its members can ask for nothing until a server's admins edit it (/tier edit)."
    ]
