"""The status messages: which are edited, and in what order."""

from dataclasses import replace
from itertools import pairwise
from typing import Any

import pytest

from bot.app import Plan
from bot.errors import StorageError
from bot.values import Job, Notice, Status
from cogs.ui.status import EDITED_AT_ONCE, LOOKED_THROUGH_EVERY
from tests.support.clock import Clock, until
from tests.support.studio import member
from tests.support.world import world


async def test_what_is_new_is_told_before_the_rest_of_those_who_wait(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    edited: list[int] = []
    async with world(replace(plan, clock=clock)) as w:
        await w.bot.services.operations.pause("")  # so that all wait
        shown = [await w.generate(f"play {number}") for number in range(EDITED_AT_ONCE + 4)]
        *waiting, later, first = [each.response.message.id for each in shown if each.response]
        real = w.bot.http.request

        async def cancel(number: int) -> None:
            await w.studio.cancel(number, member(w.alice.id, w.guild.id))

        async def request(route: Any, **more: Any) -> Any:
            if route.method == "PATCH":
                edited.append(int(route.url.rsplit("/", 1)[-1]))
                if edited[-1] == waiting[0]:
                    await cancel(len(shown) - 1)
            return await real(route, **more)

        monkeypatch.setattr(w.bot.http, "request", request)
        clock.turn(seconds=31)
        await cancel(len(shown))

        async def told() -> bool:
            clock.turn(seconds=LOOKED_THROUGH_EVERY / 10)
            return len(edited) == len(shown)

        await until(told)
    few, rest = waiting[: EDITED_AT_ONCE - 1], waiting[EDITED_AT_ONCE - 1 :]
    assert edited == [first, *few, later, *rest]


async def test_what_fails_in_one_channel_holds_up_no_other_and_is_told_later(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.bot.services.operations.pause("")
        other = w.guild.create_text_channel("other")
        await w.generate("play")
        await w.alice.slash(other, "generate", prompt="play", duration=2)
        real, full = w.services.outbox.shown, True

        async def shown(job: Job, message: int | None, status: Status) -> None:
            if full and job.id == 1:
                raise StorageError("The database cannot be used: disk I/O error.")
            await real(job, message, status)

        monkeypatch.setattr(w.services.outbox, "shown", shown)
        for number in (1, 2):
            await w.studio.cancel(number, member(w.alice.id, w.guild.id))

        async def left() -> list[int]:
            return [notice.job for notice in await w.services.outbox.notices()]

        async def told() -> bool:
            return await left() == [1]

        await until(told)
        full = False
        clock.turn(seconds=30)

        async def all_told() -> bool:
            return not await left()

        await until(all_told)


async def test_messages_that_cannot_be_edited_now_keep_no_other_from_being_told(
    plan: Plan, clock: Clock
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.bot.services.operations.pause("")
        shown = [await w.generate(f"play {number}") for number in range(EDITED_AT_ONCE + 1)]
        *others, _ = [each.response.message.id for each in shown if each.response]
        for message in others:
            path = f"/channels/{w.music.id}/messages/{message}"
            w.env.inject_error("PATCH", path, status=500, times=None)
        for number in range(1, len(shown) + 1):
            await w.studio.cancel(number, member(w.alice.id, w.guild.id))
        await w.status(shown[-1], f"#{len(shown)} was cancelled")
        w.env.backend.faults.clear()
        clock.turn(seconds=30)
        for number, each in enumerate(shown[:-1], start=1):
            await w.status(each, f"#{number} was cancelled")


async def test_a_message_that_cannot_be_edited_is_tried_ever_more_rarely(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.bot.services.operations.pause("")
        shown = await w.generate("play")
        real, tried, away = w.bot.http.request, list[float](), True

        async def request(route: Any, **more: Any) -> Any:
            if route.method == "PATCH":
                tried.append(clock.ticks())
                if away:
                    raise ConnectionResetError
            return await real(route, **more)

        monkeypatch.setattr(w.bot.http, "request", request)
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        for _ in range(100):
            await w.look()
            clock.turn(seconds=10)
        pauses = [round(later - at) for at, later in pairwise(tried)]
        assert pauses[:5] == [30, 60, 120, 240, 300]
        away = False
        clock.turn(seconds=300)
        await w.status(shown, "#1 was cancelled")


async def test_those_who_wait_are_looked_through_once_a_second_and_what_is_new_at_each_look(
    plan: Plan, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(replace(plan, clock=clock)) as w:
        await w.bot.services.operations.pause("")
        shown = await w.generate("play")
        await w.generate("play")
        real, read = w.services.outbox.notices, list[float]()

        async def notices() -> list[Notice]:
            read.append(clock.ticks())
            return await real()

        monkeypatch.setattr(w.services.outbox, "notices", notices)
        clock.turn(seconds=31)
        for _ in range(5):
            await w.look()
        await w.studio.cancel(1, member(w.alice.id, w.guild.id))
        await w.status(shown, "#1 was cancelled")
        assert read == [31.0]
        clock.turn(seconds=LOOKED_THROUGH_EVERY)
        await w.look()
        assert read == [31.0, 31.0 + LOOKED_THROUGH_EVERY]
