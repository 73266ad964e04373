"""Refused words are seen through what hides them, and nothing else is taken for them."""
# ruff: noqa: RUF001

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app import Plan
from bot.rules.wordfilter import folded, refuses
from bot.values import Status
from tests.support.shown import told
from tests.support.world import world

SEEN = {
    "as it is": "bum",
    "in a sentence": "a bum, march",
    "capitals": "BUM",
    "full width": "ＢＵＭ",
    "mathematical capitals": "𝐁𝐔𝐌",
    "mathematical small letters": "𝐛𝐮𝐦",
    "script capitals": "ℬ𝒰ℳ",
    "letters in circles": "ⓑⓤⓜ",
    "letters in black circles": "🅑🅤🅜",
    "letters in black boxes": "🅱🆄🅼",
    "letters in brackets": "⒝⒰⒨",
    "letters of flags": "🇧🇺🇲",
    "small capitals": "ʙᴜᴍ",
    "small capitals, raised": "bᶸm",
    "underscores around it": "_bum_ anthem",
    "an underscore after it": "bum_anthem",
    "underscores within": "b_u_m",
    "zero width space": "b\u200bum",
    "zero width joiner": "b\u200dum",
    "soft hyphen": "b\u00adum",
    "word joiner": "b\u2060um",
    "combining grapheme joiner": "b\u034fum",
    "variation selector": "b\ufe0fum",
    "direction": "b\u202dum",
    "a mark of direction": "b\u200fum",
    "a filler": "b\u3164um",
    "tags": "b\U000e0061um",
    "strokes through it": "b\u0336u\u0336m\u0336",
    "Cyrillic capitals": "ВUМ",
    "a Greek letter": "bυm",
}

PASSES = {
    "rn for m": "burn",
    "another word": "album",
    "an accent": "bùm",
    "a letter of the same script": "buɱ",
    "digits": "8um",
    "spaces": "b u m",
    "signs": "b.u.m",
    "another form": "bums",
}


@pytest.mark.parametrize("how", SEEN)
def test_a_word_is_seen(how: str) -> None:
    assert refuses(["bum"], SEEN[how])


@pytest.mark.parametrize("how", PASSES)
def test_another_word_passes(how: str) -> None:
    assert not refuses(["bum"], PASSES[how])


@pytest.mark.parametrize(
    ("word", "prompt"),
    [
        ("вор", "ВОР"),
        ("вор", "Вор на рынке"),
        ("βόμβα", "ΒΌΜΒΑ"),
        ("trübsal", "TRÜBSAL"),
        ("straße", "STRASSE"),
        ("बम", "बम गीत"),
        ("爆弾", "爆弾"),
        ("heavy metal", "some Heavy\u00a0Metal"),
    ],
)
def test_a_word_of_any_script_is_seen_in_any_capitals(word: str, prompt: str) -> None:
    assert refuses([folded(word)], prompt)


@pytest.mark.parametrize(
    ("word", "prompt"), [("año", "ano"), ("bør", "bor"), ("ı", "i̇"), ("क", "कि"), ("вор", "вод")]
)
def test_letters_that_differ_stay_different(word: str, prompt: str) -> None:
    assert not refuses([folded(word)], prompt)


@given(st.from_regex(r"[a-z]{1,12}", fullmatch=True), st.from_regex("[a-z]{1,12}", fullmatch=True))
def test_of_plain_latin_words_only_the_same_is_refused(word: str, prompt: str) -> None:
    assert refuses([word], prompt) == (word == prompt)


@given(st.text(max_size=30))
def test_what_is_folded_stays_so_and_is_found_again(text: str) -> None:
    once = folded(text)
    assert folded(once) == once
    if once:
        assert refuses([once], text)


async def test_a_disguised_word_is_refused_and_admins_are_told_what_is_not_seen(plan: Plan) -> None:
    async with world(plan) as w:
        said = told(await w.admin.slash(w.music, "words add", word="Bum"))
        assert "“bum” are now blocked" in said
        assert "not recognise accents" in said
        for how in ("Cyrillic capitals", "soft hyphen", "underscores within"):
            assert "blocks" in told(await w.generate(SEEN[how]))
        await w.generate("burn")
        await w.ended(1, Status.DELIVERED)


async def test_a_word_that_was_folded_otherwise_can_be_removed(plan: Plan) -> None:
    async with world(plan) as w:
        async with w.database.transaction() as tx:
            await tx.execute("INSERT INTO words VALUES (?, 'a_b')", (w.guild.id,))
        assert "blocks" in told(await w.generate("a b"))
        assert "again" in told(await w.admin.slash(w.music, "words remove", word="a_b"))
        await w.generate("a b")
        await w.ended(1, Status.DELIVERED)
