"""The licences of models' weights, as far as known here, and whether their music may be sold."""

from dataclasses import dataclass
from enum import StrEnum


class Sale(StrEnum):
    """Whether music made with some weights may be sold."""

    YES = "yes"
    NO = "no"
    CONDITIONS = "conditions"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class Licence:
    """That of a model's weights: what it says of selling, in a `sentence`, and its `source`."""

    name: str
    sale: Sale
    sentence: str
    source: str


UNKNOWN_LICENCE = Licence(
    name="unknown, ask whoever runs this bot",
    sale=Sale.UNKNOWN,
    sentence="The licence of these weights is not known here: read it where they come from.",
    source="whoever published them",
)

CC_BY_NC = Licence(
    name="CC-BY-NC 4.0 (no commercial use)",
    sale=Sale.NO,
    sentence="Meta's weights may not be used commercially.",
    source="the model cards of facebook/musicgen-*",
)

MIT = Licence(
    name="MIT",
    sale=Sale.YES,
    sentence="Tagged MIT, which allows selling; there is no licence file beside it: read its page.",
    source="the tag of ACE-Step/Ace-Step1.5, and the licence file of its code",
)

NO_WEIGHTS = Licence(
    name="none: there are no weights",
    sale=Sale.YES,
    sentence="The sketch engine composes by rules.",
    source="this program",
)


def licence(model: str) -> Licence:
    """Return the licence of a repository's or folder's weights, as far as this program knows it."""
    owner, _, repository = model.casefold().partition("/")
    if owner == "facebook" and repository.startswith("musicgen-"):
        return CC_BY_NC
    return MIT if (owner, repository) == ("ace-step", "ace-step1.5") else UNKNOWN_LICENCE
