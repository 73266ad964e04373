"""The buttons under a result: again and edited, by anyone, for ever."""

from dataclasses import replace
from typing import Any

import discord
import pytest

from bot.app import Plan
from bot.engine.cards import card
from bot.errors import Refusal, StorageError
from bot.rules import tiers
from bot.values import Status
from cogs.ui.request_form import read
from tests.support import inside
from tests.support.clock import Clock
from tests.support.shown import answered, fields, told, values
from tests.support.studio import viewer
from tests.support.world import World, world


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with the tiers that a server begins with."""
    return replace(plan, defaults=tiers.DEFAULTS, models=("small",), clock=clock)


async def first(w: World, **options: Any) -> discord.Message:
    """A result of alice's, to press buttons under."""
    await w.alice.slash(w.music, "generate", prompt="play a waltz", duration=2, **options)
    return await w.result()


async def test_again_is_the_same_with_a_new_seed_on_the_quota_of_who_asks(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w, guidance=4.5, seed=7)
        shown = await w.bob.click(message, label="Again")
        await w.gone(shown)
        one, two = [await w.ended(number, Status.DELIVERED) for number in (1, 2)]
        assert two.origin.user_id == w.bob.id
        assert two.request == replace(one.request, seed=two.request.seed)
        assert two.request.seed != 7
        assert (await w.services.accounts.usage(w.guild.id, w.alice.id)).used == 2
        assert (await w.services.accounts.usage(w.guild.id, w.bob.id)).used == 2


async def test_again_works_after_a_restart_and_asks_all_checks(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        await w.restart(plan)
        await w.gone(await w.alice.click(message, label="Again"))
        await w.admin.slash(w.music, "words add", word="waltz")
        assert "a word that this server blocks" in told(await w.alice.click(message, label="Again"))
        await w.admin.slash(w.music, "words remove", word="waltz")
        await w.admin.slash(w.music, "tier edit", tier="Free", **{"seconds-per-day": 5})
        assert "left today" in told(await w.alice.click(message, label="Again"))
        await w.admin.slash(w.music, "member block", member=w.bob, reason="enough")
        assert "enough" in told(await w.bob.click(message, label="Again"))


@pytest.mark.parametrize("restarts", [False, True])
async def test_again_and_edit_need_no_original_message(plan: Plan, restarts: bool) -> None:
    async with world(plan) as w:
        await w.admin_deletes(await first(w))
        if restarts:
            await w.restart(plan)
        card = await w.bob.slash(w.music, "piece", number=1)
        assert card.response
        await w.gone(await w.bob.click(card.response.message, label="Again"))
        form = await w.bob.click(card.response.message, label="Edit")
        assert values(form)["prompt"] == "play a waltz"
        shown = await w.bob.submit_modal(form, values(form) | {"prompt": "play a tango"})
        await w.gone(shown)
        assert (await w.studio.job(3)).request.edited_from == 1


async def test_edit_opens_a_form_with_everything_filled_in(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w, guidance=4.5, temperature=0.8, top_k=90)
        form = await w.bob.click(message, label="Edit")
        assert values(form) == {
            "prompt": "play a waltz",
            "seconds": "2",
            "takes": "1",
            "model": ["small"],
            "settings": "guidance 4.5, temperature 0.8, top_k 90",
        }
        changed = {"prompt": "play a tango", "settings": "top_k 40, seed 9"}
        shown = await w.bob.submit_modal(form, values(form) | changed)
        await w.gone(shown)
        request = (await w.studio.job(2)).request
        assert (request.prompt, request.seconds) == ("play a tango", 2)
        assert request.options == {"guidance": 3, "temperature": 1, "top_k": 40}
        assert request.seed == 9


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"seconds": "soon"}, "Seconds must be a whole number"),
        ({"seconds": "9"}, "up to 8 s"),
        ({"takes": "2"}, "Free tier allows 1"),
        ({"settings": "loud 9"}, "I cannot read the setting “loud 9”"),
        ({"settings": "guidance 99"}, "`guidance` must be between 1 and 10"),
    ],
)
async def test_a_wrong_edit_is_explained_and_charges_nothing(
    plan: Plan, change: dict[str, str], sentence: str
) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")
        assert sentence in told(await w.bob.submit_modal(form, values(form) | change))
        assert (await w.services.accounts.usage(w.guild.id, w.bob.id)).used == 0


