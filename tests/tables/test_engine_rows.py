"""The table of engines: what is noted of one is noted of no other."""

from bot.tables import engines, speeds
from bot.tables.database import Database
from bot.values import EngineState
from tests.support.one_engine import runs

A, B = "gpu-0", "gpu-1"


async def test_what_befalls_an_engine_befalls_no_other(database: Database) -> None:
    async with database.transaction() as tx:
        for name in (A, B):
            await runs(tx, "small", "large", engine=name, pace=1.0, unfit=["large"])
        await engines.holds(tx, A, ["large", "small"])
        first, second = await engines.every(tx)
        assert (first.loaded, second.loaded) == (("large", "small"), ("small",))
        assert (first.models, first.unfit) == (("small", "large"), ("large",))
        await engines.lost(tx, A, "It died.")
        first, second = await engines.every(tx)
        assert (first.state, first.trouble, first.loaded) == (EngineState.LOST, "It died.", ())
        assert (second.state, second.trouble, second.loaded) == (
            EngineState.READY,
            None,
            ("small",),
        )
        await engines.loads(tx, A)
        first, second = await engines.every(tx)
        assert (first.state, first.trouble) == (EngineState.LOADING, None)
        assert second.state is EngineState.READY
        await engines.lost(tx, A, "It died.")
        await runs(tx, engine=A)
        assert (await engines.every(tx))[0].trouble is None
        await engines.runs(
            tx, A, device="cuda", precision="float16", models=["ace", "xl"], unfit=["xl"]
        )
        first, second = await engines.every(tx)
        assert (first.device, first.precision) == ("cuda", "float16")
        assert (first.models, first.unfit) == (("ace", "xl"), ("xl",))
        assert (second.device, second.models) == ("cpu", ("small", "large"))


async def test_the_studio_can_render_while_an_engine_is_ready_that_is_not_taken_out(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        assert await engines.state(tx) is EngineState.LOADING
        assert not await engines.all_paused(tx)
        await engines.are(tx, [A, B])
        assert await engines.state(tx) is EngineState.LOADING
        await runs(tx, engine=A)
        assert await engines.state(tx) is EngineState.READY
        await engines.pause(tx, A)
        assert await engines.paused(tx, A)
        assert not await engines.paused(tx, B)
        assert await engines.state(tx) is EngineState.LOADING
        assert not await engines.all_paused(tx)
        await engines.pause(tx, B)
        assert await engines.all_paused(tx)
        await engines.resume(tx, A)
        assert (await engines.paused(tx, A), await engines.paused(tx, B)) == (False, True)


async def test_models_are_those_of_engines_that_could_begin_one(database: Database) -> None:
    async with database.transaction() as tx:
        await runs(tx, "small", "large", engine=A, unfit=["large"])
        await runs(tx, "ace", "small", engine=B)
        assert await engines.able(tx) == {"small", "ace"}
        await engines.pause(tx, B)
        assert await engines.able(tx) == {"small"}
        await engines.lost(tx, A, "It died.")
        assert await engines.able(tx) == set()


async def test_engines_that_are_not_there_are_lost_and_those_that_come_back_load(
    database: Database,
) -> None:
    async with database.transaction() as tx:
        for name in (A, B):
            await runs(tx, engine=name, pace=1.0)
        await engines.pause(tx, B)
        await engines.are(tx, [A])
        first, second = await engines.every(tx)
        assert (first.state, first.loaded) == (EngineState.READY, ("small",))
        assert (second.state, second.loaded) == (EngineState.LOST, ())
        assert second.trouble == "It is not there."
        await engines.are(tx, [A, B])
        first, second = await engines.every(tx)
        assert first.state is EngineState.READY
        assert (second.state, second.trouble) == (EngineState.LOADING, None)
        assert await speeds.of(tx, B)
