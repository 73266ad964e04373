"""What the command line takes, and one sentence for what it does not."""

import argparse
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn, TypeVar

from bot import __version__, parsing
from bot.engine.cards import KNOWN_OPTIONS, OPTION_TEXTS, EngineName

Read = TypeVar("Read")

SLOWEST_SKETCH = 60
"""The most seconds that the sketch engine may take per second of music."""


class Parser(argparse.ArgumentParser):
    """Says what is wrong without the usage, which would bury the sentence."""

    def error(self, message: str) -> NoReturn:
        """Say what is wrong and where to read on, and exit with 2."""
        self.exit(2, f"{self.prog}: {message}. See `{self.prog} --help`.\n")


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the arguments: `command` is what to do, the rest is what that command takes."""
    parser = Parser(
        prog="python -m bot", description="Fantasia: a Discord bot that turns words into music."
    )
    parser.add_argument("--version", action="version", version=f"Fantasia {__version__}")
    parser.set_defaults(sync=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", dest="command")

    commands.add_parser("init", help="write .env, asking for what only you know")

    command = commands.add_parser("run", help="run the bot (the default command)")
    command.add_argument("--sync", action="store_true", help="register the commands again")

    command = commands.add_parser("demo", help="run the real bot in a simulated Discord")
    _add_engine(command)
    _add(command, "--pace", _pace, default=0.5, metavar="S", help=PACE_HELP)
    _add(command, "--data", parsing.path, metavar="DIR", help="keep the data in DIR")
    _add(command, "--port", parsing.number(0, 65_535), default=0, metavar="N", help=PORT_HELP)
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--headless", action="store_true", help="make one request, with no page")
    _add_request(command, prompt="--prompt", default="mozart fantasia")
    _add(command, "--out", parsing.path, default=Path("demo-out"), metavar="DIR", help=OUT_HELP)

    command = commands.add_parser("generate", help="make music without Discord")
    _add_piece(command)

    command = commands.add_parser("fetch", help="download the models' weights")
    _add(command, "model", parsing.model, nargs="*", help="instead of MODELS")

    command = commands.add_parser("audit", help="print a server's log of changes as CSV")
    _add(
        command, "--server", parsing.snowflake, required=True, metavar="ID", help="the server's id"
    )

    command = commands.add_parser("backup", help="copy the database, even while the bot runs")
    _add(command, "file", parsing.path, metavar="FILE", help="the file to write")
    command.add_argument("--music", action="store_true", help="make FILE a folder with the music")

    command = commands.add_parser("restore", help="replace the database with a backup")
    _add(command, "file", parsing.path, metavar="FILE", help="what `backup` wrote")

    command = commands.add_parser("doctor", help="check everything and say how to fix it")
    command.add_argument("--online", action="store_true", help="ask Discord, too")

    options = parser.parse_args(arguments)
    options.command = options.command or "run"
    return options


PACE_HELP = "seconds that the sketch engine takes per second of music"
PORT_HELP = "the page's port (default: any free)"
OUT_HELP = "where --headless saves what was posted"


def _add_piece(command: argparse.ArgumentParser) -> None:
    _add_request(command, prompt="prompt")
    _add(command, "--takes", _whole, default=1, metavar="N", help="how many versions")
    _add(command, "--seed", _whole, metavar="N", help="seed of the first take (default: random)")
    for name, known in KNOWN_OPTIONS.items():
        read, number = (_whole, "N") if known.whole else (_decimal, "X")
        _add(command, _flag(name), read, metavar=number, help=OPTION_TEXTS[name])
    _add(command, "--lyrics", _words, metavar="FILE", help="a text file of what is to be sung")
    _add(command, "--language", _text, metavar="L", help="of the lyrics, such as German or de")
    _add(command, "--model", parsing.model, help="instead of MODELS")
    _add_engine(command)
    _add(command, "--out", parsing.path, metavar="FILE", help="a .wav, .flac, .mp3 or .ogg file")


def _flag(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _add_engine(command: argparse.ArgumentParser) -> None:
    told = f"{' or '.join(EngineName)} (default: musicgen if its weights are on disk)"
    _add(command, "--engine", parsing.choice(EngineName), metavar="ENGINE", help=told)


def _add_request(command: argparse.ArgumentParser, prompt: str, default: str | None = None) -> None:
    _add(command, prompt, _text, default=default, help="what the music should be")
    _add(command, "--duration", _whole, default=8, metavar="S", help="seconds of music")


def _add(
    command: argparse.ArgumentParser,
    name: str,
    read: Callable[[str], Read],
    **more: Any,  # noqa: ANN401
) -> None:
    """Add an argument whose text is read by a function that says what it must be."""

    def convert(text: str) -> Read:
        # argparse would tell a ValueError by the function's name.
        try:
            return read(text)
        except ValueError as problem:
            raise argparse.ArgumentTypeError(str(problem)) from None

    command.add_argument(name, type=convert, **more)


def _text(found: str) -> str:
    try:
        found.encode()
    except UnicodeEncodeError:
        raise ValueError("the text is not valid UTF-8: check the terminal's encoding") from None
    return found


def _words(found: str) -> str:
    """Read a file of text, with or without a byte order mark."""
    try:
        return parsing.path(found).read_text("utf-8-sig")
    except UnicodeDecodeError:
        raise ValueError(f"{found} is no text in UTF-8") from None
    except OSError as error:
        raise ValueError(f"{found} cannot be read: {error.strerror}") from None


def _whole(found: str) -> int:
    """Read a whole number, whose bounds the request's own sentences name."""
    if not re.fullmatch("-?[0-9]{1,18}", found):
        raise ValueError(f"found {found!r}; it must be a whole number")
    return int(found)


def _decimal(found: str) -> float:
    """Read a number, whose bounds the request's own sentences name."""
    if not re.fullmatch(r"[0-9]{0,6}\.?[0-9]{1,6}", found):
        raise ValueError(f"found {found!r}; it must be a number such as 4.5")
    return float(found)


def _pace(found: str) -> float:
    if not re.fullmatch(r"[0-9]*\.?[0-9]+", found) or float(found) > SLOWEST_SKETCH:
        raise ValueError(f"found {found!r}; it must be a number from 0 to {SLOWEST_SKETCH}")
    return float(found)
