"""The table of speeds: what is learnt of a model, and what of it is no longer true."""

from dataclasses import astuple, replace

import pytest

from bot.tables import speeds
from bot.tables.database import Database, Transaction
from bot.tables.speeds import SLOWEST_PACE, Setup
from tests.support.clock import Clock
from tests.support.one_engine import runs

A, B = "gpu-0", "gpu-1"
SMALL, LARGE = Setup(A, "small", "cuda", "float16"), Setup(A, "large", "cuda", "float16")
ELSEWHERE = replace(SMALL, engine=B)


async def measured(tx: Transaction) -> None:
    """Note that three models were loaded, on engines that are there."""
    for name in (A, B):
        await runs(tx, engine=name)
    for setup in (SMALL, LARGE, ELSEWHERE):
        await speeds.found(tx, setup, 0.5, 4)


async def known(tx: Transaction) -> dict[tuple[str, str], tuple[object, ...]]:
    """Return the pace and slots of all models, and what of them fits and what is too long."""
    return {
        (engine, name): astuple(speed)[1:5]
        for engine, models in (await speeds.by_engine(tx)).items()
        for name, speed in models.items()
    }


NEW = (0.5, 4, 0.0, None)


async def test_what_a_piece_shows_is_known_of_its_engine_and_model_alone(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await measured(tx)
        await speeds.made(tx, A, "small", 0.75, 30)
        others = {(A, "large"): NEW, (B, "small"): NEW}
        assert await known(tx) == {(A, "small"): (pytest.approx(0.55), 4, 30, None), **others}
        await speeds.ran_out(tx, A, "small", 60, clock())
        assert await known(tx) == {(A, "small"): (pytest.approx(0.55), 4, 30, 60), **others}
        assert (await speeds.of(tx, A))["small"].too_long_at == clock().timestamp()
        assert [*await speeds.of(tx, A)] == ["large", "small"], "by their names"
        assert await speeds.of(tx, "gpu-2") == {}


async def test_what_fits_grows_and_what_is_too_long_shrinks_until_either_is_disproved(
    database: Database, clock: Clock
) -> None:
    async def limits() -> tuple[float, float | None]:
        speed = (await speeds.of(tx, A))["small"]
        return speed.fits, speed.too_long

    async with database.transaction() as tx:
        await measured(tx)
        await speeds.made(tx, A, "small", 0.5, 30)
        await speeds.made(tx, A, "small", 0.5, 20)
        assert await limits() == (30, None)
        await speeds.ran_out(tx, A, "small", 60, clock())
        await speeds.ran_out(tx, A, "small", 90, clock())
        assert await limits() == (30, 60)
        await speeds.made(tx, A, "small", 0.5, 59)
        assert await limits() == (59, 60)
        await speeds.ran_out(tx, A, "small", 59, clock())
        assert await limits() == (0, 59)
        await speeds.made(tx, A, "small", 0.5, 59)
        assert await limits() == (59, None)


async def test_a_pace_that_pieces_showed_outlives_a_start_but_not_another_device(
    database: Database, clock: Clock
) -> None:
    async with database.transaction() as tx:
        await measured(tx)
        await speeds.made(tx, A, "small", 1.0, 30)
        await speeds.found(tx, SMALL, 0.9, 2)
        others = {(A, "large"): NEW, (B, "small"): NEW}
        assert await known(tx) == {(A, "small"): (pytest.approx(0.6), 2, 30, None), **others}
        for other in (Setup(A, "small", "cpu", "float16"), Setup(A, "small", "cpu", "int8")):
            await speeds.ran_out(tx, A, "small", 60, clock())
            await speeds.found(tx, other, 0.9, 1)
            assert await known(tx) == {(A, "small"): (0.9, 1, 0, None), **others}


@pytest.mark.parametrize("pace", [-1.0, 0.0, SLOWEST_PACE + 1])
async def test_a_pace_that_cannot_be_is_learnt_from_nothing_and_replaced_by_anything(
    database: Database, pace: float
) -> None:
    async with database.transaction() as tx:
        await measured(tx)
        await speeds.made(tx, A, "small", pace, 30)
        assert (await known(tx))[A, "small"] == (0.5, 4, 30, None), (
            "its length is true all the same"
        )
        spoil = "UPDATE speeds SET pace = ? WHERE engine = ? AND model = 'small'"
        await tx.execute(spoil, (pace, A))
        assert (await known(tx)).keys() == {(A, "large"), (B, "small")}
        await speeds.made(tx, A, "small", 0.3, 30)
        assert (await known(tx))[A, "small"] == (0.3, 4, 30, None)
        await tx.execute(spoil, (pace, A))
        await speeds.found(tx, SMALL, 0.4, 4)
        assert (await known(tx))[A, "small"] == (0.4, 4, 30, None)


async def test_the_slowest_pace_is_one(database: Database) -> None:
    async with database.transaction() as tx:
        await measured(tx)
        await speeds.made(tx, A, "small", SLOWEST_PACE, 30)
        assert (await speeds.of(tx, A))["small"].pace == pytest.approx(0.4 + 0.2 * SLOWEST_PACE)
        await tx.execute("UPDATE speeds SET pace = ?", (SLOWEST_PACE,))
        await speeds.found(tx, SMALL, 1.0, 4)
        assert (await speeds.of(tx, A))["small"].pace == SLOWEST_PACE
        await speeds.made(tx, A, "small", SLOWEST_PACE / 2, 30)
        assert (await speeds.of(tx, A))["small"].pace == pytest.approx(0.9 * SLOWEST_PACE)


async def test_of_an_engine_that_never_was_there_nothing_is_known(database: Database) -> None:
    async with database.transaction() as tx:
        await measured(tx)
        await speeds.found(tx, replace(SMALL, engine="gpu-9"), 1.0, 1)
        assert (await speeds.by_engine(tx)).keys() == {A, B}
