"""Songs: asked for by a command or a form, by who sings them, and whose the lyrics stay."""

from dataclasses import replace
from typing import Any

import discord
import mutagen
import pytest
import simcord

from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.values import Status
from tests.support import erased
from tests.support.clock import Clock
from tests.support.presses import forged
from tests.support.shown import answered, attached, card, choices, described, told, values
from tests.support.world import World, world

SINGER = "ace-turbo"

LYRICS = "[verse]\nOur *secret* rains\nand rains\n\n[chorus]\nFantasia, take me home"


@pytest.fixture
def plan(plan: Plan, clock: Clock) -> Plan:
    """A bot with a model that sings, and with one that does not, which is the usual one."""
    return replace(plan, models=("small", SINGER), clock=clock)


async def ask(w: World, **options: Any) -> simcord.InteractionResult:
    return await w.alice.slash(w.music, "song", **options)


async def sung(w: World, **options: Any) -> discord.Message:
    """A song of alice's."""
    form = await ask(w, style="play folk", duration=2, **options)
    await w.gone(await w.alice.submit_modal(form, values(form) | {"lyrics": LYRICS}))
    return await w.result()


async def test_a_song_is_asked_for_in_one_line_or_by_a_form(plan: Plan) -> None:
    async with world(plan) as w:
        line = "[verse] / Our *secret* rains / and rains /  / [chorus] / Fantasia, take me home"
        asked = {"style": "play folk", "lyrics": line, "language": "de", "duration": 2}
        await w.gone(await ask(w, **asked, takes=2, seed=7, steps=9))
        form = await ask(w, style="play folk", language="german", takes=2, seed=7, steps=9)
        assert values(form) == {
            "prompt": "play folk",
            "lyrics": "",
            "language": "German",
            "seconds": "30",
            "settings": "takes 2, seed 7, steps 9",
        }
        spread = LYRICS.replace(" ", "\t  ").replace("\n", " \r\n")
        typed = {"lyrics": f"\n\u202e{spread}\n\n", "seconds": "2"}
        await w.gone(await w.alice.submit_modal(form, values(form) | typed))
        one, two = [(await w.studio.job(number)).request for number in (1, 2)]
        assert one == two
        assert (one.lyrics, one.language, one.model, one.takes) == (LYRICS, "de", SINGER, 2)
        assert (one.seed, one.options["steps"]) == (7, 9)


async def test_a_song_has_a_length_of_its_own_where_none_is_given(plan: Plan) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "tier edit", tier="Generous", longest=20)
        await w.gone(await ask(w, style="play", lyrics="la"))
        assert (await w.studio.job(1)).request.seconds == 20
        assert values(await ask(w))["seconds"] == "20"


async def test_a_model_that_sings_no_words_names_one_that_does(plan: Plan) -> None:
    async with world(plan) as w:
        for given in ({"lyrics": "la"}, {}):
            refused = told(await ask(w, style="play", model="small", **given))
            assert refused == f"MusicGen small sings no words. Choose a model that does: {SINGER}."
        offered = await w.alice.autocomplete(w.music, "song", "model", "")
        assert [choice["value"] for choice in offered] == [SINGER]


async def test_nobody_writes_lyrics_for_a_model_that_their_tier_does_not_include(
    plan: Plan,
) -> None:
    async with world(plan) as w:
        song = await sung(w)
        await w.admin.slash(w.music, "tier edit", tier="Generous", models="small")
        refused = f"Your Generous tier does not include the model {SINGER}. No tier on this server"
        assert refused in told(await ask(w, style="play"))
        for label in ("Edit", "Extend"):
            assert refused in told(await w.bob.click(song, label=label))


async def test_the_form_explains_sections_and_languages_are_completed(plan: Plan) -> None:
    async with world(plan) as w:
        form = await ask(w, style="play")
        assert form.modal
        explained = [str(field.get("description")) for field in form.modal["components"]]
        for section in ("[verse]", "[chorus]", "[bridge]", "[outro]", "[inst]"):
            assert section in explained[1]
        offered = await w.alice.autocomplete(w.music, "song", "language", "ger")
        assert [(each["name"], each["value"]) for each in offered] == [("German", "de")]