async def test_all_that_is_wrong_with_a_form_is_told_at_once(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        form = await w.bob.click(message, label="Edit")
        wrong = {"seconds": "soon", "takes": "9", "settings": "loud 9, guidance 99, top_k 1.5"}
        assert told(await w.bob.submit_modal(form, values(form) | wrong)).splitlines() == [
            "Seconds must be a whole number.",
            "I cannot read the setting “loud 9”. Write settings like this: guidance 3, "
            "temperature 1, top_k 250, seed 7.",
            "top_k must be a whole number.",
            "A request must have 1 to 5 takes.",
        ]
        form = await w.bob.click(message, label="Edit")
        more = {"seconds": "60", "takes": "2"}
        length, takes = told(await w.bob.submit_modal(form, values(form) | more)).splitlines()
        assert "up to 8 s per piece" in length
        assert "Free tier allows 1 per request" in takes


async def test_a_refused_form_comes_back_with_what_was_typed(plan: Plan, clock: Clock) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")
        typed = values(form) | {"prompt": "five minutes of words", "seconds": "9"}
        refused = await w.bob.submit_modal(form, typed)
        assert "up to 8 s" in told(refused)
        await w.restart(plan)
        back = await w.bob.click(answered(refused).message, label="Back to the form")
        assert values(back) == typed
        await w.gone(await w.bob.submit_modal(back, typed | {"seconds": "3"}))
        request = (await w.studio.job(2)).request
        assert (request.prompt, request.edited_from) == ("five minutes of words", 1)
        clock.turn(minutes=15, seconds=1)
        late = await w.bob.click(answered(refused).message, label="Back to the form")
        assert "kept for 15 minutes only" in told(late)


async def test_the_newest_of_each_members_refused_forms_comes_back(plan: Plan) -> None:
    async with world(plan) as w:
        message, refused = await first(w), []
        for who, words in ((w.bob, "one"), (w.alice, "two"), (w.bob, "three")):
            form = await who.click(message, label="Edit")
            wrong = values(form) | {"prompt": words, "seconds": "0"}
            refused.append(await who.submit_modal(form, wrong))
        for who, number, words in ((w.bob, 0, "three"), (w.alice, 1, "two"), (w.bob, 2, "three")):
            under = answered(refused[number]).message
            back = await who.click(under, label="Back to the form")
            assert values(back)["prompt"] == words


async def test_every_form_comes_back(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        await w.admin.slash(w.music, "words add", word="kazoo")
        question = await w.alice.click(message, label="Extend")
        card = await w.alice.slash(w.music, "piece", number=1)
        for shown, label, field in (
            (question, "With other words", "prompt"),
            (card, "Name it", "title"),
        ):
            form = await w.alice.click(answered(shown).message, label=label)
            typed = values(form) | {field: "my kazoo"}
            refused = await w.alice.submit_modal(form, typed)
            assert "a word that this server blocks" in told(refused)
            back = await w.alice.click(answered(refused).message, label="Back to the form")
            assert values(back) == typed
            await w.alice.submit_modal(back, typed | {field: "my violin"})
        assert (await w.ended(2, Status.DELIVERED)).request.prompt == "my violin"
        assert (await w.studio.job(1)).title == "my violin"


async def test_what_is_queued_and_cannot_be_shown_is_not_filled_in_again(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")

        async def busy(*_: object) -> None:
            raise StorageError("busy", busy=True)

        monkeypatch.setattr(w.services.outbox, "shown", busy)
        monkeypatch.setattr(w.services.standings, "of_job", busy)
        shown = await w.bob.submit_modal(form, values(form))
        assert "#2 is queued" in told(shown)
        assert answered(shown).components == []


async def test_the_panels_form_asks_for_words_and_length_alone(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "panel")
        (panel,) = [each for each in w.messages() if each.embeds[0].title == "Words into music"]
        form = await w.alice.click(panel, label="Generate")
        assert values(form) == {"prompt": "", "seconds": "8"}
        assert fields(form)["prompt"]["placeholder"].startswith("Such as: ")
        assert form.modal
        assert form.modal["components"][1]["description"] == "1 to 8, with your Free tier"
        refused = await w.alice.submit_modal(form, {"prompt": "play", "seconds": "9"})
        back = await w.alice.click(answered(refused).message, label="Back to the form")
        assert values(back) == {"prompt": "play", "seconds": "9"}
        await w.gone(await w.alice.submit_modal(back, {"prompt": "play", "seconds": "2"}))


async def test_the_form_of_edit_says_which_models_ones_tier_has(plan: Plan) -> None:
    async with world(replace(plan, models=("small", "large"))) as w:
        form = await w.bob.click(await first(w), label="Edit")
        options = fields(form)["model"]["options"]
        assert [(each["value"], each.get("description")) for each in options] == [
            ("small", None),
            ("large", "not in your tier"),
        ]
        refused = await w.bob.submit_modal(form, values(form) | {"model": ["large"]})
        assert "does not include the model large" in told(refused)


async def test_a_form_may_be_open_over_a_restart(plan: Plan) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")
        await w.admin.slash(w.music, "panel")
        (panel,) = [each for each in w.messages() if each.embeds[0].title == "Words into music"]
        empty = await w.alice.click(panel, label="Generate")
        await w.restart(plan)
        edited = await w.bob.submit_modal(form, values(form) | {"prompt": "play a tango"})
        await w.gone(edited)
        assert (await w.studio.job(2)).request.edited_from == 1
        asked = await w.alice.submit_modal(
            empty, values(empty) | {"prompt": "play", "seconds": "2"}
        )
        await w.gone(asked)
        assert (await w.studio.job(3)).origin.user_id == w.alice.id


async def test_two_members_forms_of_one_piece_never_meet(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        forms = [await member.click(message, label="Edit") for member in (w.alice, w.bob)]
        for member, form in zip((w.alice, w.bob), forms, strict=True):
            words = {"prompt": f"play for {member.name}"}
            await member.submit_modal(form, values(form) | words)
        for number, member in ((2, w.alice), (3, w.bob)):
            job = await w.ended(number, Status.DELIVERED)
            assert (job.origin.user_id, job.request.prompt) == (
                member.id,
                f"play for {member.name}",
            )


async def test_forms_that_are_closed_and_buttons_leave_nothing_behind(plan: Plan) -> None:
    async with world(plan) as w:
        message = await first(w)
        for _ in range(20):
            await w.bob.click(message, label="Edit")
        await w.bob.slash(w.music, "queue")
        kept = inside.cached(w.bot)._view_store
        assert (kept._modals, kept._synced_message_views) == ({}, {})


async def test_a_form_outlives_the_piece_that_it_was_opened_under(plan: Plan) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")
        await w.bot.services.archive.forget(w.alice.id)
        shown = await w.bob.submit_modal(form, values(form))
        await w.gone(shown)
        assert (await w.studio.job(2)).request.edited_from is None


async def test_a_form_of_an_earlier_version_is_answered(plan: Plan) -> None:
    async with world(plan) as w:
        form = await w.bob.click(await first(w), label="Edit")
        assert form._interaction.modal
        form._interaction.modal["custom_id"] = "0123456789abcdef"
        assert "That form is out of date" in told(await w.bob.submit_modal(form, values(form)))


async def test_what_is_asked_for_unless_it_is_said_is_what_the_tier_allows(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Free", longest=6)
        await w.alice.slash(w.music, "generate", prompt="play")
        assert (await w.ended(1, Status.DELIVERED)).request.seconds == 6
        await w.admin.slash(w.music, "panel")
        (panel,) = [each for each in w.messages() if each.embeds[0].title == "Words into music"]
        assert values(await w.bob.click(panel, label="Generate"))["seconds"] == "6"
        await w.admin.slash(w.music, "tier edit", tier="Free", **{"seconds-per-day": 5})
        await w.bob.slash(w.music, "generate", prompt="play")
        assert (await w.ended(2, Status.DELIVERED)).request.seconds == 5


async def test_a_forged_button_of_another_server_is_refused(plan: Plan) -> None:
    async with world(plan) as w:
        await first(w)
        other = w.env.create_guild("Elsewhere")
        there = other.create_text_channel("music")
        carol = other.add_member(w.env.create_user("carol"))
        await carol.slash(there, "generate", prompt="play", duration=2)
        await w.ended(2, Status.DELIVERED)
        (message,) = [each for each in there.history() if each.attachments]
        with pytest.raises(Refusal, match="no piece #1 here"):
            await w.services.pieces.request(1, viewer(guild=other.id))
        await w.gone(await carol.click(message, label="Again"))


@pytest.mark.parametrize(
    ("text", "options", "seed"),
    [
        ("", {}, None),
        (" guidance: 4.5,temperature=0.5 ", {"guidance": 4.5, "temperature": 0.5}, None),
        ("TOP_K 9, seed 0", {"top_k": 9}, 0),
    ],
)
def test_settings_are_read_as_people_write_them(
    text: str, options: dict[str, float], seed: int | None
) -> None:
    assert read(text, card("small")) == (options, seed)


@pytest.mark.parametrize("text", ["guidance", "top_k 1.5", "guidance 1.2.3", "seed -1", "a b c"])
def test_settings_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(Refusal):
        read(text, card("small"))
