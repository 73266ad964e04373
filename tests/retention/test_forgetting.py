"""Whoever is forgotten, at any moment: what stands stays charged, and no more is posted."""

from dataclasses import replace
from typing import Any

import pytest

from bot.app import Plan
from bot.values import Status
from tests.support.clock import Clock, until
from tests.support.deliveries import MESSAGES, held, http_error, looks, undeliverable, used
from tests.support.presses import button, forged
from tests.support.world import World, world


async def forget(w: World) -> int:
    return (await w.bot.services.archive.forget(w.alice.id)).pieces


def left(plan: Plan) -> list[str]:
    """What lies in the folder of the music."""
    return sorted(file.name for file in (plan.folder / "audio").glob("*"))


async def owed(w: World) -> int:
    rows = await w.database.fetch(
        "SELECT 1 FROM posts WHERE delivered_at IS NULL AND refused_at IS NULL"
    )
    return len(rows)


async def gone(plan: Plan) -> None:
    """Wait until no file is left of the music."""

    async def look() -> bool:
        return left(plan) == []

    await until(look)


@pytest.mark.parametrize("prompt", ["slow", "half", "linger"])
async def test_of_what_is_queued_or_rendered_nothing_is_left(plan: Plan, prompt: str) -> None:
    async with world(plan) as w:
        await w.alice.slash(w.music, "generate", prompt=prompt, duration=8, takes=2)
        await w.generate("play", 8)
        await w.generate("play", 2, by=w.bob)
        await w.ended(1, Status.RUNNING)
        assert await forget(w) == 2
        await w.ended(3, Status.DELIVERED)
        assert [(await w.studio.job(n)).status for n in (1, 2)] == [Status.CANCELLED] * 2
        assert (await used(w), await used(w, w.bob)) == (0, 2)

        async def only_bobs() -> bool:
            return {name.split("-")[0] for name in left(plan)} == {"3"}

        await until(only_bobs)
        assert await owed(w) == 0


async def test_a_neighbour_loses_no_engine(plan: Plan) -> None:
    async with world(plan) as w:
        await w.alice.slash(w.music, "generate", prompt="half", duration=8, takes=2)
        await w.ended(1, Status.RUNNING)
        await w.generate("play", 2, by=w.bob)
        await forget(w)
        job = await w.ended(2, Status.DELIVERED)
        assert (job.attempts, job.deaths) == (1, 0)


async def test_the_beginning_that_was_posted_stays_charged(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("long", 60)
        await w.result()
        await forget(w)
        assert (await w.studio.job(1)).status is Status.CANCELLED
        assert await used(w) == 30
        await gone(plan)


@pytest.mark.parametrize("lost", [False, True])
async def test_what_is_being_posted_is_settled_by_what_becomes_of_it(
    plan: Plan, clock: Clock, lost: bool
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        with held(w, bool) as (reached, go):
            await w.generate("play", 8)
            await reached.wait()
            await forget(w)
            assert (await w.studio.job(1)).status is Status.RENDERED
            if lost:
                w.env.inject_error("POST", MESSAGES, status=503, times=1)
            go.set()
            await until(lambda: settled(w, clock))
        job = await w.studio.job(1)
        assert (job.status, await used(w)) == (
            (Status.CANCELLED, 0) if lost else (Status.DELIVERED, 8)
        )
        assert await owed(w) == 0
        assert left(plan) == []
        assert len(w.results()) <= (not lost), "it is not posted once more"


async def settled(w: World, clock: Clock) -> bool:
    await looks(w, clock, 1, seconds=10)
    return (await w.studio.job(1)).status is not Status.RENDERED


async def test_an_upload_whose_answer_was_lost_over_a_restart_is_looked_for(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = replace(plan, clock=clock)
    async with world(plan) as w:
        real = w.bot.http.request

        async def request(route: Any, **options: Any) -> Any:
            answer = await real(route, **options)
            if route.method == "POST" and "messages" in route.path and options.get("form"):
                await forget(w)
                raise http_error(503)
            return answer

        monkeypatch.setattr(w.bot.http, "request", request)
        await w.generate("play", 8)

        async def withdrawn() -> bool:
            sql = "SELECT 1 FROM posts WHERE withdrawn_at IS NOT NULL AND attempts = 1"
            return bool(await w.database.fetch(sql))

        await until(withdrawn)
        await w.restart(plan)
        await until(lambda: settled(w, clock))
        assert (await w.studio.job(1)).status is Status.DELIVERED
        assert await used(w) == 8


async def test_of_five_messages_the_three_that_stand_stay_charged(plan: Plan) -> None:
    async with world(plan) as w:
        w.env.inject_error("POST", MESSAGES, status=413, times=3)
        with held(w, lambda names: names == ["play-1-4.wav"]) as (reached, go):
            await w.alice.slash(w.music, "generate", prompt="play", duration=2, takes=5)
            await reached.wait()

            async def three() -> bool:
                sql = "SELECT 1 FROM posts WHERE delivered_at IS NOT NULL"
                return len(await w.database.fetch(sql)) == 3

            await until(three)
            await forget(w)
            assert await used(w) == 10, "the fourth is under way, and the fifth is settled with it"
            go.set()
            await w.ended(1, Status.DELIVERED)
        stood = await w.database.fetch("SELECT 1 FROM posts WHERE delivered_at IS NOT NULL")
        assert await used(w) == 2 * len(stood) == 8
        assert await owed(w) == 0


async def test_forgotten_music_is_not_posted_again(plan: Plan) -> None:
    async with world(plan) as w:
        await undeliverable(w)
        await button(w, "post-again:1")
        await forget(w)  # the message goes at one of the next looks
        refused = await forged(w, w.alice, w.music, "post-again:1")
        assert refused == "The music of #1 is no longer kept."
        assert (await w.studio.job(1)).status is Status.UNDELIVERABLE
        assert await used(w) == 0


async def test_the_card_of_what_was_erased_goes(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow waltz", 8)
        await w.ended(1, Status.RUNNING)
        await forget(w)

        async def gone() -> bool:
            w.bot.dispatch("look")
            return shown.response is None

        await until(gone)
