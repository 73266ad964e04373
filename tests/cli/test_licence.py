"""What the operator is told before weights without commercial use are sold."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.admin.tiers import TierAdmin
from bot.app import Plan
from bot.cli import licence
from bot.cli.engine_choice import Choice
from bot.config import Config
from bot.engine import cards
from bot.engine.cards import EngineName, ModelCard
from bot.rules import tiers
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Actor
from tests.support.clock import Clock
from tests.support.command_line import bot
from tests.support.studio import rooms

SOMEONE = Actor(id=1, name="someone")


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return replace(plan, defaults=tiers.DEFAULTS)


def made_by(config: Config) -> tuple[ModelCard, ...]:
    return cards.configured(EngineName.MUSICGEN, config.wanted)


async def map_role(plan: Plan, clock: Clock, tier: str) -> None:
    plan.folder.mkdir(exist_ok=True)
    async with open_database(plan.folder / "fantasia.db") as database:
        await tier_admin(database, clock).map_role(10, SOMEONE, Actor(id=77, name="Patrons"), tier)


def tier_admin(database: Database, clock: Clock) -> TierAdmin:
    return rooms(database, Path(), clock, *tiers.DEFAULTS).services.tier_admin


async def test_a_paid_tier_on_metas_weights_is_warned_of(plan: Plan, clock: Clock) -> None:
    await map_role(plan, clock, "Plus")
    choice = Choice(cards=made_by(Config()), command=())
    async with open_database(plan.folder / "fantasia.db") as database:
        books = tier_admin(database, clock)
        (warning,) = await licence.warnings(books, Config(), choice)
        mine = replace(choice, cards=made_by(Config(musicgen_model="me/small")))
        assert await licence.warnings(books, Config(), mine) == []
        sketch = replace(choice, cards=(cards.SKETCH,))
        assert await licence.warnings(books, Config(), sketch) == []
    assert "Roles are mapped to paid tiers in 1 server," in warning
    assert "CC-BY-NC 4.0" in warning
    assert "unmap the paid tiers" in warning


async def test_a_free_tier_may_be_mapped(plan: Plan, clock: Clock) -> None:
    await map_role(plan, clock, "Free")
    assert await licence.paid_servers(plan.folder) == 0


def test_skus_sell_as_well() -> None:
    (warning,) = licence.licence(0, Config(skus={1: "plus"}), made_by(Config()))
    assert "SKUS sells tiers" in warning


def test_a_model_that_free_lacks_is_warned_of() -> None:
    assert "none of the models here (large)" in licence.unreachable(("large",))[0]
    assert licence.unreachable(("large", "small")) == []


async def test_doctor_warns_too(plan: Plan, clock: Clock, tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(plan.folder), "COLUMNS": "200"}
    assert "nothing is sold against the licence" in bot(tmp_path, "doctor", **settings).stdout
    await map_role(plan, clock, "Pro")
    done = bot(tmp_path, "doctor", **settings)
    assert done.returncode == 0
    assert "CC-BY-NC 4.0" in done.stdout
    assert "unmap the paid tiers" in done.stdout
