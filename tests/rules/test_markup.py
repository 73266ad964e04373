"""Nothing that a person wrote is live in a message."""

import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.app import Plan
from bot.rules.markup import clean, clean_lines, escape, escape_lines, isolate, some
from bot.values import Status
from tests.support.imports import modules, name_of
from tests.support.shown import card, told
from tests.support.world import World, world

HARMLESS = re.compile(r"[^][\\*_~`|<>#()@:.+-]*")
"""What Discord reads as nothing but itself, in one line."""

ATTACKS = {
    "masked link": "[Nitro for free](https://evil.example)",
    "masked link behind a plain one": "https://a.example [Nitro](https://evil.example)",
    "masked link within a plain one": "https://a.example/[Nitro](https://evil.example)",
    "plain link": "https://evil.example/path",
    "link in brackets": "<https://evil.example>",
    "invitation": "discord.gg/abc",
    "everybody": "@everyone @here",
    "member, role and channel": "<@1> <@!1> <@&1> <#1>",
    "command": "</generate:1>",
    "time": "<t:0:R>",
    "emoji": "<:a:1> <a:b:1> :smile:",
    "emphasis": "**a** *b* __c__ _d_ ~~e~~ ||f||",
    "code": "`a` ``b`` ```c```",
    "heading": "# a ## b -# c",
    "list": "- a * b + c 1. d",
    "quote": "> a >>> b",
    "escaped already": r"\*a\* \\[b](https://evil.example)",
    "on a line of its own": "a\n# b\r\n> c\u2028- d\x85``` e",
}

TURNS = {
    "override": "\u202egpj.exe",
    "override with its end": "a\u202eb\u202cc",
    "isolate without its end": "\u2067a",
    "end without its isolate": "a\u2069b",
    "Hebrew": "שלום עולם",
    "Arabic with markup": "مرحبا *x*",
    "a mark": "a\u200fb",
}


def unescaped(text: str) -> str:
    return re.sub(r"\\([^0-9A-Za-z\s])", r"\1", text)


def is_inert(text: str) -> bool:
    """Whether all that could be live has its backslash, in one line."""
    rest = re.sub(r"\\[^0-9A-Za-z\s]", "", text)
    return HARMLESS.fullmatch(rest) is not None and len(text.splitlines()) <= 1


@pytest.mark.parametrize("what", ATTACKS)
def test_what_is_escaped_reads_as_it_was_written(what: str) -> None:
    shown = escape(ATTACKS[what])
    assert is_inert(shown)
    assert unescaped(shown) == " ".join(ATTACKS[what].split())


@pytest.mark.parametrize("what", TURNS)
def test_a_direction_ends_with_the_text(what: str) -> None:
    for shown in (escape(TURNS[what]), isolate(TURNS[what])):
        turns = re.sub("[^\u202a-\u202e\u2066-\u2069]", "", shown)
        assert turns in ("", "\u2068\u2069")
        right = any(unicodedata.bidirectional(letter) in ("R", "AL") for letter in shown)
        assert right == (turns != "")
        if turns:
            assert (shown[0], shown[-1]) == ("\u2068", "\u2069")


@given(st.text(st.characters(), max_size=60), st.none() | st.integers(8, 60))
def test_whatever_is_written_is_inert_and_short_enough(text: str, most: int | None) -> None:
    shown = escape(text, most)
    assert is_inert(shown)
    assert most is None or len(shown) <= most
    assert not shown.removesuffix("\u2069").endswith("\\") or shown.endswith("\\\\")
    shown.encode()
    if most is None:
        assert unescaped(shown).strip("\u2068\u2069") == isolate(text).strip("\u2068\u2069")


@given(st.text(st.sampled_from("\\*a א"), max_size=30), st.integers(8, 30))
def test_a_cut_leaves_no_half_of_an_escape(text: str, most: int) -> None:
    shown = escape(text, most)
    assert is_inert(shown)
    assert len(shown) <= most


@pytest.mark.parametrize(
    "text",
    ["", " ", "\u200b", "\u3164", "\u2060\u00ad", "\u2800 \u2800", "\ufe0f", "\u202e", "\ud800"],
)
def test_what_cannot_be_seen_is_empty(text: str) -> None:
    assert clean(text) == ""


