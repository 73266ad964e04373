"""The command line: `python -m bot COMMAND`; `run` is the default."""

import argparse
import asyncio
import contextlib
import logging
import secrets
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bot import logs
from bot.cli import arguments, engine_choice, guard
from bot.config import Config, LogFormat, LogLevel, Switch, load
from bot.engine.cards import KNOWN_OPTIONS
from bot.errors import OperatorError, Refusal, StorageError
from bot.rules import bounds
from bot.rules.wording import counted
from bot.values import Wish

log = logging.getLogger(__name__)

# Beside stdout, which is for whatever reads files' names or CSV from a pipe.
console = Console(stderr=True)


def main(given: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return 0, or 1 for a failure that one sentence explains."""
    options = arguments.parse(given)
    try:
        return int(COMMANDS[options.command](options) or 0)
    except KeyboardInterrupt:
        return 130  # as shells have it: 128, and the number of the signal
    except (OperatorError, Refusal, StorageError, BaseExceptionGroup) as error:
        explained = _explained(error)
        if explained is None:
            raise
        log.debug("traceback", exc_info=error)
        console.print(str(explained), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1


def run(options: argparse.Namespace) -> None:
    """Run the bot on Discord."""
    # Here and below: discord.py takes longer to import than `--help` should to answer.
    from bot.cli.run import run as connected

    config = _configured()
    if config.discord_token is None:
        raise OperatorError(
            "DISCORD_TOKEN is not set: put your bot's token in .env (the README shows where to "
            "find it), or try the bot without one: `make demo`."
        )
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(connected(config, config.discord_token, sync=options.sync))


def demo(options: argparse.Namespace) -> int:
    """Run the bot in a simulated Discord."""
    config = _configured()
    if config.log_level is not LogLevel.DEBUG:
        logging.getLogger("discord").setLevel(logging.ERROR)
    try:
        from bot.cli.demo import command
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"The demo's packages are not installed ({error}): run `make demo`."
        ) from error
    choice = engine_choice.usable(config, options.engine, options.pace)
    _say(choice.note)
    try:
        return asyncio.run(command.run(choice, config, options, console))
    except KeyboardInterrupt:
        if options.headless:
            raise  # what was asked for was not done
    _say("The demo has ended.")
    return 0


def generate(options: argparse.Namespace) -> None:
    """Render one request without Discord."""
    from bot.cli import generate

    config = _configured()
    if options.model:
        config = replace(config, musicgen_model=options.model, models=())
    choice = engine_choice.usable(config, options.engine)
    _say(choice.note)
    wish = Wish(
        prompt=options.prompt,
        seconds=options.duration,
        takes=options.takes,
        seed=options.seed,
        lyrics=options.lyrics,
        language=options.language,
        options={
            name: value for name in KNOWN_OPTIONS if (value := getattr(options, name)) is not None
        },
    )
    seed, longest = secrets.randbelow(2**31), config.max_seconds
    request = bounds.ask(wish, models=choice.cards[:1], max_seconds=longest, seed=seed)
    out = options.out or Path(f"{request.slug}.wav")
    for path in asyncio.run(generate.generate(choice, request, out, console)):
        sys.stdout.write(f"{path}\n")
    _say(f"Seed {request.seed}, {choice.model}")


def fetch(options: argparse.Namespace) -> None:
    """Download the weights of one or more models."""
    from bot.engine import weights

    wanted = options.model or _configured().wanted
    if lacking := weights.lacking(wanted):
        raise OperatorError(f"{lacking} is not installed: run `{engine_choice.SETUP}` first.")
    for model in wanted:
        weights.of(model).fetch(model)
        _say(f"All the weights of {model} are on disk.")


def audit(options: argparse.Namespace) -> None:
    """Write a server's audit log to stdout as CSV."""
    from bot.cli import audit_export

    config = _configured()
    asyncio.run(audit_export.audit(config.data_dir, options.server, sys.stdout))


def backup(options: argparse.Namespace) -> None:
    """Copy the database, with or without the music, even while the bot runs."""
    from bot.cli import backup

    folder = _configured().data_dir
    if not options.music:
        asyncio.run(backup.backup(folder, options.file))
        _say(f"Backed up to {options.file}. The music is not in it: `--music` takes it along.")
        return
    saved = asyncio.run(backup.backup_with_music(folder, options.file))
    _say(f"Backed up to the folder {options.file}, with {counted(saved.files, 'file')} of pieces.")
    if saved.lost:
        _say(f"The music of {_some(saved.lost)} was gone already.")


def restore(options: argparse.Namespace) -> None:
    """Replace the database with a backup."""
    from bot.cli import backup

    done = asyncio.run(backup.restore(_configured().data_dir, options.file, datetime.now(UTC)))
    _say(
        f"Restored from {options.file}."
        + (f" The old database is now {done.old}." if done.old else "")
        + (
            f" Its {counted(done.returned, 'file')} of pieces are in place."
            if done.returned
            else ""
        )
    )
    if done.lost:
        _say(f"The music of {_some(done.lost)} in it is gone.")
    if done.unnamed:
        unnamed = counted(done.unnamed, "file")
        _say(f"DATA_DIR/audio holds {unnamed} that it does not mention; nothing was removed.")


def doctor(options: argparse.Namespace) -> int:
    """Check everything and say how to fix it."""
    from bot.cli.doctor import examine

    return 0 if examine(Console(), online=options.online) else 1


def init(_: argparse.Namespace) -> None:
    """Write .env."""
    from bot.cli.init import init as ask

    ask(console)


def _configured() -> Config:
    config = load()
    # From here on a token is in memory, and nothing else of ours runs beside this process yet.
    if config.debuggable is Switch.OFF:
        guard.close()
    logs.start(config.log_level, as_json=config.log_format is LogFormat.JSON)
    return config


def _explained(error: BaseException) -> OperatorError | Refusal | StorageError | None:
    if isinstance(error, OperatorError | Refusal | StorageError):
        return error
    # What the loops raise arrives in the group of their TaskGroup, which may hold groups itself.
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for part in parts if (found := _explained(part))), None)


def _some(pieces: Sequence[int]) -> str:
    """Say how many pieces these are, and which the first ones."""
    more = " and more" if len(pieces) > 20 else ""
    numbers = ", ".join(f"#{number}" for number in pieces[:20])
    return f"{counted(len(pieces), 'piece')} ({numbers}{more})"


def _say(text: str | None) -> None:
    if text:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


COMMANDS = {
    command.__name__: command
    for command in (run, demo, generate, fetch, audit, backup, restore, doctor, init)
}


if __name__ == "__main__":
    sys.exit(main())
