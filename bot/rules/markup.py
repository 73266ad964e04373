"""Text that a person wrote, made safe for a message: nothing in it is live for Discord."""

import re
import unicodedata
from collections.abc import Sequence

LIVE = re.compile(r"[][\\*_~`|<>#()@:.+-]")
"""Characters that Discord may interpret: markup, links, mentions, emoji, times and lists."""

CONTROLS = re.compile("[\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Characters that reverse the text after them, and lone surrogates."""

INVISIBLE = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2028-\u202e\u2060-\u206f"
    "\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3"
    "\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Invisible characters. Source: Default_Ignorable_Code_Point of Unicode, and the braille blank."""

LISTED = 1000
"""Characters of a list within a sentence, so that this fits into a message."""

RIGHT_TO_LEFT = {"R", "AL", "AN"}
ISOLATE, END_ISOLATE = "\u2068", "\u2069"


def clean(text: str) -> str:
    """Return a text in one line, with single spaces and nothing that turns or breaks what follows.

    It is empty if nothing of it can be seen.
    """
    line = _line(text)
    seen = any(unicodedata.category(letter)[0] in "LNPS" for letter in INVISIBLE.sub("", line))
    return line if seen else ""


def clean_lines(text: str) -> str:
    """Return a text in its lines, each as `clean` leaves one, and no two empty ones in a row.

    It is empty if nothing of it can be seen.
    """
    lines = "\n".join(map(clean, text.splitlines()))
    return re.sub("\n{3,}", "\n\n", lines).strip("\n")


def escape(text: str, most: int | None = None) -> str:
    """Return a text for where Discord reads markup, cut to at most `most` characters.

    Source: a backslash escapes any character but letters, digits and white space.
    """
    return _fitted(LIVE.sub(r"\\\g<0>", _line(text)), most)


def escape_lines(text: str, most: int) -> str:
    """Return the lines of a text for where Discord reads markup, as many as fit into `most`."""
    kept, left = list[str](), most - len(f"{ISOLATE}…{END_ISOLATE}")
    for line in text.splitlines():
        shown = escape(line)
        if len(shown) + 1 > left:
            return "\n".join([*kept, escape(line, left)])
        kept.append(shown)
        left -= len(shown) + 1
    return "\n".join(kept)


def isolate(text: str, most: int | None = None) -> str:
    """Return a text for where Discord reads no markup, such as labels, choices and footers."""
    return _fitted(_line(text), most)


def some(parts: Sequence[str], most: int, between: str = ", ") -> str:
    """Join as many parts as fit into `most` characters, and say how many more there are."""
    text = between.join(parts)
    if len(text) <= most:
        return text
    shown = 0
    while len(longer := between.join([*parts[:shown], f"and {len(parts) - shown} more"])) <= most:
        text, shown = longer, shown + 1
    return text


def _fitted(line: str, most: int | None) -> str:
    turns = any(unicodedata.bidirectional(letter) in RIGHT_TO_LEFT for letter in line)
    if most is not None and len(line) > most - 2 * turns:
        # An escape is never cut in two: its backslash would escape what follows.
        begun = line[: max(0, most - 2 * turns - 1)]
        line = re.sub(r"(?<!\\)((?:\\\\)*)\\$", r"\1", begun) + "…"
    return f"{ISOLATE}{line}{END_ISOLATE}" if turns else line


def _line(text: str) -> str:
    return " ".join(re.sub(r"[\x00-\x1f\x7f-\x9f]", " ", CONTROLS.sub("", text)).split())
