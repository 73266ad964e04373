"""Songs: which language is meant, and lyrics as a command says them in one line."""

import pytest

from bot.errors import Refusal
from bot.rules.lyrics import LANGUAGES, first_line, in_lines, in_one_line, language


@pytest.mark.parametrize("typed", ["German", "de", "  gERMAN ", "DE"])
def test_a_language_is_known_by_its_name_and_by_its_code(typed: str) -> None:
    assert language(typed) == "de"


def test_no_language_is_for_the_model_to_find_out_and_an_unknown_one_is_refused() -> None:
    assert language(" ") is None
    assert {language(name) for name in LANGUAGES.values()} == LANGUAGES.keys()
    assert len(LANGUAGES) == 50
    with pytest.raises(Refusal, match=r"Known: Arabic, .*Haitian Creole, .*Chinese"):
        language("Klingon")


@pytest.mark.parametrize("lyrics", ["a", "[verse]\na\nb\n\n[chorus]\nc/d", "a\n\nb"])
def test_lyrics_of_one_line_have_their_lines_again(lyrics: str) -> None:
    assert in_lines(in_one_line(lyrics)) == lyrics
    assert "\n" not in in_one_line(lyrics)
    assert in_lines(in_one_line(lyrics).replace(" ", "  ")).replace("  ", " ") == lyrics


def test_the_first_line_is_sung() -> None:
    assert first_line("[verse]\n\nThe rain\nis here") == "The rain"
    assert first_line("[inst]") == ""
