"""Ids that a member made up, or took from elsewhere, open nothing."""

from collections.abc import Callable
from typing import Any

import discord
import pytest

from bot.app import Plan
from bot.values import Status
from tests.support.deliveries import posted
from tests.support.presses import forged
from tests.support.world import World, world

ABSENT = "There is no piece #1 here."


async def rows(w: World) -> list[tuple[Any, ...]]:
    """All that a press might change."""
    return [
        tuple(row)
        for table in ("jobs", "takes", "posts")
        for row in await w.database.fetch(f"SELECT * FROM {table}")
    ]


ELSEWHERE: list[tuple[str, str, str]] = [
    ("cancel:1", "", ABSENT),
    ("stop:1", "", ABSENT),
    ("delete:1", "", ABSENT),
    ("post-again:1", "", ABSENT),
    ("again:1", "", ABSENT),
    ("edit:1", "", ABSENT),
    ("extend:1", "", ABSENT),
    ("extend-take:1:1", "", ABSENT),
    ("extend-words:1:0", "", ABSENT),
    ("save:1", "", ABSENT),
    ("save-take:1:1", "", ABSENT),
    ("delete-now:1", "", ABSENT),
    ("take:1", "1", ABSENT),
    ("keep-take:1:1", "", ABSENT),
    ("keep-now:1:1", "", ABSENT),
    ("extend-by:1", "1:5", ABSENT),
    ("save-as:1", "1:mp3", ABSENT),
    ("queue:cancel", "1", ABSENT),
]


@pytest.mark.parametrize(("custom_id", "value", "sentence"), ELSEWHERE)
async def test_nothing_of_another_server_is_reached(
    plan: Plan, custom_id: str, value: str, sentence: str
) -> None:
    """The same user asks elsewhere, with every right there: the server decides all the same."""
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        other = w.env.create_guild("Elsewhere")
        room = other.create_text_channel("music")
        manage = discord.Permissions(manage_guild=True)
        again = other.add_member(
            w.alice.user, roles=[other.create_role("Managers", permissions=manage)]
        )
        before = await rows(w)
        assert sentence in await forged(w, again, room, custom_id, value)
        assert await rows(w) == before


OWNERS: list[tuple[Callable[[World], str], str, str]] = [
    (lambda _: "cancel:2", "", "Only the member who requested #2 or a manager can cancel"),
    (lambda _: "stop:2", "", "Only the member who requested #2"),
    (lambda _: "queue:cancel", "2", "Only the member who requested #2"),
    (lambda _: "delete:1", "", "Only the member who requested #1 or a manager"),
    (lambda _: "delete-now:1", "", "Only the member who requested #1 or a manager"),
    (lambda _: "keep-take:1:1", "", "Only the member who requested #1 or a manager"),
    (lambda _: "keep-now:1:1", "", "Only the member who requested #1 or a manager"),
    (lambda _: "post-again:1", "", "Only the member who requested #1"),
    (lambda w: f"forget:{w.alice.id}", "", "only erase your own"),
    (lambda w: f"page:history:{w.alice.id}:0", "", "Manage Server"),
    (lambda w: f"page:log:{w.alice.id}:0", "", "Manage Server"),
    (lambda _: "page:servers:0:0", "", "owner"),
]


@pytest.mark.parametrize(("custom_id", "value", "sentence"), OWNERS)
async def test_nothing_of_another_member_is_reached(
    plan: Plan, custom_id: Callable[[World], str], value: str, sentence: str
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        await w.generate("slow")
        await w.ended(2, Status.RUNNING)
        before = [row for row in await rows(w) if row[0] == 1]
        assert sentence in await forged(w, w.bob, w.music, custom_id(w), value)
        assert (await w.studio.job(2)).status is Status.RUNNING
        assert [row for row in await rows(w) if row[0] == 1] == before


MADE_UP: list[tuple[str, str, str]] = [
    ("extend-by:1", "1:0", "not one of the choices"),
    ("extend-by:1", "1:9999", "A piece must be 1 to 120 s long here"),
    ("extend-by:1", "9:5", "#1 has no take 9"),
    ("extend-by:1", "1:5\n", "not one of the choices"),
    ("take:1", "9", "#1 has no take 9 any more"),
    ("keep-now:1:9", "", "Take 9 of #1 is no longer kept"),
    ("keep-now:1:1", "", "Only take 1 of #1 is kept already"),
    ("save-as:1", "1:../x", "not one of the choices"),
    ("save-as:1", "1:aac", "not one of the choices"),
    ("queue:cancel", "1 OR 1", "not one of the choices"),
    ("queue:cancel", "٣", "not one of the choices"),
    (f"cancel:{10**17}", "", f"There is no piece #{10**17} here."),
    (f"stop:{10**17}", "", f"There is no piece #{10**17} here."),
    (f"delete:{10**17}", "", f"There is no piece #{10**17} here."),
    (f"post-again:{10**17}", "", f"There is no piece #{10**17} here."),
    ("queue:cancel", "99", "There is no piece #99 here."),
    ("page:tables:1:0", "", "That list does not exist"),
    (f"page:history:{10**18}:{10**5}", "", "Manage Server"),
    (f"page:history:{2**63}:0", "", "That list does not exist"),
    (f"page:history:{2**64 - 1}:{10**5}", "", "That list does not exist"),
]


@pytest.mark.parametrize(("custom_id", "value", "sentence"), MADE_UP)
async def test_values_that_were_never_offered_are_refused(
    plan: Plan, custom_id: str, value: str, sentence: str
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await posted(w)
        before = await rows(w)
        assert sentence in await forged(w, w.alice, w.music, custom_id, value)
        assert await rows(w) == before