async def test_where_no_model_sings_nobody_writes_lyrics_in_vain(plan: Plan) -> None:
    async with world(replace(plan, models=("sketch",))) as w:
        assert told(await ask(w)) == (
            "Sketch engine (not MusicGen) sings no words. There is no other model here that does."
        )


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"lyrics": " \n\u200b\n"}, "The lyrics must have 1 to 4,000 characters."),
        ({"language": "Klingon"}, "I do not know that language. Known: Arabic, "),
        ({"seconds": "soon"}, "Seconds must be a whole number."),
        ({"settings": "takes many"}, "Takes must be a whole number."),
        ({"settings": "model small"}, "MusicGen small sings no words."),
        ({"settings": "top_k 3"}, "has no `top_k`"),
        ({"settings": "loud 9"}, "I cannot read the setting “loud 9”"),
        ({"lyrics": "the forbiddEn word"}, "Your lyrics contain a word that this server blocks."),
        ({"prompt": "forbidden"}, "Your style contains a word that this server blocks."),
    ],
)
async def test_a_refused_song_comes_back_with_its_lyrics(
    plan: Plan, wrong: dict[str, str], sentence: str
) -> None:
    async with world(plan) as w:
        await w.admin.slash(w.music, "words add", word="forbidden")
        form = await ask(w, style="play", duration=2)
        typed = {**values(form), "lyrics": LYRICS, **wrong}
        refused = await w.alice.submit_modal(form, typed)
        assert sentence in told(refused)
        back = await w.alice.click(answered(refused).message, label="Back to the form")
        assert values(back) == typed
        mended = {"prompt": "play", "lyrics": LYRICS, "language": "", "seconds": "2"}
        await w.gone(await w.alice.submit_modal(back, typed | mended | {"settings": ""}))
        assert (await w.studio.job(1)).request.lyrics == LYRICS


async def test_again_edit_and_extend_keep_the_lyrics_of_their_member(plan: Plan) -> None:
    async with world(plan) as w:
        song = await sung(w, language="de", seed=3)
        await w.gone(await w.alice.click(song, label="Again"))
        form = await w.alice.click(song, label="Edit")
        filled = values(form)
        assert filled["lyrics"] == LYRICS
        assert filled["language"] == "German"
        assert filled["settings"] == f"takes 1, model {SINGER}, steps 8, guidance 1"
        await w.gone(await w.alice.submit_modal(form, filled | {"lyrics": "la la"}))
        question = answered(await w.alice.click(song, label="Extend")).message
        form = await w.alice.click(question, label="With other words")
        assert values(form)["lyrics"] == LYRICS
        other = {"prompt": "play on", "lyrics": "and so on"}
        await w.alice.submit_modal(form, values(form) | other)
        await w.result(4)
        await w.gone(await w.alice.click(w.results()[3], label="Again"))
        made = [(await w.studio.job(number)).request for number in (1, 2, 3, 4, 5)]
        assert [each.lyrics for each in made] == [LYRICS, LYRICS, "la la", "and so on", "and so on"]
        assert {each.language for each in made} == {"de"}
        assert made[2].edited_from == 1
        assert [each.prompt for each in made] == [*["play folk"] * 3, *["play on"] * 2]
        assert made[3].before == made[4].before == 2.0


async def test_the_lyrics_are_their_members_and_the_managers_alone(plan: Plan) -> None:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        song = await sung(w)
        assert "♪ *Our \\*secret\\* rains*" in str(song.embeds[0].description)
        assert "take me home" not in str(song.embeds[0].description)
        for reader in (w.alice, w.admin):
            shown = card(await reader.slash(w.music, "piece", number=1))
            assert r"\[verse\]" in shown
            assert "take me home" in shown
            assert "lyrics: [verse] / Our *secret* rains / and rains" in shown
        shown = card(await w.bob.slash(w.music, "piece", number=1))
        assert "its lyrics are shown to who wrote them" in shown
        assert "secret" not in shown
        assert "/song style: play folk duration: 2" in shown
        for label in ("Again", "Edit", "Extend", "Save as"):
            pressed = await w.bob.click(song, label=label)
            assert "secret" not in repr(pressed.response) + repr(getattr(pressed, "modal", ""))
        assert "are alice's" in told(await w.bob.click(song, label="Again"))
        form = await w.bob.click(song, label="Edit")
        assert values(form)["lyrics"] == ""
        assert "are alice's" in await forged(w, w.bob, w.music, "extend-by:1", "1:5")
        assert "Lyrics" not in await choices(await w.bob.click(song, label="Save as"))
        assert "for who wrote them" in await forged(w, w.bob, w.music, "save-as:1", "1:text")
        question = answered(await w.bob.click(song, label="Extend")).message
        form = await w.bob.click(question, label="With other words")
        assert values(form)["lyrics"] == ""
        await w.bob.submit_modal(form, values(form) | {"lyrics": "my own"})
        await w.result(2)
        assert (await w.studio.job(2)).request.lyrics == "my own"