def test_what_joins_letters_and_emoji_stays() -> None:
    assert clean("👩‍👩‍👧") == "👩‍👩‍👧"
    assert clean("می‌خواهم") == "می‌خواهم"


@given(st.text(st.characters(), max_size=60), st.integers(8, 60))
def test_lines_are_inert_each_by_itself_and_short_enough(text: str, most: int) -> None:
    shown = escape_lines(text, most)
    assert all(map(is_inert, shown.split("\n")))
    assert len(shown) <= most
    shown.encode()
    assert escape_lines(text, 10_000) == "\n".join(map(escape, text.splitlines()))


def test_lines_stay_and_what_is_between_them_is_one_empty_line_at_most() -> None:
    assert clean_lines("\n\n a \r\n\tb\u2028\u202e\n\x0b\n\u200b\nc d  \n ") == "a\nb\n\nc d"
    assert clean_lines("\n \u3164\r\n\ud800") == ""


@pytest.mark.parametrize("prompt", ["\u200b", "\u3164\u2800", "\ud800"])
async def test_a_prompt_that_cannot_be_seen_is_refused(plan: Plan, prompt: str) -> None:
    async with world(plan) as w:
        assert "The prompt must have 1 to" in told(await w.generate(prompt))


HOSTILE = "[x](https://evil.example) <@1> \u202e"
PLAIN = r"\[x\]\(https\://evil\.example\) \<\@1\>"


async def test_every_answer_with_a_members_words_escapes_them(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate(HOSTILE)
        await w.ended(1, Status.DELIVERED)
        (embed,) = (await w.result()).embeds
        answers = [
            str(embed.description),
            card(await w.alice.slash(w.music, "piece", number=1)),
            card(await w.alice.slash(w.music, "history")),
            card(await w.alice.slash(w.music, "usage")),
        ]
        for answer in answers:
            assert PLAIN in answer


async def test_what_the_engine_quotes_of_them_is_escaped_too(plan: Plan) -> None:
    async with world(plan) as w:
        shown = await w.generate(f"quote {HOSTILE}")
        embed = await w.status(shown, "could not be rendered")
        assert f"There is no quote {PLAIN}" in str(embed.description)


async def test_every_answer_with_an_admins_words_escapes_them(plan: Plan) -> None:
    async with world(plan) as w:
        await allow_nothing(w)
        await w.admin.slash(
            w.music, "quota grant", member=w.alice, seconds=9, reason=f"for {HOSTILE}"
        )
        await w.admin.slash(w.music, "member block", member=w.alice, reason=f"for {HOSTILE}")
        refused = told(await w.generate("play"))
        assert f"for {PLAIN}" in refused
        for answer in (
            card(await w.alice.slash(w.music, "usage")),
            card(await w.admin.slash(w.music, "log")),
            card(await w.admin.slash(w.music, "quota show", member=w.alice)),
        ):
            assert f"for {PLAIN}" in answer


async def test_a_refusal_escapes_the_names_of_tiers(plan: Plan) -> None:
    async with world(plan) as w:
        await allow_nothing(w)
        assert r"your \*\[Free\]\(x\) tier" in told(await w.generate("play", 2))
        wrong = await w.admin.slash(w.music, "tier give", member=w.alice, tier="None such")
        assert r"\*\[Free\]\(x\)" in told(wrong)
        assert r"\*\[Free\]\(x\)" in card(await w.alice.slash(w.music, "plans"))


async def allow_nothing(w: World) -> None:
    await w.admin.slash(w.music, "tier edit", tier="Generous", name="*[Free](x)", longest=1)


@pytest.mark.parametrize("path", sorted(modules().values()), ids=name_of)
def test_no_other_escaping_is_used(path: Path) -> None:
    assert "escape_markdown" not in path.read_text()
    assert "escape_mentions" not in path.read_text()


@given(st.lists(st.text("ab", min_size=1, max_size=40), max_size=60))
def test_what_does_not_fit_is_counted(parts: list[str]) -> None:
    text = some(parts, 100)
    assert len(text) <= 100
    *shown, last = text.split(", ")
    if text == ", ".join(parts):
        return
    assert shown == parts[: len(shown)]
    assert last == f"and {len(parts) - len(shown)} more"
    one_more = [*parts[: len(shown) + 1], f"and {len(parts) - len(shown) - 1} more"]
    assert len(", ".join(one_more)) > 100
