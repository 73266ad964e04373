"""What every engine is to the child process that it renders in."""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Protocol

from bot.engine.messages import InterimReport, Ready, Render


@dataclass(frozen=True, slots=True)
class Idle:
    """What a render yields while it can only wait, for its files or for another render."""


Rendering = Generator[InterimReport | Idle | None, None, None]


class Engine(Protocol):
    """What renders inside the child."""

    def ready(self) -> Ready:
        """Return what was loaded."""

    def step(self) -> None:
        """Make one step of all renders that are under way."""

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Render an order, a step for each `step`.

        Yields a Progress after a step, a Took when a take's files are in place, a Previewed when
        all previews are, None while it has nothing to say, and Idle while it has nothing to do.
        Closing the generator cancels. Once `finishing()` is true it keeps the music made so far and
        ends, as soon as a take has a second of it.
        Raises JobError for what the member should read.
        """
