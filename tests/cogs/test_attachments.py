"""How large a file may be: what is tried, what is known, and what is said where it is too much."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any
from unittest.mock import patch

import discord
import pytest
import simcord

from bot.app import Plan
from bot.rules import tiers
from bot.values import Status, Target, Upload
from tests.support.clock import Clock
from tests.support.deliveries import http_error
from tests.support.presses import choose, first
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


def limits(monkeypatch: pytest.MonkeyPatch, *, server: int, member: int) -> None:
    """Let Discord name these limits, in bytes of a file."""
    monkeypatch.setattr(discord.Guild, "filesize_limit", property(lambda _: server))
    asked = property(lambda _: member, lambda *_: None)
    monkeypatch.setattr(discord.Interaction, "filesize_limit", asked)


def private(shown: simcord.InteractionResult) -> str:
    """Return what a member alone was told."""
    texts = [each.content for each in (shown.response, *shown.followups) if each and each.ephemeral]
    return " ".join(texts)


@contextmanager
def webhooks(w: World, most: int) -> Iterator[list[list[str]]]:
    """Refuse answers with more than so many files; note the files of each."""
    adapter, seen = w.env._webhook_adapter, list[list[str]]()
    real = adapter.request

    async def request(route: Any, *args: Any, multipart: Any = None, **more: Any) -> Any:
        names = [part["filename"] for part in multipart or [] if "filename" in part]
        if names:
            seen.append(names)
        if len(names) > most:
            raise http_error(413, 40005)
        return await real(route, *args, multipart=multipart, **more)

    with patch.object(adapter, "request", request):
        yield seen


async def test_what_is_too_large_is_posted_smaller(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        await first(w)
        limits(monkeypatch, server=30_000, member=30_000)
        await w.alice.slash(w.music, "resend", number=1)
        message = await w.result(2)
        assert message.attachments[0].filename.endswith((".flac", ".ogg"))


@pytest.mark.parametrize(
    ("format_", "advice"),
    [
        ("wav", "choose FLAC, MP3"),
        ("flac", "choose MP3 or OGG"),
        ("mp3", "no other format is smaller"),
    ],
)
async def test_a_refusal_for_size_advises_what_may_fit_and_is_told_to_who_asked(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, format_: str, advice: str
) -> None:
    async with world(plan) as w:
        await first(w)
        limits(monkeypatch, server=100, member=100)
        shown = await w.alice.slash(w.music, "resend", number=1, format=format_)
        assert f"As {format_.upper()} it is 0." in private(shown)
        assert advice in private(shown)
        assert len(w.results()) == 1, "the channel has the piece alone"


async def test_an_answer_may_hold_what_its_member_may_send(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        message = await first(w)
        limits(monkeypatch, server=100, member=10**7)
        async with w.database.transaction() as tx:
            refused = (w.guild.id, w.services.clock().timestamp())
            await tx.execute("INSERT INTO uploads VALUES (?, 0, 1, 100, ?)", refused)
        saved = await choose(w.alice, await w.alice.click(message, label="Save as"), "FLAC")
        assert saved.response
        assert saved.response.attachments[0].filename == "play-a-waltz-1.flac"
        await w.alice.slash(w.music, "resend", number=1)
        assert (await w.result(2)).attachments[0].filename == "play-a-waltz-1.wav"
        known = await w.bot.services.outbox.limits(Target(w.guild.id))
        assert known.refuse([100]), "what one member may send says nothing of the server"


async def test_takes_that_fit_but_not_together_are_posted_again_each_by_itself(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(
            w.music, "tier edit", tier="Free", **{"seconds-per-day": 99, "takes": 5}
        )
        await first(w, takes=3)
        with webhooks(w, most=1) as seen:
            shown = await w.alice.slash(w.music, "resend", number=1)
            await w.result(4)
        kinds = [{name.rsplit(".")[-1] for name in names} for names in seen]
        assert [len(names) for names in seen] == [3, 3, 3, 1, 1, 1]
        assert kinds == [{"wav"}, {"flac"}, {"ogg"}, *[{"wav"}] * 3]
        assert "wrong" not in private(shown)
        with webhooks(w, most=1) as seen:
            await w.alice.slash(w.music, "resend", number=1)
            await w.result(7)
        assert [len(names) for names in seen] == [1, 1, 1], "it is known by now"


async def test_a_refusal_teaches_by_the_largest_file(plan: Plan) -> None:
    async with world(plan) as w:
        outbox, server = w.bot.services.outbox, Target(w.guild.id)

        async def known(target: Target, sizes: list[int]) -> bool:
            return (await outbox.limits(target)).refuse(sizes)

        await outbox.too_large(Upload(server, (50, 70)))
        assert await known(server, [70, 1])
        assert await known(server, [1, 1, 70])
        assert not await known(server, [60, 60]), "their sum is not what was refused"
        assert not await known(server, [70]), "by itself it may fit"
        assert not await known(Target(0), [70, 1])
        await outbox.too_large(Upload(server, (65,)))
        assert await known(server, [66, 1, 1])
        await outbox.fitted(Upload(server, (66, 1)))
        assert not await known(server, [66, 1, 1]), "what was taken is believed"
        assert await known(server, [70, 1])


async def test_a_file_that_vanished_is_told_to_who_asked(plan: Plan) -> None:
    async with world(plan) as w:
        await first(w)
        w.path("audio/1-1.wav").unlink()
        shown = await w.alice.slash(w.music, "resend", number=1)
        assert "no longer kept" in private(shown)
        assert len(w.results()) == 1
        assert (await w.studio.job(1)).status is Status.DELIVERED
