"""Which engine renders, its models' names, and the command that starts its process.

The command says all that is configured, whatever engine it starts: each takes what is its own.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec

from bot import __version__
from bot.config import Config, PrecisionSetting
from bot.engine import cards, placement, weights
from bot.engine.cards import EngineName, ModelCard
from bot.engine.cluster import check
from bot.engine.environment import engine_environment
from bot.engine.placement import Placement
from bot.errors import OperatorError
from bot.rules.tiers import LONGEST_MODEL
from bot.values import About

SETUP = "make setup ENGINE=musicgen"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """The models that an engine makes music with, and why it is not the one configured."""

    cards: tuple[ModelCard, ...]
    command: tuple[str, ...]
    note: str | None = None

    @property
    def models(self) -> tuple[str, ...]:
        """Their names."""
        return tuple(card.name for card in self.cards)

    @property
    def model(self) -> str:
        """The default one."""
        return self.models[0]


def configured(config: Config) -> Choice:
    """Return exactly the engine that is configured; raise OperatorError if it is not installed."""
    here = config.engine is EngineName.MUSICGEN and config.engines != "ray"
    if here and (lacking := weights.lacking(config.wanted)):
        raise OperatorError(
            f"ENGINE is musicgen, but {lacking}'s packages are not installed: run `{SETUP}`, "
            "or set ENGINE=sketch."
        )
    choice = _choice(config, config.engine)
    if config.engines == "ray":  # a machine of a cluster need not have all models
        return replace(choice, command=(*choice.command, "--some"))
    return choice


def usable(config: Config, asked: EngineName | None, pace: float = 0.0) -> Choice:
    """Return the engine asked for; if none was, MusicGen where all its weights are on disk."""
    if asked not in (None, EngineName.MUSICGEN):
        return _choice(config, asked, pace)
    lacking = weights.lacking(config.wanted)
    if lacking is None:
        troubles = (weights.of(model).trouble(model) for model in config.wanted)
        found = " ".join(filter(None, troubles))
    else:
        fetch = f"python -m bot fetch {' '.join(config.wanted)}"
        found = f"{lacking} is not installed: run `{SETUP}`, then `{fetch}` for the weights."
    if not found:
        return _choice(config, EngineName.MUSICGEN)
    if asked:
        raise OperatorError(found)
    note = f"{found} Until then, the sketch engine is used."
    return _choice(config, EngineName.SKETCH, pace, note)


def _choice(
    config: Config, engine: EngineName, pace: float = 0.0, note: str | None = None
) -> Choice:
    found = cards.configured(engine, config.wanted)
    # Members choose by the short name, and the engine loads by it.
    names = [card.name for card in found]
    if len(set(names)) < len(names):
        raise OperatorError(
            f"MODELS: two models have the same short name for members: {', '.join(names)}."
        )
    for name in names:
        if len(name) > LONGEST_MODEL:
            raise OperatorError(
                f"MODELS: the name {name} has {len(name)} characters, more than the "
                f"{LONGEST_MODEL} that members can enter: rename its folder."
            )
    command = [sys.executable, "-m", "bot.engine.worker", "--engine", engine.value]
    command += ["--finish", config.finish.value, "--pace", str(pace)]
    for model in config.wanted:
        command += ["--model", model]
    command += ["--device", config.device.value]
    command += ["--precision", config.precision.value, "--kernels", config.kernels.value]
    command += ["--slots", str(config.slots)] if config.slots else []
    command += ["--models-loaded", str(config.models_loaded)] if config.models_loaded else []
    return Choice(cards=found, command=tuple(command), note=note)


def cluster(config: Config) -> str | None:
    """Return the address of the cluster whose engines render, None if this machine's own do.

    Raises OperatorError if Ray is not installed, or anybody could use the cluster.
    """
    if config.engines != "ray":
        return None
    if not find_spec("ray"):
        raise OperatorError("ENGINES is ray, but Ray is not installed: run `make setup CLUSTER=1`.")
    assert config.ray_address
    check(config.ray_address)
    return config.ray_address


def placements(config: Config) -> tuple[Placement, ...]:
    """Return the engines of this machine; raise OperatorError if there cannot be so many."""
    if config.engines == "ray":
        return ()
    # The sketch engine plays on the CPU wherever MusicGen would.
    device = "cpu" if config.engine is EngineName.SKETCH else config.device.value
    return placement.local(config.engines, device, engine_environment())


def unwise(config: Config, placed: Sequence[Placement]) -> str | None:
    """Return a sentence on why these engines are too many for this machine, None if they are not.

    MusicGen is loaded with its first model; others are, where there is room.
    """
    if len(placed) == 1 or config.engine is EngineName.SKETCH:
        return placement.unwise(placed)
    first = config.wanted[0]
    halved = 2 if config.precision is PrecisionSetting.INT8 else 1
    return placement.unwise(placed, weights.of(first).size(first) / halved)


def about(config: Config) -> About:
    """Return what members may know of the code."""
    return About(version=__version__, code=config.code_url)
