"""The licences of models' weights, as far as known here, and whether their music may be sold."""

import re
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path


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

    @property
    def told(self) -> str:
        """What it says, and where that was read."""
        return f"{self.sentence} ({self.source})."


UNKNOWN_LICENCE = Licence(
    name="unknown, ask whoever runs this bot",
    sale=Sale.UNKNOWN,
    sentence="What weights of unknown licence allow is to be read where they come from",
    source="no licence was found",
)

CC_BY_NC = Licence(
    name="CC-BY-NC 4.0 (no commercial use)",
    sale=Sale.NO,
    sentence="Meta's weights may not be used commercially",
    source="the model cards of facebook/musicgen-*",
)

MIT = Licence(
    name="MIT",
    sale=Sale.YES,
    sentence="MIT allows selling; it is a tag, without a licence file beside the weights: read it",
    source="the page of ACE-Step/Ace-Step1.5",
)

NO_WEIGHTS = Licence(
    name="none",
    sale=Sale.YES,
    sentence="What is composed by rules has no weights",
    source="the sketch engine",
)

TAGS = {
    **dict.fromkeys(("mit", "apache-2.0", "bsd-2-clause", "bsd-3-clause", "cc0-1.0"), Sale.YES),
    **dict.fromkeys(("cc-by-4.0", "cc-by-sa-4.0", "openrail"), Sale.CONDITIONS),
    **dict.fromkeys(("cc-by-nc-4.0", "cc-by-nc-sa-4.0", "cc-by-nc-nd-4.0"), Sale.NO),
}
"""What the licences that models are tagged with say of selling."""

TAG_TEXTS = {
    Sale.YES: "allows selling",
    Sale.NO: "forbids commercial use",
    Sale.CONDITIONS: "allows selling on conditions: read them",
    Sale.UNKNOWN: "is to be read",
}

FRONT_MATTER = re.compile(r"\A---\s*\n(.*?)^---\s*$", re.DOTALL | re.MULTILINE)
LICENCE_LINE = re.compile(r"^license:\s*[\"']?([\w.-]{1,40})[\"']?\s*$", re.MULTILINE)

MOST_OF_A_CARD = 64_000
"""How many characters of a model card are read."""


def licence(model: str) -> Licence:
    """Return the licence of a repository's or folder's weights, as far as this program knows it."""
    if Path(model).is_dir():
        return _tagged(Path(model))
    owner, _, repository = model.casefold().partition("/")
    if owner == "facebook" and repository.startswith("musicgen-"):
        return CC_BY_NC
    return MIT if (owner, repository) == ("ace-step", "ace-step1.5") else UNKNOWN_LICENCE


def _tagged(folder: Path) -> Licence:
    """Return the licence that the front matter of a folder's README.md names, as the hub has it."""
    try:
        with (folder / "README.md").open(encoding="utf-8", errors="replace") as card:
            front = FRONT_MATTER.match(card.read(MOST_OF_A_CARD))
    except OSError:
        return UNKNOWN_LICENCE
    line = LICENCE_LINE.search(front[1]) if front else None
    if line is None:
        return UNKNOWN_LICENCE
    tag = line[1].casefold()
    sale = TAGS.get(tag, Sale.UNKNOWN)
    note = {Sale.NO: " (no commercial use)", Sale.CONDITIONS: " (on conditions)"}.get(sale, "")
    return Licence(
        name=f"{tag}{note}",
        sale=sale,
        sentence=f"The licence {tag} {TAG_TEXTS[sale]}",
        source=f"README.md of {folder}",
    )
