"""What the operator is told before weights without commercial use are sold."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.admin.tiers import TierAdmin
from bot.app import Plan
from bot.cli import licence
from bot.config import Config
from bot.engine import cards
from bot.engine.cards import EngineName
from bot.rules import tiers
from bot.tables.database import Database
from bot.tables.opening import open_database
from bot.values import Actor
from tests.support.clock import Clock
from tests.support.command_line import bot
from tests.support.studio import rooms

METAS, ACE = "facebook/musicgen-small", "ACE-Step/Ace-Step1.5"
SOMEONE = Actor(id=1, name="someone")


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return replace(plan, defaults=tiers.DEFAULTS)


async def map_role(plan: Plan, clock: Clock, tier: str) -> None:
    plan.folder.mkdir(exist_ok=True)
    async with open_database(plan.folder / "fantasia.db") as database:
        await tier_admin(database, clock).map_role(10, SOMEONE, Actor(id=77, name="Patrons"), tier)


def tier_admin(database: Database, clock: Clock) -> TierAdmin:
    return rooms(database, Path(), clock, *tiers.DEFAULTS).services.tier_admin


async def warned(plan: Plan, *wanted: str, skus: dict[int, str] | None = None) -> list[str]:
    config = Config(models=wanted, skus=skus or {})
    models = cards.configured(EngineName.MUSICGEN, config.wanted)
    paid = await licence.paid(plan.folder, [card.name for card in models])
    return licence.warnings(paid, config, models)


async def test_a_paid_tier_with_weights_that_may_not_be_sold_is_warned_of(
    plan: Plan, clock: Clock
) -> None:
    await map_role(plan, clock, "Plus")
    (warning,) = await warned(plan, METAS)
    assert warning.startswith(
        "Roles are mapped to paid tiers in 1 server, and these include small: CC-BY-NC 4.0 (no "
        "commercial use). Meta's weights may not be used commercially (the model cards of "
        "facebook/musicgen-*). Take these models out of the paid tiers (/tier edit), unmap "
    )
    (warning,) = await warned(plan, METAS, "me/medium", "facebook/musicgen-large", ACE)
    assert "include small: CC-BY-NC 4.0 (no commercial use); medium: unknown" in warning
    assert "is to be read where they come from (no licence was found)." in warning
    assert "large" not in warning


async def test_what_may_be_sold_is_sold_without_a_word(plan: Plan, clock: Clock) -> None:
    await map_role(plan, clock, "Plus")
    assert await warned(plan, ACE, skus={1: "plus", 2: "pro"}) == []
    assert licence.warnings({10: [tiers.DEFAULTS[2]]}, Config(), (cards.SKETCH,)) == []
    # Large is in no tier that is sold here, and a server's admins may take small out of theirs.
    assert await warned(plan, ACE, "facebook/musicgen-large", skus={1: "plus"}) == []
    async with open_database(plan.folder / "fantasia.db") as database:
        await tier_admin(database, clock).edit_tier(10, SOMEONE, "Plus", {"models": "ace"})
    assert await warned(plan, METAS, ACE) == []


async def test_a_folder_of_ones_own_says_its_licence_as_the_hub_has_it(
    plan: Plan, tmp_path: Path
) -> None:
    mine = tmp_path / "small"
    mine.mkdir()

    async def sold(card: str | bytes) -> tuple[str, list[str]]:
        (mine / "README.md").write_bytes(card if isinstance(card, bytes) else card.encode())
        (known,) = cards.configured(EngineName.MUSICGEN, [str(mine)])
        return known.licence.name, await warned(plan, str(mine), skus={1: "plus"})

    assert await sold("---\ntags: [music]\nlicense: apache-2.0\n---\nMine.") == ("apache-2.0", [])
    assert await sold("---\nlicense: 'cc-by-4.0'\n---\n") == ("cc-by-4.0 (on conditions)", [])
    name, (warning,) = await sold("---\nlicense: CC-BY-NC-4.0\n---\n")
    assert name == "cc-by-nc-4.0 (no commercial use)"
    assert f"forbids commercial use (README.md of {mine})." in warning
    name, (warning,) = await sold("---\nlicense: my-own-2.1\n---\n")
    assert (name, "The licence my-own-2.1 is to be read" in warning) == ("my-own-2.1", True)
    for nothing in ("license: mit", "---\nlicense: a <b> c\n---\n", b"\xff\x00---\n", ""):
        name, (warning,) = await sold(nothing)
        assert name.startswith("unknown")


async def test_a_free_tier_may_be_mapped(plan: Plan, clock: Clock) -> None:
    await map_role(plan, clock, "Free")
    assert await warned(plan, METAS) == []


async def test_skus_sell_as_well(plan: Plan) -> None:
    (warning,) = await warned(plan, METAS, skus={1: "plus"})
    assert warning.startswith("SKUS sells tiers, and these include small: CC-BY-NC")


def test_free_includes_what_there_is() -> None:
    for models in (("small", "large"), ("large", "small"), ("sketch",)):
        assert tiers.defaults(models) == tiers.DEFAULTS
    for models in (("ace",), ("large", "ace"), ("my-own",)):
        for usual, tier in zip(tiers.DEFAULTS, tiers.defaults(models), strict=True):
            assert tier == replace(usual, models=usual.models | {models[0]})
    ace = [tier.name for tier in tiers.DEFAULTS if tier.models & {"*", "ace"}]
    assert ace == ["Plus", "Premium", "Pro"]


async def test_doctor_warns_too(plan: Plan, clock: Clock, tmp_path: Path) -> None:
    settings = {"DATA_DIR": str(plan.folder), "COLUMNS": "200"}
    assert "nothing is sold against a licence" in bot(tmp_path, "doctor", **settings).stdout
    await map_role(plan, clock, "Pro")
    done = bot(tmp_path, "doctor", **settings)
    assert done.returncode == 0
    assert "CC-BY-NC 4.0" in done.stdout
    assert "unmap the paid tiers" in " ".join(done.stdout.split())
