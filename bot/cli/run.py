"""Running the bot on Discord, as it is configured."""

import asyncio
import logging
import signal

from bot.app import Plan, compose, heed_signals
from bot.cli import engine_choice, licence
from bot.cli.connection import proxy, serve
from bot.config import Config
from bot.rules import tiers

log = logging.getLogger(__name__)


async def run(config: Config, token: str, *, sync: bool) -> None:
    """Run the bot with exactly the engine that is configured, until it is drained or stopped."""
    choice = engine_choice.configured(config)
    placements = engine_choice.placements(config)
    if warning := engine_choice.unwise(config, placements):
        log.warning("%s", warning)
    plan = Plan(
        folder=config.data_dir,
        command=choice.command,
        placements=placements,
        ray_address=engine_choice.cluster(config),
        models=choice.models,
        cards=choice.cards,
        limits=config.limits(),
        defaults=tiers.defaults(choice.models),
        skus=config.skus,
        about=engine_choice.about(config),
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
    # Until the client is there to be drained, being asked to end means ending; asyncio itself
    # does that for Ctrl-C alone.
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with compose(plan) as client, client:
        heed_signals(client)
        paid = await client.services.tier_admin.paid()
        for warning in licence.warnings(paid, config, choice.cards):
            log.warning("%s", warning)
        await serve(client, token)
