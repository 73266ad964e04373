"""Checks everything that Fantasia needs and says how to fix what is wrong."""

import asyncio
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from bot.cli import licence
from bot.cli.checks import data, engine
from bot.cli.checks.check import Check, Verdict, bad, good, note
from bot.cli.checks.online import discord_checks
from bot.cli.resources import port_trouble
from bot.config import Config, load
from bot.engine import cards
from bot.errors import OperatorError

VERDICT_COLOURS = {Verdict.GOOD: "green", Verdict.NOTE: "yellow", Verdict.BAD: "red"}


def examine(console: Console, *, online: bool = False) -> bool:
    """Print the table of checks, and return whether nothing needs fixing; `online` asks Discord."""
    checks = list(_checks(online=online))
    table = Table(title="Fantasia's health", title_justify="left")
    for heading in ("Check", "", "Found", "What to do"):
        table.add_column(heading, overflow="fold")
    for check in checks:
        colour = VERDICT_COLOURS[check.verdict]
        table.add_row(check.what, f"[{colour}]{check.verdict}[/]", check.found, check.remedy)
    console.print(table)
    return all(check.verdict is not Verdict.BAD for check in checks)


def _checks(*, online: bool) -> Iterator[Check]:
    version = ".".join(map(str, sys.version_info[:3]))
    yield good("Python", f"{version} in {sys.prefix}")
    try:
        config = load()
        yield good("Configuration", "every setting is valid")
    except OperatorError as error:
        first, *others = (line.strip() for line in str(error).splitlines())
        yield bad("Configuration", "\n".join(others or [first]), "fix .env")
        # The rest is still worth looking at, as the defaults would have it.
        config = Config()
    yield _token(config)
    for file in filter(None, (Path(".env"), config.discord_token_file)):
        yield from data.secret(file)
    yield from engine.models(config)
    yield engine.engines(config)
    yield from data.folder(config)
    yield data.rows(config)
    yield from data.music(config)
    yield _port(config)
    yield _selling(config)
    if online:
        yield from asyncio.run(discord_checks(config))


def _token(config: Config) -> Check:
    if config.discord_token:
        return good("Token", "looks like a bot token")
    return note("Token", "none", "put DISCORD_TOKEN in .env; only `run` needs it")


def _port(config: Config) -> Check:
    host, port = config.metrics_host, config.metrics_port
    if port is None:
        return good("Metrics", "off (METRICS_PORT)")
    if trouble := port_trouble(host, port):
        found = f"{host}:{port} is not available: {trouble}"
        remedy = "set METRICS_PORT to another port, unless a running bot is using this one"
        return note("Metrics", found, remedy)
    return good("Metrics", f"{host}:{port} is free")


def _selling(config: Config) -> Check:
    models = cards.configured(config.engine, config.wanted)
    paid = asyncio.run(licence.paid(config.data_dir, [card.name for card in models]))
    for warning in licence.warnings(paid, config, models):
        return note("Selling", warning.removesuffix(f" {licence.REMEDY}"), licence.REMEDY)
    told = dict.fromkeys(card.licence.told for card in models)
    return good("Selling", "\n".join(["nothing is sold against a licence", *told]))
