"""Words for prompts, suggested while a member types; any other words will do as well."""

import random
import re
from collections.abc import Iterator
from itertools import chain, zip_longest

from discord import app_commands

from bot.client import Interaction
from cogs.ui.autocomplete import LONGEST_CHOICE, MOST_CHOICES, offered

VOCABULARY = {
    "genre": (
        *("ambient", "baroque fantasia", "blues", "bossa nova", "chiptune", "cinematic orchestra"),
        *("classical waltz", "country", "disco", "drum and bass", "dub", "electro swing", "folk"),
        *("funk", "gospel", "heavy metal", "house", "jazz trio", "lo-fi hip hop", "reggae"),
        *("rock ballad", "samba", "ska", "soul", "synthwave", "tango", "techno", "trance"),
    ),
    "mood": (
        *("calm", "dark", "dreamy", "epic", "gentle", "happy", "hopeful", "hypnotic", "joyful"),
        *("lonely", "melancholic", "mysterious", "nostalgic", "playful", "romantic", "sad"),
        *("solemn", "tense", "triumphant", "warm"),
    ),
    "instrument": (
        *("accordion", "acoustic guitar", "analogue synth", "bagpipes", "banjo", "brass section"),
        *("cello", "choir", "church organ", "clarinet", "distorted guitar", "double bass"),
        *("electric piano", "fiddle", "flute", "hand drums", "harp", "harpsichord", "marimba"),
        *("music box", "piano", "saxophone", "sitar", "string quartet", "trumpet", "violin"),
    ),
    "tempo": (
        *("very slow", "slow", "walking pace", "mid-tempo", "fast", "very fast", "60 bpm"),
        *("90 bpm", "120 bpm", "140 bpm", "170 bpm"),
    ),
}


async def phrases(_: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Suggest how a prompt could continue; Discord accepts any other words too."""
    found = [(text, text) for text in completions(typed)]
    if not typed.strip():
        surprise = surprising(random.Random())  # noqa: S311  # music, not a secret
        found.insert(0, (f"surprise me: {surprise}", surprise))
    return offered(found)


def surprising(chance: random.Random) -> str:
    """Return a prompt with one of each kind."""
    mood, tempo = chance.choice(VOCABULARY["mood"]), chance.choice(VOCABULARY["tempo"])
    genre, instrument = chance.choice(VOCABULARY["genre"]), chance.choice(VOCABULARY["instrument"])
    return f"{mood} {genre} with {instrument}, {tempo}"


def completions(typed: str) -> list[str]:
    """Return prompts that begin with what was typed: itself, its last word completed, one more."""
    typed = typed.encode(errors="ignore").decode().lstrip()  # without halves of characters
    unique = dict.fromkeys(_completions(typed))
    return [text for text in unique if 0 < len(text) <= LONGEST_CHOICE][:MOST_CHOICES]


def _completions(typed: str) -> Iterator[str]:
    yield typed.rstrip()
    begun, _, last = typed.rpartition(", ")
    before = f"{begun}, " if begun else ""
    # A phrase may begin at any word of what was typed last; the longest rest is completed first.
    for cut in (0, *(space.end() for space in re.finditer(" ", last))):
        word = last[cut:].casefold()
        for phrase in chain.from_iterable(VOCABULARY.values()):
            if word and phrase.startswith(word):
                yield f"{before}{last[:cut]}{phrase}"
    whole = typed.rstrip(", ")
    lacking = [known for known in VOCABULARY.values() if not _has(whole, known)]
    for phrase in filter(None, chain.from_iterable(zip_longest(*lacking))):
        yield f"{whole}, {phrase}" if whole else phrase


def _has(text: str, known: tuple[str, ...]) -> bool:
    return any(f" {phrase} " in f" {text.casefold().replace(',', ' ')} " for phrase in known)
