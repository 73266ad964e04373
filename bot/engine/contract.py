"""What every engine is to the child process that it renders in."""

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass
from typing import Protocol

from bot.engine.messages import Loaded, Loading, Previewed, Progress, Ready, Render, Took


@dataclass(frozen=True, slots=True)
class Idle:
    """What a render yields while it can only wait, for its files or for another render."""


Rendering = Generator[Loading | Loaded | Progress | Previewed | Took | Idle | None, None, None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelCard:
    """What is known about a model without loading it.

    Members choose it by `name` and read its `label` under the music. A piece has at most
    `longest` seconds; `options` are the sampling options that members can set, with the least
    and the most of each. The `licence` is that of its weights, None if unknown, which
    may rule out `commercial` use. One that only `stands_in` for others, to try the bot, has no
    weights, and every tier includes it.
    """

    name: str
    label: str
    longest: int
    options: Mapping[str, tuple[float, float]]
    licence: str | None = None
    commercial: bool = True
    stands_in: bool = False


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
