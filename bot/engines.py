"""Which engine renders, under what name, and the command that starts its process."""

import sys
from dataclasses import dataclass

from bot import __version__
from bot.config import Config, EngineName
from bot.engine import weights
from bot.errors import OperatorError
from bot.models import About

SETUP = "make setup"


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """An engine, the model it makes music with, and why it is not the one configured."""

    engine: EngineName
    model: str
    command: tuple[str, ...]
    note: str | None = None


def configured(config: Config) -> Choice:
    """Return exactly the engine that is configured; raise OperatorError if it is not installed."""
    if config.engine is EngineName.MUSICGEN and not weights.installed():
        raise OperatorError(
            f"ENGINE is musicgen, but MusicGen's packages are not installed: run `{SETUP}`, "
            "or set ENGINE=sketch."
        )
    return _choice(config, config.engine)


def usable(config: Config, asked: EngineName | None, pace: float = 0.0) -> Choice:
    """Return the engine asked for; if none was, MusicGen where all its weights are on disk."""
    if asked is EngineName.SKETCH:
        return _choice(config, asked, pace)
    if not weights.installed():
        missing = ["its packages"]
    else:
        missing = weights.missing(config.musicgen_model)
    if not missing:
        return _choice(config, EngineName.MUSICGEN)
    mend = f"python -m bot fetch {config.musicgen_model}"
    lack = f"MusicGen lacks {', '.join(missing)}: `{mend}` downloads what is missing"
    if not weights.installed():
        lack = (
            f"MusicGen is not installed: `{SETUP}` installs it, then `{mend}` fetches the weights"
        )
    if asked:
        raise OperatorError(f"{lack}.")
    return _choice(config, EngineName.SKETCH, pace, f"{lack}. Until then the sketch engine plays.")


def _choice(
    config: Config, engine: EngineName, pace: float = 0.0, note: str | None = None
) -> Choice:
    command = [sys.executable, "-m", "bot.engine.worker", "--engine", engine.value]
    command += ["--finish", config.finish.value]
    if engine is EngineName.SKETCH:
        command += ["--pace", str(pace)]
        return Choice(engine=engine, model="sketch", command=tuple(command), note=note)
    command += ["--model", config.musicgen_model, "--device", config.device.value]
    command += ["--precision", config.precision.value]
    command += ["--slots", str(config.slots)] if config.slots else []
    model = weights.name(config.musicgen_model)
    return Choice(engine=engine, model=model, command=tuple(command), note=note)


def about(choice: Choice, config: Config) -> About:
    """Return what members may know of the engine and the code."""
    sketch = choice.engine is EngineName.SKETCH
    licence = None if sketch else weights.licence(config.musicgen_model)
    return About(version=__version__, licence=licence, code=config.code_url)
