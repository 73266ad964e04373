"""The command line: `python -m bot COMMAND`; `run` is the default."""

import argparse
import asyncio
import contextlib
import logging
import secrets
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from bot import __version__, logs
from bot.cli import engine_choice, guard, licence
from bot.config import Config, LogFormat, LogLevel, Switch, load
from bot.engine.cards import EngineName
from bot.errors import OperatorError, Refusal, StorageError
from bot.rules import bounds
from bot.rules.wording import counted
from bot.values import Wish

log = logging.getLogger(__name__)
console = Console(stderr=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments say; return 0, or 1 for a failure that one sentence explains."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.action(options) or 0)
    except KeyboardInterrupt:
        return 130
    except (OperatorError, Refusal, StorageError, BaseExceptionGroup) as error:
        explained = _explained(error)
        if explained is None:
            raise
        log.debug("traceback", exc_info=error)
        console.print(str(explained), style="red", markup=False, highlight=False, soft_wrap=True)
        return 1


def run(options: argparse.Namespace) -> None:
    """Run the bot with exactly the engine that is configured."""
    config = _configured()
    if config.discord_token is None:
        raise OperatorError(
            "DISCORD_TOKEN is not set: put your bot's token in .env (the README shows where to "
            "find it), or try the bot without one: `make demo`."
        )
    with contextlib.suppress(asyncio.CancelledError):
        asyncio.run(_run(config, config.discord_token, sync=options.sync))


def demo(options: argparse.Namespace) -> int:
    """Run the bot in a simulated Discord."""
    config = _configured()
    if config.log_level is not LogLevel.DEBUG:
        logging.getLogger("discord").setLevel(logging.ERROR)
    try:
        from bot.cli import demo
    except ModuleNotFoundError as error:
        raise OperatorError(
            f"The demo's packages are not installed ({error}): run `make demo`."
        ) from error
    choice = engine_choice.usable(config, options.engine, options.pace)
    _say(choice.note)
    return asyncio.run(demo.run(choice, config, options, console))


def generate(options: argparse.Namespace) -> None:
    """Render one request without Discord."""
    from bot.cli import generate

    config = _configured()
    if options.model:
        asked = Config.from_env({"MUSICGEN_MODEL": options.model})
        config = replace(config, musicgen_model=asked.musicgen_model, models=())
    choice = engine_choice.usable(config, options.engine)
    _say(choice.note)
    wish = Wish(
        prompt=options.prompt, seconds=options.duration, takes=options.takes, seed=options.seed
    )
    request = bounds.ask(
        wish,
        models=(choice.model,),
        max_seconds=config.max_seconds,
        seed=secrets.randbelow(2**31),
    )
    out = options.out or Path(f"{request.slug}.wav")
    for path in asyncio.run(generate.generate(choice, request, out, console)):
        sys.stdout.write(f"{path}\n")
    _say(f"Seed {request.seed}, {choice.model}")


def fetch(options: argparse.Namespace) -> None:
    """Download the weights of one or more models."""
    from bot.engine.musicgen import checkpoints

    config = _configured()
    if not checkpoints.installed():
        raise OperatorError(f"MusicGen is not installed: run `{engine_choice.SETUP}` first.")
    for model in options.model or config.wanted:
        checkpoints.fetch(model)
        _say(f"All the weights of {model} are on disk.")


def audit(options: argparse.Namespace) -> None:
    """Write a server's audit log to stdout as CSV."""
    from bot.cli import audit_export

    config = _configured()
    asyncio.run(audit_export.audit(config.data_dir, options.server, sys.stdout))


def backup(options: argparse.Namespace) -> None:
    """Copy the database to a file, even while the bot runs."""
    from bot.cli import backup

    asyncio.run(backup.backup(_configured().data_dir, options.file))
    _say(f"Backed up to {options.file}. The music in DATA_DIR/audio is not in it.")


def restore(options: argparse.Namespace) -> None:
    """Replace the database with a backup."""
    from bot.cli import backup

    done = asyncio.run(backup.restore(_configured().data_dir, options.file, datetime.now(UTC)))
    _say(
        f"Restored from {options.file}."
        + (f" The old database is now {done.old}." if done.old else "")
    )
    if done.lost:
        some = ", ".join(f"#{number}" for number in done.lost[:20])
        more = " and more" if len(done.lost) > 20 else ""
        _say(f"The music of {counted(len(done.lost), 'piece')} in it is gone: {some}{more}.")
    if done.unnamed:
        unnamed = counted(done.unnamed, "file")
        _say(f"DATA_DIR/audio holds {unnamed} that it does not mention; nothing was removed.")


def doctor(_: argparse.Namespace) -> int:
    """Check everything and say how to fix it."""
    from bot.cli.doctor import examine

    return 0 if examine(Console()) else 1


async def _run(config: Config, token: str, *, sync: bool) -> None:
    from bot.app import Plan, compose, heed_signals
    from bot.cli.connection import proxy, serve

    choice = engine_choice.configured(config)
    plan = Plan(
        folder=config.data_dir,
        command=choice.command,
        models=choice.models,
        limits=config.limits(),
        skus=config.skus,
        about=engine_choice.about(choice, config),
        dev_guild_id=config.dev_guild_id,
        owner_guild_id=config.owner_guild_id,
        sync=sync,
        proxy=proxy(),
        drain_seconds=config.drain_seconds,
        keep=config.keep(),
        metrics=(config.metrics_host, config.metrics_port) if config.metrics_port else None,
    )
    task = asyncio.current_task()
    assert task
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with compose(plan) as client, client:
        heed_signals(client)
        for warning in await licence.warnings(client.services.server_admin, config, choice):
            log.warning("%s", warning)
        await serve(client, token)


def _configured() -> Config:
    config = load()
    if config.debuggable is Switch.OFF:
        guard.close()
    logs.start(config.log_level, as_json=config.log_format is LogFormat.JSON)
    return config


def _explained(error: BaseException) -> OperatorError | Refusal | StorageError | None:
    if isinstance(error, OperatorError | Refusal | StorageError):
        return error
    parts = error.exceptions if isinstance(error, BaseExceptionGroup) else ()
    return next((found for part in parts if (found := _explained(part))), None)


def _say(text: str | None) -> None:
    if text:
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m bot", description="Fantasia: a Discord bot that turns words into music."
    )
    parser.add_argument("--version", action="version", version=f"Fantasia {__version__}")
    parser.set_defaults(action=run, sync=False)
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    command = commands.add_parser("run", help="run the bot (the default command)")
    command.add_argument("--sync", action="store_true", help="register the commands again")
    command.set_defaults(action=run)

    command = commands.add_parser("demo", help="run the real bot in a simulated Discord")
    _add_engine(command)
    command.add_argument("--pace", type=_pace, default=0.5, metavar="S", help=PACE_HELP)
    command.add_argument("--data", type=Path, metavar="DIR", help="keep the data in DIR")
    command.add_argument("--port", type=int, default=0, help="the page's port (default: any free)")
    command.add_argument("--no-browser", action="store_true", help="only print the address")
    command.add_argument("--headless", action="store_true", help="make one request, with no page")
    _add_request(command, prompt="--prompt")
    command.add_argument("--out", type=Path, default=Path("demo-out"), metavar="DIR", help=OUT_HELP)
    command.set_defaults(action=demo)

    command = commands.add_parser("generate", help="make music without Discord")
    _add_request(command, prompt="prompt")
    command.add_argument("--takes", type=int, default=1, help="how many versions")
    command.add_argument("--seed", type=int, help="seed of the first take (default: random)")
    command.add_argument("--model", help="instead of MODELS")
    _add_engine(command)
    command.add_argument("--out", type=Path, metavar="FILE", help="the WAV file to write")
    command.set_defaults(action=generate)

    command = commands.add_parser("fetch", help="download the models' weights")
    command.add_argument("model", nargs="*", help="instead of MODELS")
    command.set_defaults(action=fetch)

    command = commands.add_parser("audit", help="print a server's log of changes as CSV")
    command.add_argument("--server", type=int, required=True, metavar="ID", help="the server's id")
    command.set_defaults(action=audit)

    command = commands.add_parser("backup", help="copy the database, even while the bot runs")
    command.add_argument("file", type=Path, metavar="FILE", help="the file to write")
    command.set_defaults(action=backup)

    command = commands.add_parser("restore", help="replace the database with a backup")
    command.add_argument("file", type=Path, metavar="FILE", help="a file that `backup` wrote")
    command.set_defaults(action=restore)

    command = commands.add_parser("doctor", help="check everything and say how to fix it")
    command.set_defaults(action=doctor)
    return parser


PACE_HELP = "seconds that the sketch engine takes per second of music"
OUT_HELP = "where --headless saves what was posted"


def _add_engine(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--engine",
        type=EngineName,
        choices=list(EngineName),
        help=f"{' or '.join(EngineName)} (default: musicgen if its weights are on disk)",
    )


def _add_request(command: argparse.ArgumentParser, prompt: str) -> None:
    command.add_argument(prompt, type=_text, help="what the music should be")
    command.add_argument("--duration", type=int, default=8, metavar="S", help="seconds of music")


def _text(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise argparse.ArgumentTypeError(
            "the text is not valid UTF-8: check the terminal's encoding"
        ) from None
    return text


def _pace(text: str) -> float:
    pace = float(text)
    if not 0 <= pace <= 60:
        raise argparse.ArgumentTypeError("must be between 0 and 60")
    return pace


if __name__ == "__main__":
    sys.exit(main())
