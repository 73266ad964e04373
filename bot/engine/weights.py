"""The weights of each family: whether they are on disk, and how to get them; torch stays out."""

from collections.abc import Iterable, Mapping
from typing import Protocol

from bot.engine import names
from bot.engine.acestep import fetching
from bot.engine.musicgen import checkpoints
from bot.engine.names import Family


class WeightsRoom(Protocol):
    """What a family's room says of a `model`, a repository or a folder."""

    def installed(self) -> bool:
        """Return whether the family's packages can be imported, without importing them."""

    def wrong(self, model: str) -> str | None:
        """Return a sentence on what is wrong that no download fixes, None if nothing is."""

    def missing(self, model: str) -> list[str]:
        """Return what can be downloaded of a model and is not on disk."""

    def trouble(self, model: str) -> str | None:
        """Return a sentence on what keeps a model from being loaded, None if nothing does."""

    def size(self, model: str) -> int:
        """Return about how many bytes a model's weights take in half precision, 0: not on disk."""

    def fetch(self, model: str) -> None:
        """Download what is missing, with progress on stderr; raise OperatorError if that fails."""


WEIGHTS_ROOMS: Mapping[Family, tuple[str, WeightsRoom]] = {
    Family.MUSICGEN: ("MusicGen", checkpoints),
    Family.ACESTEP: ("ACE-Step", fetching),
}
"""What each family is called, and its room."""


def of(model: str) -> WeightsRoom:
    """Return the room of a model's family."""
    return WEIGHTS_ROOMS[names.family(model)][1]


def lacking(models: Iterable[str]) -> str | None:
    """Return the first family of some models whose packages are not installed, None: all are."""
    families = dict.fromkeys(map(names.family, models))
    rooms = (WEIGHTS_ROOMS[family] for family in families)
    return next((name for name, room in rooms if not room.installed()), None)
