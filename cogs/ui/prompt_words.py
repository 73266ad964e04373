"""Words for prompts, suggested while a member types; any other words will do as well."""

import random
import re
from collections.abc import Iterator, Sequence
from itertools import chain, islice, zip_longest

from discord import app_commands

from bot.client import Interaction
from cogs.ui.autocomplete import LONGEST_CHOICE, MOST_CHOICES, offered

PHRASES = {
    "genre": "lo-fi hip hop, cinematic orchestra, ambient, synthwave, jazz trio, house, techno, "
    "drum and bass, rock ballad, heavy metal, classical waltz, folk, funk, blues, bossa nova, "
    "reggae, chiptune, baroque fantasia, trance, soul, disco, country, electro swing, tango, "
    "samba, gospel, dub, ska",
    "mood": "calm, happy, epic, dark, sad, warm, dreamy, relaxed, melancholic, romantic, hopeful, "
    "joyful, mysterious, nostalgic, playful, gentle, tense, triumphant, lonely, hypnotic, solemn",
    "instrument": "piano, acoustic guitar, violin, flute, choir, cello, string quartet, "
    "electric piano, distorted guitar, saxophone, trumpet, harp, hand drums, brass section, "
    "analogue synth, double bass, church organ, clarinet, music box, harpsichord, marimba, fiddle, "
    "accordion, banjo, sitar, bagpipes",
    "tempo": "slow, fast, mid-tempo, 120 bpm, 90 bpm, 140 bpm, 60 bpm, 170 bpm, very slow, "
    "very fast, walking pace",
}
"""The commonest first."""

VOCABULARY = {kind: tuple(words.split(", ")) for kind, words in PHRASES.items()}

JOINING = {"and", "with", "for", "by", "in", "on", "of", "the", "some", "to", "like", "over"}
"""Words after which a phrase goes on without a comma."""

OWN_PROMPTS, OWN_OFFERED = 50, 5
"""How many of a member's prompts say which words they use, and how many of them are offered."""


async def phrases(interaction: Interaction, typed: str) -> list[app_commands.Choice[str]]:
    """Suggest how a prompt could continue; Discord accepts any other words too."""
    own = await interaction.client.services.pieces.listed(
        interaction.guild_id or 0, interaction.user.id, OWN_PROMPTS
    )
    found = [(text, text) for text in completions(typed, [job.request.prompt for job in own])]
    if not typed.strip():
        surprise = surprising(random.Random())  # noqa: S311  # music, not a secret
        found.insert(0, (f"surprise me: {surprise}", surprise))
    return offered(found)


def surprising(chance: random.Random) -> str:
    """Return a prompt with one of each kind."""
    mood, tempo = chance.choice(VOCABULARY["mood"]), chance.choice(VOCABULARY["tempo"])
    genre, instrument = chance.choice(VOCABULARY["genre"]), chance.choice(VOCABULARY["instrument"])
    return f"{mood} {genre} with {instrument}, {tempo}"


def completions(typed: str, prompts: Sequence[str] = ()) -> list[str]:
    """Return prompts that begin with what was typed: its last word completed, or one more phrase.

    What the member's own `prompts` have, the newest first, comes before what they have not.
    """
    typed = typed.encode(errors="ignore").decode().lstrip()  # without halves of characters
    unique = dict.fromkeys(_completions(typed, prompts))
    return [text for text in unique if 0 < len(text) <= LONGEST_CHOICE][:MOST_CHOICES]


def _completions(typed: str, prompts: Sequence[str]) -> Iterator[str]:
    yield typed.rstrip()
    begun = typed.casefold()
    own = dict.fromkeys(text for text in prompts if text.casefold().startswith(begun))
    yield from islice(own, OWN_OFFERED)
    vocabulary = [_by_use(known, prompts) for known in VOCABULARY.values()]
    completed, whole = _last_word(typed, _by_use([*chain.from_iterable(vocabulary)], prompts))
    yield from completed
    if not whole:
        return
    text = typed.rstrip(" ,")
    between = " " if text.rpartition(" ")[2].casefold() in JOINING else ", "
    lacking = [known for known in vocabulary if not _has(text, known)]
    for phrase in filter(None, chain.from_iterable(zip_longest(*lacking))):
        yield f"{text}{between}{phrase}" if text else phrase


def _last_word(typed: str, phrases: Sequence[str]) -> tuple[list[str], bool]:
    """Return what is typed with its last word completed, and whether that is whole as it is."""
    last = typed.rpartition(", ")[2]
    completed, whole = [], not last.strip() or typed[-1] in " ,"
    # A phrase may begin at any word of what was typed last; the longest rest is completed first.
    for cut in (0, *(space.end() for space in re.finditer(" ", last))):
        word, before = last[cut:].casefold(), typed[: len(typed) - len(last) + cut]
        begun = [phrase for phrase in phrases if word and phrase.startswith(word)]
        completed += [before + phrase for phrase in begun]
        whole |= word in begun or word in JOINING
    return completed, whole


def _by_use(phrases: Sequence[str], prompts: Sequence[str]) -> list[str]:
    """Return phrases in the order in which these prompts have them, the most often first."""
    had = f" {'  '.join(prompts).casefold().replace(',', ' ')} "
    return sorted(phrases, key=lambda phrase: -had.count(f" {phrase} "))


def _has(text: str, known: Sequence[str]) -> bool:
    return any(f" {phrase} " in f" {text.casefold().replace(',', ' ')} " for phrase in known)
