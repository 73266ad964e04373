"""What is sung: in which languages, and how the sections of a song are told apart."""

import re

from bot.errors import Refusal

LONGEST_LYRICS = 4000
"""Characters of lyrics: as many as Discord takes in a field of a form."""

LANGUAGES = {
    "ar": "Arabic",
    "az": "Azerbaijani",
    "bg": "Bulgarian",
    "bn": "Bengali",
    "ca": "Catalan",
    "cs": "Czech",
    "da": "Danish",
    "de": "German",
    "el": "Greek",
    "en": "English",
    "es": "Spanish",
    "fa": "Persian",
    "fi": "Finnish",
    "fr": "French",
    "he": "Hebrew",
    "hi": "Hindi",
    "hr": "Croatian",
    "ht": "Haitian Creole",
    "hu": "Hungarian",
    "id": "Indonesian",
    "is": "Icelandic",
    "it": "Italian",
    "ja": "Japanese",
    "ko": "Korean",
    "la": "Latin",
    "lt": "Lithuanian",
    "ms": "Malay",
    "ne": "Nepali",
    "nl": "Dutch",
    "no": "Norwegian",
    "pa": "Punjabi",
    "pl": "Polish",
    "pt": "Portuguese",
    "ro": "Romanian",
    "ru": "Russian",
    "sa": "Sanskrit",
    "sk": "Slovak",
    "sr": "Serbian",
    "sv": "Swedish",
    "sw": "Swahili",
    "ta": "Tamil",
    "te": "Telugu",
    "th": "Thai",
    "tl": "Tagalog",
    "tr": "Turkish",
    "uk": "Ukrainian",
    "ur": "Urdu",
    "vi": "Vietnamese",
    "yue": "Cantonese",
    "zh": "Chinese",
}
"""The languages of lyrics by their codes, and how members call them.

Source: the list of ACE-Step 1.5 (`acestep/constants.py`).
"""


LINE_BREAK = re.compile(r"(?<=\s)/(?=\s|$)")
"""What stands for the end of a line where there is but one, as in the option of a command."""


def in_lines(text: str) -> str:
    """Return the lyrics that an option of a command says in one line."""
    return "\n".join(line.strip() for line in LINE_BREAK.split(text))


def in_one_line(lyrics: str) -> str:
    """Return lyrics as an option of a command says them."""
    return lyrics.replace("\n", " / ").replace("  ", " ")


def first_line(lyrics: str) -> str:
    """Return the first line that is sung; those in brackets name a section."""
    sung = (line for line in lyrics.splitlines() if line and not line.startswith("["))
    return next(sung, "")


def language(text: str) -> str | None:
    """Return the code of a language that is named or whose code it is; None where none is named.

    Raises Refusal for any other.
    """
    named = " ".join(text.split()).casefold()
    if not named or named in LANGUAGES:
        return named or None
    for code, name in LANGUAGES.items():
        if name.casefold() == named:
            return code
    raise Refusal(f"I do not know that language. Known: {', '.join(LANGUAGES.values())}.")
