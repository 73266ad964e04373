"""Checks everything that Fantasia needs and says how to fix what is wrong."""

import asyncio
import importlib.metadata
import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.cli import licence
from bot.cli.engine_choice import SETUP
from bot.config import Config, DeviceSetting, load
from bot.engine import cards
from bot.engine.environment import engine_environment
from bot.engine.musicgen import checkpoints
from bot.errors import OperatorError
from bot.retention import archive, disk
from bot.rules.wording import counted
from bot.tables import database, jobs, state, takes

FREE_GIGABYTES = 2.0
"""Disk space that should be free for audio and the database, in GB."""

OTHERS_PERMISSIONS = 0o077
"""Permissions of everyone but a file's owner."""

DEVICE_PROBE = """
import json, torch
from bot.engine.musicgen.devices import unfit
from bot.engine.musicgen.linears import native
gpu = torch.cuda.is_available()
p = torch.cuda.get_device_properties(0) if gpu else None
print(json.dumps([[p.name, p.total_memory, unfit()] if gpu else None, native()]))
"""


SLOW_ON_A_CPU = "the small model plays in about real time on a good CPU; larger ones want a GPU"


class Verdict(StrEnum):
    """Whether something is as it should be, worth knowing, or must be fixed."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


VERDICT_COLOURS = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One line of the table."""

    what: str
    verdict: Verdict
    found: str
    remedy: str = ""