async def test_lyrics_are_saved_as_text_and_stand_in_the_tags(plan: Plan) -> None:
    async with world(plan) as w:
        song = await sung(w)
        question = await w.alice.click(song, label="Save as")
        assert (await choices(question))[-1] == "Lyrics"
        shown = await w.alice.select(
            answered(question).message, values=["1:text"], custom_id="save-as:1"
        )
        (file,) = await attached(shown)
        assert file.filename == "play-folk-1.txt"
        assert (await file.read()).decode() == f"{LYRICS}\n"
        question = await w.alice.click(song, label="Save as")
        shown = await w.alice.select(
            answered(question).message, values=["1:flac"], custom_id="save-as:1"
        )
        (file,) = await attached(shown)
        path = w.path(file.filename)
        path.write_bytes(await file.read())
        assert mutagen.File(path)["LYRICS"] == [LYRICS]


async def test_a_song_is_posted_again_as_it_was_for_its_member_and_for_managers(
    plan: Plan,
) -> None:
    async with world(plan) as w:
        song = await sung(w)
        await w.alice.slash(w.music, "resend", number=1)
        await w.admin.slash(w.music, "resend", number=1, format="flac")
        await w.result(3)
        first, again, other = w.results()
        assert "♪ *Our \\*secret\\* rains*" in str(again.embeds[0].description)
        assert again.embeds[0].description == song.embeds[0].description
        assert other.embeds[0].description == song.embeds[0].description
        assert [await each.read() for each in again.attachments] == [
            await each.read() for each in first.attachments
        ]
        sent = w.path("posted.flac")
        sent.write_bytes(await other.attachments[0].read())
        assert mutagen.File(sent)["LYRICS"] == [LYRICS]
        for member, message in ((w.alice, again), (w.admin, other)):
            question = answered(await member.click(message, label="Save as")).message
            saved = await member.select(question, values=["1:text"], custom_id="save-as:1")
            (file,) = await attached(saved)
            assert (await file.read()).decode() == f"{LYRICS}\n"


async def test_lyrics_are_found_in_the_history_and_erased_with_all_else(plan: Plan) -> None:
    async with world(plan) as w:
        await sung(w, language="German")
        form = await ask(w, style="play")
        wrong = {"lyrics": LYRICS, "seconds": "soon"}
        assert "whole number" in told(await w.alice.submit_modal(form, values(form) | wrong))
        found = await w.alice.slash(w.music, "history", words="SECRET rains")
        assert "**#1**" in described(found)
        await w.ended(1, Status.DELIVERED)
        assert "secret" in await erased.everything(w)
        await erased.forget(w)
        await erased.swept(w)
        assert "secret" not in await erased.everything(w)
        assert (await erased.row(w))["language"] is None
        assert w.results() == []
        for file in w.folder.rglob("*"):
            assert not file.is_file() or b"secret" not in file.read_bytes(), file


async def test_a_long_song_is_shown_as_far_as_a_card_goes_and_none_of_it_is_live(
    plan: Plan,
) -> None:
    async with world(plan) as w:
        lyrics = "\n".join(["# @everyone [a](https://x.example) שלום"] * 90)[:4000]
        form = await ask(w, style="*" * 500, duration=2)
        await w.gone(await w.alice.submit_modal(form, values(form) | {"lyrics": lyrics}))
        assert len((await w.studio.job(1)).request.lyrics or "") > 3500
        shown = card(await w.alice.slash(w.music, "piece", number=1))
        assert "…" in shown
        assert "/song style: *" in shown
        assert "](https://x" not in shown
        form = await w.alice.click(await w.result(), label="Edit")
        await w.gone(await w.alice.submit_modal(form, values(form)))
        one, two = [(await w.studio.job(number)).request for number in (1, 2)]
        assert one.lyrics == two.lyrics
