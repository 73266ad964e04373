"""Writing .env: the example with what only the operator knows filled in."""

import re
import sys
from pathlib import Path

from rich.console import Console
from rich.prompt import Confirm, InvalidResponse, Prompt

from bot import parsing
from bot.cli.engine_choice import SETUP
from bot.config import Config
from bot.engine import weights
from bot.engine.cards import EngineName
from bot.errors import OperatorError

EXAMPLE = Path(__file__).parents[2] / ".env.example"

NEXT = "`python -m bot doctor --online` asks Discord about it; `python -m bot run` runs the bot."


class TokenPrompt(Prompt):
    """Asks for a bot token until it looks like one, or nothing is said."""

    def process_response(self, value: str) -> str:
        """Return the token, or "" to fill it in later; raise InvalidResponse for another text."""
        try:
            return parsing.token(value.strip()) if value.strip() else ""
        except ValueError as problem:
            raise InvalidResponse(f"[red]{problem}") from None


def init(console: Console, target: Path = Path(".env")) -> None:
    """Ask, write the file, and offer to fetch the weights.

    Raises OperatorError if the file is to stay as it is, or cannot be written, or nobody answers.
    """
    try:
        if target.exists() and not Confirm.ask(
            f"{target} exists. Replace it?", console=console, default=False
        ):
            raise OperatorError(f"{target} stays as it is.")
        example = _example()
        answers = _answers(console, example)
        _write(target, filled(example, answers))
        _say(console, f"Wrote {target.absolute()}, which only you can read. {NEXT}")
        if answers["ENGINE"] == EngineName.MUSICGEN:
            _offer_weights(console, Config().musicgen_model)
    except EOFError:
        raise OperatorError("Nobody answered: run `python -m bot init` in a terminal.") from None


def filled(example: str, answers: dict[str, str]) -> str:
    """Return the example with these values, and without its advice to copy it."""
    for key, value in answers.items():
        example = re.sub(rf"^{key}=.*$", f"{key}={value}", example, flags=re.MULTILINE)
    return example.partition("\n\n")[2]


def explanation(example: str, key: str) -> str:
    """Return the comment that stands above a key."""
    found = re.search(rf"((?:^# .*\n)+){key}=", example, re.MULTILINE)
    assert found
    return found[1].replace("# ", "")


def _example() -> str:
    try:
        return EXAMPLE.read_text()
    except OSError as error:
        raise OperatorError(
            f"{EXAMPLE} cannot be read: {error.strerror}. It comes with Fantasia's source."
        ) from error


def _answers(console: Console, example: str) -> dict[str, str]:
    _say(console, explanation(example, "DISCORD_TOKEN"))
    token = TokenPrompt.ask(
        "DISCORD_TOKEN (not shown as you paste it; nothing: later)",
        console=console,
        password=sys.stdin.isatty(),
        default="",
        show_default=False,
    )
    _say(console, f"\n{explanation(example, 'ENGINE')}")
    engine = Prompt.ask(
        "ENGINE", console=console, choices=list(EngineName), default=EngineName.MUSICGEN.value
    )
    return {"DISCORD_TOKEN": token, "ENGINE": engine}


def _write(target: Path, text: str) -> None:
    part = target.with_name(f"{target.name}.part")
    try:
        # Nobody else may read it even for a moment, so it has its mode before it has the token.
        part.unlink(missing_ok=True)
        part.touch(mode=0o600)
        part.write_text(text)
        part.replace(target)
    except OSError as error:
        raise OperatorError(f"{target} cannot be written: {error.strerror}.") from error


def _offer_weights(console: Console, model: str) -> None:
    if lacking := weights.lacking([model]):
        _say(console, f"{lacking} is not installed: run `{SETUP}`, then `python -m bot fetch`.")
    elif weights.of(model).missing(model):
        if Confirm.ask(f"Download the weights of {model} now?", console=console, default=True):
            weights.of(model).fetch(model)
            _say(console, f"All the weights of {model} are on disk.")
        else:
            _say(console, "`python -m bot fetch` does it later.")


def _say(console: Console, text: str) -> None:
    console.print(text, markup=False, highlight=False, soft_wrap=True)