def examine(console: Console) -> bool:
    """Print the table of checks and return whether nothing needs fixing."""
    checks = list(_checks())
    table = Table(title="Fantasia's health", title_justify="left")
    for heading in ("Check", "", "Found", "What to do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        colour = VERDICT_COLOURS[check.verdict]
        table.add_row(check.what, f"[{colour}]{check.verdict}[/]", check.found, check.remedy)
    console.print(table)
    return all(check.verdict is not Verdict.BAD for check in checks)


def _checks() -> Iterator[Check]:
    yield _python()
    try:
        config = load()
        yield Check(what="Configuration", verdict=Verdict.GOOD, found="every setting is valid")
    except OperatorError as error:
        first, *others = (line.strip() for line in str(error).splitlines())
        problems = "\n".join(others or [first])
        yield Check(what="Configuration", verdict=Verdict.BAD, found=problems, remedy="fix .env")
        config = Config()
    yield _token(config)
    for file in filter(None, (Path(".env"), config.discord_token_file)):
        yield from _secrets(file)
    yield from _musicgen(config)
    yield from _folder(config.data_dir.absolute())
    yield _database(config.data_dir / "fantasia.db")
    yield from _music(config)
    yield _port(config)
    yield _selling(config)


def _python() -> Check:
    version = ".".join(map(str, sys.version_info[:3]))
    return Check(what="Python", verdict=Verdict.GOOD, found=f"{version} in {sys.prefix}")


def _token(config: Config) -> Check:
    if config.discord_token:
        return Check(what="Token", verdict=Verdict.GOOD, found="looks like a bot token")
    return Check(
        what="Token",
        verdict=Verdict.NOTE,
        found="none",
        remedy="put DISCORD_TOKEN in .env; only `run` needs it",
    )


def _secrets(file: Path) -> Iterator[Check]:
    """Warn if others can read the token."""
    with suppress(OSError):
        if file.stat().st_mode & OTHERS_PERMISSIONS:
            remedy = f"`chmod 600 {file}`"
            found = f"others on this machine can read {file.absolute()}, and the token in it"
            yield Check(what="Secrets", verdict=Verdict.NOTE, found=found, remedy=remedy)


def _musicgen(config: Config) -> Iterator[Check]:
    if not checkpoints.installed():
        yield Check(
            what="Packages",
            verdict=Verdict.NOTE,
            found="the bot's are installed, MusicGen's are not",
            remedy=f"run `{SETUP}`; ENGINE=sketch does not need them",
        )
        return
    names = ("audiocraft", "torch", "torchaudio", "xformers", "transformers")
    found = ", ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
    yield Check(what="Packages", verdict=Verdict.GOOD, found=found)
    yield _device(config)
    for model in config.wanted:
        yield _weights(model)


def _device(config: Config) -> Check:
    memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
    cores = f"{os.cpu_count()} CPU cores, {memory}"
    asked = subprocess.run(  # noqa: S603
        [sys.executable, "-c", DEVICE_PROBE],
        capture_output=True,
        text=True,
        check=False,
        env=engine_environment(),
    )
    if asked.returncode:
        words = (asked.stderr.strip() or "no message").splitlines()[-1]
        return Check(
            what="DeviceSetting",
            verdict=Verdict.BAD,
            found=f"torch fails: {words}",
            remedy=f"`{SETUP}`",
        )
    gpu, kernels = json.loads(asked.stdout.splitlines()[-1])
    cores += f"; native kernels for {', '.join(kernels)}" if kernels else "; no native kernels"
    if gpu and not gpu[2]:
        found = f"{gpu[0]}, {gpu[1] / 1e9:.0f} GB; {cores}"
        return Check(what="DeviceSetting", verdict=Verdict.GOOD, found=found)
    wanted = config.device is DeviceSetting.CUDA
    return Check(
        what="DeviceSetting",
        verdict=Verdict.BAD if wanted else Verdict.NOTE,
        found=f"{gpu[2] if gpu else 'no CUDA GPU'}; {cores}",
        remedy="set DEVICE=auto"
        if wanted
        else "two cores play the small model in about real time; larger ones need a GPU",
    )


def _weights(model: str) -> Check:
    if wrong := checkpoints.wrong(model):
        remedy = "do what it says, or choose another model in MUSICGEN_MODEL or MODELS"
        return Check(what="Weights", verdict=Verdict.BAD, found=wrong, remedy=remedy)
    missing = checkpoints.missing(model)
    if not missing:
        return Check(what="Weights", verdict=Verdict.GOOD, found=f"{model} is on disk")
    return Check(
        what="Weights",
        verdict=Verdict.NOTE,
        found=f"not on disk: {', '.join(missing)}",
        remedy=f"`python -m bot fetch {model}`",
    )


def _database(path: Path) -> Check:
    if not path.is_file():
        return Check(what="Database", verdict=Verdict.GOOD, found="none yet; `run` creates it")
    try:
        found = asyncio.run(_state(path))
    except OperatorError as error:
        damaged = getattr(error.__cause__, "damaged", False)
        return Check(
            what="Database",
            verdict=Verdict.BAD,
            found=str(error),
            remedy="`python -m bot restore FILE`" if damaged else "give the bot access to it",
        )
    if path.stat().st_mode & OTHERS_PERMISSIONS:
        remedy = f"`chmod 600 {path}`: others on this machine can read it"
        return Check(what="Database", verdict=Verdict.NOTE, found=found, remedy=remedy)
    if database.is_held(path):
        found = f"{found}; another program has been holding it for seconds"
        remedy = "close whatever has it open, such as a database browser"
        return Check(what="Database", verdict=Verdict.NOTE, found=found, remedy=remedy)
    return Check(what="Database", verdict=Verdict.GOOD, found=found)


async def _state(path: Path) -> str:
    await database.check(path)
    async with database.reading(path) as opened:
        counts = await jobs.counts(opened)
        paused = await state.paused(opened)
    told = ", ".join(f"{count} {state}" for state, count in counts.items()) or "no pieces yet"
    return f"intact; {told}" + (
        "" if paused is None else f"; paused: {paused or 'no reason given'}"
    )


def _music(config: Config) -> Iterator[Check]:
    audio = config.data_dir / disk.AUDIO
    if audio.exists() and not os.access(audio, os.R_OK | os.W_OK | os.X_OK):
        yield Check(
            what="Kept music",
            verdict=Verdict.BAD,
            found=f"{audio} is not readable and writable",
            remedy="give it to the user that runs the bot (`chown -R`)",
        )
        return
    files = disk.music(config.data_dir)
    kept = sum(files.values()) / 1e9
    found = (
        f"{kept:.1f} GB in {counted(len(files), 'file')}; at most {config.keep_gb} GB and "
        f"{counted(config.keep_days, 'day')}"
    )
    if kept <= config.keep_gb:
        yield Check(what="Kept music", verdict=Verdict.GOOD, found=found)
    else:
        remedy = "the running bot removes what has been delivered; the rest waits for Discord"
        yield Check(what="Kept music", verdict=Verdict.NOTE, found=found, remedy=remedy)
    with suppress(OperatorError):  # told above
        yield from asyncio.run(_compared(config.data_dir))


async def _compared(folder: Path) -> list[Check]:
    """Report music that the database does not mention, and music that is missing."""
    path = folder / "fantasia.db"
    if not path.is_file():
        return []
    async with database.reading(path) as opened:
        unnamed = await archive.strays(opened, folder)
        for name in await archive.leftovers(opened, unnamed):
            del unnamed[name]
        gone = dict.fromkeys(await takes.files(opened) - disk.music(folder).keys(), 0)
    return [*_unnamed(folder, unnamed), *_gone(sorted(disk.by_job(gone)))]


def _unnamed(folder: Path, unnamed: Mapping[str, int]) -> Iterator[Check]:
    aside = disk.sizes(folder / disk.ORPHANS)
    if not unnamed and not aside:
        return
    size = (sum(unnamed.values()) + sum(aside.values())) / 1e9
    files = counted(len(unnamed), "file")
    found = f"{files} in {disk.AUDIO}, {len(aside)} in {disk.ORPHANS}, {size:.1f} GB"
    remedy = "from another or an older database; the bot leaves them alone: delete or keep them"
    yield Check(what="Unknown music", verdict=Verdict.NOTE, found=found, remedy=remedy)


def _gone(numbers: Sequence[int]) -> Iterator[Check]:
    if numbers:
        some = ", ".join(f"#{number}" for number in numbers[:10])
        found = f"files of {counted(len(numbers), 'piece')} are gone: {some}"
        remedy = "restore them from a copy of DATA_DIR/audio, if you have one"
        yield Check(what="Lost music", verdict=Verdict.NOTE, found=found, remedy=remedy)


def _port(config: Config) -> Check:
    host, port = config.metrics_host, config.metrics_port
    if port is None:
        return Check(what="Metrics", verdict=Verdict.GOOD, found="off (METRICS_PORT)")
    try:
        socket.create_server((host, port)).close()
    except OSError as error:
        remedy = "set METRICS_PORT to another port, unless a running bot is using this one"
        found = f"{host}:{port} is not available: {error.strerror}"
        return Check(what="Metrics", verdict=Verdict.NOTE, found=found, remedy=remedy)
    return Check(what="Metrics", verdict=Verdict.GOOD, found=f"{host}:{port} is free")


def _selling(config: Config) -> Check:
    models = cards.configured(config.engine, config.wanted)
    servers = asyncio.run(licence.paid_servers(config.data_dir))
    if warnings := licence.licence(servers, config, models):
        found = warnings[0].removesuffix(f" {licence.REMEDY}")
        return Check(what="Selling", verdict=Verdict.NOTE, found=found, remedy=licence.REMEDY)
    return Check(what="Selling", verdict=Verdict.GOOD, found="nothing is sold against the licence")


def _folder(folder: Path) -> Iterator[Check]:
    existing = next(path for path in (folder, *folder.parents) if path.exists())
    try:
        with tempfile.TemporaryFile(dir=existing) as file:
            database.lock(file.fileno(), existing)
        yield Check(what="Data folder", verdict=Verdict.GOOD, found=f"{folder} is writable")
    except OSError as error:
        yield Check(
            what="Data folder",
            verdict=Verdict.BAD,
            found=f"{existing} is not writable: {error.strerror}",
            remedy="set DATA_DIR to a writable folder",
        )
    except OperatorError as error:
        remedy = "set DATA_DIR to a folder on a local disk"
        yield Check(what="Data folder", verdict=Verdict.BAD, found=str(error), remedy=remedy)
    free = shutil.disk_usage(existing).free / 1e9
    yield Check(
        what="Free disk",
        verdict=Verdict.GOOD if free >= FREE_GIGABYTES else Verdict.NOTE,
        found=f"{free:.1f} GB",
        remedy="" if free >= FREE_GIGABYTES else f"free up {FREE_GIGABYTES:g} GB for audio",
    )
