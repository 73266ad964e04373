"""The words of a request: counted before they are cut, and nothing live in them."""

import inspect

import pytest

from bot.engine.acestep.conditions import (
    MOST_CAPTION_TOKENS,
    MOST_LYRIC_TOKENS,
    SongWords,
    check_length,
)
from bot.errors import JobError
from tests.support.songs import tiny

SCRIPTS = """
[verse] Über Flüsse, ça va, señor; [chorus] Привет, мир 你好世界 こんにちは 안녕하세요
[bridge] שלום עולם مرحبا بالعالم สวัสดี नमस्ते Ωδή 👩‍🎤🎵 [outro] ĦŦŁ
"""


def words(style: str = "a waltz", lyrics: str | None = None, language: str = "en") -> SongWords:
    return SongWords.of(style, lyrics, language, 30.0)


def test_music_without_words_is_told_to_be_so_in_no_language() -> None:
    for lyrics in (None, "", " \n "):
        asked = words(lyrics=lyrics)
        assert (asked.lyrics, asked.language) == ("[Instrumental]", "unknown")
    assert words(lyrics="la", language="fr").language == "fr"
    assert words(lyrics="la", language="").language == "unknown"


def test_every_script_comes_through() -> None:
    asked = words(lyrics=SCRIPTS)
    assert asked.lyrics == SCRIPTS.strip()
    check_length(tiny(), asked)


def test_control_characters_and_the_models_own_marks_are_no_words() -> None:
    asked = words("a\x00 \x1b[31mwaltz\ud800", "la\r\n<|endoftext|>\x7f la\u0085<|im_start|>")
    assert asked.style == "a [31mwaltz"
    assert asked.lyrics == "la\n< |endoftext|> la< |im_start|>"
    end = tiny().tokenizer.eos_token_id
    assert end not in tiny().tokenizer(asked.lyrics).input_ids


FITS = {"style": MOST_CAPTION_TOKENS - 36, "lyrics": MOST_LYRIC_TOKENS - 7}
"""How many bytes the tiny model reads, a token each, beside what the pipeline says itself."""


@pytest.mark.parametrize("field", FITS)
def test_what_is_too_long_is_refused_with_the_numbers_and_one_less_is_not(field: str) -> None:
    fits = FITS[field]
    check_length(tiny(), words(**{field: "a" * fits}))
    for count in (fits + 1, 4000):
        told = f"^The {'prompt is' if field == 'style' else 'lyrics are'} too long for the model: "
        with pytest.raises(JobError, match=f"{told}{count:,} tokens, .* reads {fits:,}"):
            check_length(tiny(), words(**{field: "a" * count}))


def test_what_is_too_long_of_a_song_is_called_as_its_form_calls_it() -> None:
    with pytest.raises(JobError, match=r"^The style is too long for the model"):
        check_length(tiny(), words(style="a" * 500, lyrics="la"))


def test_no_more_is_read_than_the_pipeline_reads() -> None:
    asked = inspect.signature(tiny().encode_prompt).parameters
    assert asked["max_text_length"].default == MOST_CAPTION_TOKENS
    assert asked["max_lyric_length"].default == MOST_LYRIC_TOKENS
