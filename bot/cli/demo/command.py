"""The demo: its pages until they are closed, or one request without a page."""

import argparse
import contextlib
import getpass
import os
import socket
import tempfile
import webbrowser
from dataclasses import replace
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console

from bot.app import Plan
from bot.cli.demo import headless, pages
from bot.cli.demo.stage import OWNERS_SERVER, Stage, staged
from bot.cli.engine_choice import Choice, about
from bot.cli.resources import free_port, require_folder, require_port
from bot.config import Config
from bot.rules import tiers

HERE = "127.0.0.1"
FIRST_PROMPT, FIRST_SEED = "mozart fantasia", 123
"""What is asked for before anybody looks, so that no page is empty."""


async def run(choice: Choice, config: Config, options: argparse.Namespace, console: Console) -> int:
    """Serve the pages until one is closed, or do one request without; return the exit code."""
    if options.headless:
        require_folder(options.out, f"--out {options.out}")
    else:
        require_port(options.port, f"--port {options.port}")
    with contextlib.ExitStack() as stack:
        folder = options.data or stack.enter_context(tempfile.TemporaryDirectory("-fantasia"))
        plan = Plan(
            folder=Path(folder),
            command=choice.command,
            models=choice.models,
            cards=choice.cards,
            defaults=tiers.defaults(choice.models),
            limits=replace(config.limits(), servers=None),  # those that are simulated
            about=about(config),
            owner_guild_id=OWNERS_SERVER,
            sync=True,
            metrics=None if options.headless else (HERE, free_port(HERE)),
        )
        async with staged(plan) as stage:
            if options.headless:
                await headless.once(stage, options, console)
            else:
                await _serve(stage, options, plan, console)
    return 0


async def _serve(stage: Stage, options: argparse.Namespace, plan: Plan, console: Console) -> None:
    await _begin(stage)
    async with pages.opened(stage, options.port) as found:
        told = "Fantasia is listening. Open a channel, type /generate, press Ctrl-C to stop:"
        addresses = {room.name: page.url for room, page in zip(stage.rooms, found, strict=True)}
        if plan.metrics:
            addresses["metrics"] = f"http://{HERE}:{plan.metrics[1]}/metrics"
        longest = max(map(len, addresses))
        lines = [f"  {name:{longest}}  {address}" for name, address in addresses.items()]
        if not _has_screen():
            lines += _from_elsewhere(found[0].url)
        console.print(told, *lines, sep="\n", markup=False, highlight=False, soft_wrap=True)
        if not options.no_browser and _has_screen():
            webbrowser.open(found[0].url)
        await pages.closed(found)


async def _begin(stage: Stage) -> None:
    """Let the admin post the panel, a member ask for a first piece, and the owner set up."""
    await stage.member("admin").slash(stage.music, "panel")
    await stage.member("pro").slash(
        stage.music, "generate", prompt=FIRST_PROMPT, duration=8, seed=FIRST_SEED
    )
    lobby = stage.rooms[-1]
    await lobby.members[0].slash(lobby.channel, "setup")


def _from_elsewhere(url: str) -> list[str]:
    """Say how a browser on another machine reaches the pages."""
    port = urlsplit(url).port
    return [
        "There is no screen here. On the machine with your browser run",
        f"  ssh -L {port}:{HERE}:{port} {getpass.getuser()}@{socket.gethostname()}",
        "and open the addresses there.",
    ]


def _has_screen() -> bool:
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
