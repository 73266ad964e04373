"""The words that a server blocks, found in a prompt even when they are disguised."""

import re
import unicodedata
from collections.abc import Iterable
from functools import cache, lru_cache

import disarm

from bot.rules.markup import INVISIBLE

UNSEEN_HERE = (
    "I recognise it in any capitals, styles and look-alike letters of other scripts, and through "
    "invisible characters and underscores. I do not recognise accents, digits or signs in place of "
    "letters, spaces or signs between them, or other forms of the word."
)
"""What admins should know about it."""

STYLED = re.compile(
    "(?!COMBINING|TAG)(?:.* )?(?:LATIN (?:CAPITAL |SMALL )?|REGIONAL INDICATOR SYMBOL )"
    "LETTER (?:SMALL CAPITAL )?([A-Z])"
)
"""Unicode's names of letters in circles, boxes and brackets, of flags, and of small capitals."""


def folded(text: str) -> str:
    """Return the words of a text with one space between them, case folded, as they are listed.

    Source for case folding: The Unicode Standard, section 3.13 (caseless matching).
    """
    seen = INVISIBLE.sub("", unicodedata.normalize("NFKC", _plain(text)))
    return _words(_plain(unicodedata.normalize("NFKC", seen.casefold())))


def refuses(words: Iterable[str], prompt: str) -> bool:
    """Whether a prompt has one of these words, whole."""
    # Spaces around both make "in" a comparison of whole words.
    asked = [f" {form} " for text in (prompt, prompt.replace("_", "")) for form in _forms(text)]
    return any(f" {_listed(word)} " in form for word in words for form in asked)


@lru_cache(maxsize=10_000)
def _listed(word: str) -> str:
    return _looks(folded(word))


def _forms(text: str) -> tuple[str, str]:
    """Return how a text reads: its small letters may look like others than its capitals do."""
    return _looks(folded(text)), folded(_looks(unicodedata.normalize("NFKC", text)))


def _plain(text: str) -> str:
    return "".join(map(_without_style, text))


@cache
def _without_style(letter: str) -> str:
    named = STYLED.fullmatch(unicodedata.name(letter, ""))
    return named[1].lower() if named else letter


def _looks(text: str) -> str:
    return "".join(map(_latin, text))


@cache
def _latin(letter: str) -> str:
    """Return the Latin letters that a letter of another script looks like, or itself.

    No Latin letter is taken for another: "burn" is not "bum", and an accent makes a difference.
    Source: Unicode Technical Standard 39, as disarm has it.
    """
    if not letter.isalpha() or _is_latin(letter):
        return letter
    like = disarm.normalize_confusables(letter)
    return like if like.isascii() and like.isalpha() else letter


def _is_latin(letter: str) -> bool:
    return letter.isascii() or unicodedata.name(letter, "").startswith("LATIN ")


def _words(text: str) -> str:
    kept: list[str] = []
    for letter in text:
        mark = unicodedata.category(letter)[0] == "M"
        if mark and kept and kept[-1].isalpha() and _is_latin(kept[-1]):
            continue  # such as a stroke through each letter; what is an accent was composed
        kept.append(letter if mark or letter.isalnum() else " ")
    return " ".join("".join(kept).split())
