"""What every engine is to the child process that it renders in."""

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.engine.messages import InterimReport, Ready, Render
from bot.engine.sharing import Need


@dataclass(frozen=True, slots=True)
class Idle:
    """What a render yields while it can only wait, for its files or for another render."""


Rendering = Generator[InterimReport | Idle | None, None, None]


class Model(Protocol):
    """A model that is loaded: an engine by itself, with its own slots and its own pace."""

    def ready(self) -> Ready:
        """Return what was loaded; the names in it are those of this engine alone."""

    def expected(self) -> float:
        """Return the seconds that the next step should take, about."""

    def step(self) -> None:
        """Make one step of all renders that are under way, or of some of them."""

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Render an order, a step for each `step`.

        Yields a Progress after a step, a Took when a take's files are in place, a Previewed when
        all previews are, None while it has nothing to say, and Idle while it has nothing to do.
        Closing the generator cancels. Once `finishing()` is true it keeps the music made so far and
        ends, as soon as a take has a second of it.
        Raises JobError for what the member should read.
        """


class Engine(Model, Protocol):
    """What renders inside the child: one model, or several that share the device."""

    def slots(self, model: str) -> int:
        """Return how many takes of a model are rendered side by side.

        One that is not loaded counts as having a single slot until it is.
        """


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyRoom:
    """What loads the models of one family, each a repository or a folder.

    `trouble` says in a sentence what keeps a model from being loaded, None if nothing does, and
    `need` about what one that is on disk will need. `load` loads it, or raises OperatorError; of
    the memory, others that are to be loaded beside it get as much as they need.
    """

    trouble: Callable[[str], str | None]
    need: Callable[[str], Need]
    load: Callable[[str, Sequence[Need]], Model]
