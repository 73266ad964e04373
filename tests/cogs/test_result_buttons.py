"""What may be done with music that is there: extend, save, delete, post again, forget."""

import asyncio
import io
from dataclasses import replace
from unittest.mock import AsyncMock

import pytest
import soundfile
from mutagen.flac import FLAC

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal, StorageError
from bot.rules import tiers
from bot.tables import unneeded
from bot.values import Status
from tests.support.clock import Clock, until
from tests.support.deliveries import used
from tests.support.presses import choose, delete, first
from tests.support.shown import answered, attached, card, choices, told, values
from tests.support.studio import member
from tests.support.world import world

LONG = {"seconds-per-day": 600, "longest": 60, "takes": 5}


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def test_a_piece_is_extended_by_what_is_added(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        shown = await w.bob.click(message, label="Extend")
        assert "How shall **#1** *play a waltz* go on?" in told(shown)
        assert await choices(shown) == ["5 s more", "6 s more"]
        await w.restart(plan)
        await w.admin_deletes(message)
        status = await choose(w.bob, shown, "5 s more")
        assert "5 s more, 7 s in all" in str(status.followups[0].embeds[0].description)
        assert (told(shown), answered(shown).components) == ("#1 goes on as #2.", [])
        await w.gone(status)
        assert "extends #1" in str(w.results()[-1].embeds[0].description)
        two = await w.ended(2, Status.DELIVERED)
        assert (two.request.before, two.request.seconds, two.request.length) == (2, 5, 7)
        (file,) = w.results()[-1].attachments
        assert len(soundfile.read(io.BytesIO(await file.read()))[0]) == 7 * 8000
        assert (await used(w), await used(w, w.bob)) == (2, 5)


async def test_a_take_is_chosen_and_longer_pieces_go_on_again(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        message = await first(w, takes=3)
        shown = await w.alice.click(message, label="Extend")
        labels = await choices(shown)
        assert len(labels) == 12
        await w.gone(await choose(w.alice, shown, "Take 2: 30 s more"))
        shown = await w.alice.click(w.results()[-1], label="Extend")
        await w.gone(await choose(w.alice, shown, "15 s more"))
        assert (await w.ended(3, Status.DELIVERED)).request.length == 47
        shown = await w.alice.click(w.results()[-1], label="Extend")
        assert await choices(shown) == ["5 s more", "10 s more", "13 s more"]
        again = await w.alice.click(w.results()[-1], label="Again")
        await w.gone(again)
        three, four = [(await w.studio.job(number)).request for number in (3, 4)]
        assert four == replace(three, seed=four.seed)
        text = card(await w.bob.slash(w.music, "piece", number=2))
        assert "#1, take 2, by 30 s" in text
        assert "32 s" in text


async def test_what_cannot_be_extended_is_explained(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w, duration=8)
        assert "Free tier allows up to 8 s per piece" in told(
            await w.alice.click(message, label="Extend")
        )
        await w.admin.slash(w.music, "tier edit", tier="Free", **(LONG | {"seconds-per-day": 10}))
        shown = await w.alice.click(message, label="Extend")
        assert "left today" in told(await choose(w.alice, shown, "5 s more"))
        shown = await w.bob.click(message, label="Extend")
        (plan.folder / "audio" / "1-1.npy").unlink()
        refused = told(await choose(w.bob, shown, "5 s more"))
        assert refused == "#1 can no longer be extended: its source data is gone."
        assert await used(w, w.bob) == 0


async def test_a_parent_that_is_deleted_meanwhile_costs_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        await w.generate("slow one", by=w.bob)
        await w.ended(2, Status.RUNNING)
        shown = await w.alice.click(message, label="Extend")
        status = await choose(w.alice, shown, "5 s more")
        await delete(w.alice, message)
        await w.studio.cancel(2, member(w.bob.id, w.guild.id))
        await w.status(status, "could not be rendered")
        assert "was deleted meanwhile" in str((await w.studio.job(3)).reason)
        assert await used(w) == 2


@pytest.mark.parametrize("kind", ["WAV", "FLAC", "MP3", "OGG"])
async def test_music_is_saved_in_other_formats_for_nothing(plan: Plan, kind: str) -> None:
    async with world(plan) as w:
        message = await first(w, prompt="play *it*", seed=7)
        await w.restart(plan)
        shown = await w.bob.click(message, label="Save as")
        assert await choices(shown) == ["WAV", "FLAC", "MP3", "OGG"]
        await w.admin_deletes(message)
        saved = await choose(w.bob, shown, kind)
        (file,) = await until(lambda: attached(saved))
        assert file.filename == f"play-it-1.{kind.lower()}"
        assert told(shown).startswith(rf"**#1** *play \*it\** · 2 s · {kind}: ")
        assert answered(shown).components == []
        sound = await file.read()
        samples, rate = soundfile.read(io.BytesIO(sound))
        assert (rate, len(samples)) == (8000, 16000)
        if kind == "FLAC":
            assert FLAC(io.BytesIO(sound))["TITLE"] == ["play *it*"]
        assert await used(w, w.bob) == 0


async def test_of_several_takes_each_can_be_saved(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        shown = await w.alice.click(await first(w, takes=5), label="Save as")
        assert len(await choices(shown)) == 20
        saved = await choose(w.alice, shown, "Take 4: MP3")
        (file,) = await until(lambda: attached(saved))
        assert file.filename == "play-a-waltz-1-4.mp3"


async def test_a_deleted_piece_is_gone_and_its_seconds_stay_used(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w, prompt="draw a waltz")
        assert len(message.attachments) == 2
        assert "Only the member who requested" in told(await w.bob.click(message, label="Delete"))
        shown = await w.alice.click(message, label="Extend")
        await w.restart(plan)
        question = await w.alice.click(message, label="Delete")
        assert "Its 2 s stay used" in told(question)
        assert len(w.results()) == 1, "nothing is deleted by asking"
        await w.alice.click(answered(question).message, label="Delete")
        assert "#1 was deleted" in told(question)
        assert answered(question).components == []
        assert w.results() == []
        assert list((plan.folder / "audio").iterdir()) == []
        assert await used(w) == 2
        assert "no longer kept" in told(await choose(w.alice, shown, "5 s more"))
        assert "Nothing here" in card(await w.alice.slash(w.music, "history"))
        assert "deleted" in card(await w.alice.slash(w.music, "piece", number=1))
        assert "no longer kept" in told(await w.alice.slash(w.music, "resend", number=1))


async def test_what_was_posted_again_of_a_deleted_piece_goes_too(plan: Plan, clock: Clock) -> None:
    """Also over a restart, and what is still being posted as it is deleted."""
    async with world(plan) as w:
        message = await first(w)
        await w.alice.slash(w.music, "resend", number=1)
        again = await w.result(2)
        path = f"/channels/{w.music.id}/messages/{again.id}"
        w.env.inject_error("DELETE", path, status=503, times=5)
        await delete(w.alice, message)
        late = await w.bot.get_partial_messageable(w.music.id).send("A waltz, once more")
        await w.bot.services.erasure.repeated(await w.studio.job(1), w.music.id, late.id)
        await w.restart(plan)
        w.env.backend.faults.clear()

        async def gone() -> bool:
            clock.turn(minutes=1)
            w.bot.dispatch("look")
            return not {again.id, late.id} & {each.id for each in w.messages()}

        await until(gone)


async def test_what_has_not_ended_is_not_deleted(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("slow")
        await w.ended(1, Status.RUNNING)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        refused = await w.alice.click(shown.response.message, label="Delete")
        assert told(refused) == "#1 is still running. Delete it once it has finished."


async def test_a_manager_deletes_anyones(plan: Plan) -> None:
    async with world(plan) as w:
        await delete(w.admin, await first(w))
        assert w.results() == []


async def test_files_that_cannot_be_noted_as_gone_are_no_reason_to_deny_the_deletion(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        message = await first(w)
        busy = StorageError("It is held.", busy=True)
        monkeypatch.setattr(unneeded, "done", AsyncMock(side_effect=busy))
        assert "#1 was deleted" in told(await delete(w.alice, message))
        assert w.results() == []
        assert list((plan.folder / "audio").iterdir()) == []


async def test_a_refusal_of_resend_is_told_though_its_first_answer_cannot_be_deleted(
    plan: Plan,
) -> None:
    async with world(plan) as w:
        await first(w)
        (plan.folder / "audio" / "1-1.wav").unlink()
        w.env.inject_error("DELETE", "/webhooks/*", status=404, code=10008, times=1)
        shown = await w.alice.slash(w.music, "resend", number=1)
        assert ["no longer kept" in each.content for each in shown.followups] == [True]


async def test_a_message_that_cannot_be_deleted_now_is_spoken_of(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        path = f"/channels/{w.music.id}/messages/{message.id}"
        w.env.inject_error("DELETE", path, status=500, times=5)
        question = await w.alice.click(message, label="Delete")
        shown = await w.alice.click(answered(question).message, label="Delete")
        assert ["let me delete all" in each.content for each in shown.followups] == [True]
        w.env.backend.faults.clear()
        assert told(await w.alice.click(message, label="Delete")) == "#1 is deleted already."
        assert w.results() == []


async def test_a_piece_is_posted_again_in_any_format(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        await first(w)
        await w.alice.slash(w.music, "resend", number=1)
        await w.result(2)
        await w.admin.slash(w.music, "resend", number=1, format="flac")
        message = await w.result(3)
        assert [file.filename for file in message.attachments] == ["play-a-waltz-1.flac"]
        await w.gone(await w.bob.click(message, label="Again"))
        refused = told(await w.bob.slash(w.music, "resend", number=1))
        assert refused == "#1 is alice's; **Save as** gives you the file."
        assert "no piece #9 here" in told(await w.bob.slash(w.music, "resend", number=9))
        assert await used(w) == 2


async def test_nothing_is_left_of_copies_that_were_made(plan: Plan) -> None:
    copies = plan.folder / "copies"
    async with world(plan) as w:
        await first(w)
        await w.admin.slash(w.music, "resend", number=1, format="flac")
        await w.result(2)
        await until(lambda: asyncio.sleep(0, not list(copies.iterdir())))
        (copies / "tmpofakilledbot").mkdir()
        (copies / "tmpofakilledbot" / "copy.flac").touch()
        await w.restart(plan)
        assert list(copies.iterdir()) == []
        assert {file.suffix for file in (plan.folder / "audio").iterdir()} == {".wav", ".npy"}


async def test_what_was_not_delivered_is_not_posted_for_nothing(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("fail")
        await w.ended(1, Status.FAILED)
        assert "so there is no music" in told(await w.alice.slash(w.music, "resend", number=1))


async def test_a_long_piece_shows_how_it_begins_and_then_is_there(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        shown = await w.alice.slash(w.music, "generate", prompt="through", duration=40)
        await w.gone(shown)
        await w.ended(1, Status.DELIVERED)

        async def alone() -> bool:
            return len(w.results()) == 1

        await until(alone)
        (file,) = w.results()[0].attachments
        assert len(soundfile.read(io.BytesIO(await file.read()))[0]) == 40 * 8000


async def test_a_long_piece_is_stopped_at_its_preview(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        shown = await w.alice.slash(w.music, "generate", prompt="long", duration=60)
        preview = await w.result()
        (file,) = preview.attachments
        assert len(soundfile.read(io.BytesIO(await file.read()))[0]) == 30 * 8000
        assert "The first half minute of #1" in str(preview.embeds[0].title)
        assert "Only the member who requested" in told(
            await w.bob.click(preview, label="Stop here")
        )
        assert await used(w) == 60
        await w.alice.click(preview, label="Stop here")
        await w.gone(shown)
        await w.ended(1, Status.DELIVERED)
        assert await used(w) == 34

        async def alone() -> bool:
            return len(w.results()) == 1

        await until(alone)
        assert w.results()[0].id != preview.id
        assert "33.5 s · small" in card(await w.alice.slash(w.music, "history"))
        text = card(await w.alice.slash(w.music, "usage"))
        assert "+26 s" in text


async def test_after_a_restart_what_was_stopped_is_as_long_as_its_preview(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        await w.alice.slash(w.music, "generate", prompt="long once", duration=60)
        preview = await w.result()
        await w.restart(plan)
        await w.ended(1, Status.RUNNING)
        await w.alice.click(preview, label="Stop here")
        await w.ended(1, Status.DELIVERED)
        assert await used(w) in (30, 34, 60)


async def test_a_preview_of_what_the_operator_cancels_goes_away(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", **LONG)
        await w.alice.slash(w.music, "generate", prompt="long", duration=60)
        await w.result()
        job = await w.studio.cancel(1, member(9, w.guild.id, manager=True), refund=True)
        assert job.status is Status.CANCELLED

        async def gone() -> bool:
            return w.results() == []

        await until(gone)
        assert await used(w) == 0


async def test_a_panel_opens_a_form_for_ever(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        await w.admin.slash(w.music, "panel")
        (panel,) = [each for each in w.messages() if each.components]
        await w.restart(plan)
        form = await w.bob.click(panel, label="Generate")
        filled = values(form)
        assert filled == {"prompt": "", "seconds": "8"}
        shown = await w.bob.submit_modal(form, {**filled, "prompt": "play a polka", "seconds": "3"})
        await w.gone(shown)
        request = (await w.studio.job(1)).request
        assert (request.prompt, request.seconds, request.edited_from) == ("play a polka", 3, None)
        form = await w.alice.click(w.results()[0], label="Edit")
        filled = values(form)
        await w.gone(await w.alice.submit_modal(form, filled))
        assert (await w.studio.job(2)).request.edited_from == 1
        assert "#1" in card(await w.alice.slash(w.music, "piece", number=2))


async def test_a_picture_is_shown_in_the_card_and_in_that_of_a_piece_posted_again(
    plan: Plan,
) -> None:
    async with world(plan) as w:
        message = await first(w, prompt="draw it")
        names = [file.filename for file in message.attachments]
        assert names == ["draw-it-1.wav", "draw-it-1.png"]
        await w.alice.slash(w.music, "resend", number=1)
        for posted in (message, await w.result(2)):
            assert "draw-it-1.png" in str(posted.embeds[0].image.url)
            assert "draw-it-1.png" in [file.filename for file in posted.attachments]
