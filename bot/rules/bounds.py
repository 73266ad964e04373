"""The bounds that hold for every request, whoever makes it."""

from collections.abc import Iterator, Mapping, Sequence

from bot.engine.cards import Ability, ModelCard, OptionBounds
from bot.errors import Problems
from bot.rules import lyrics
from bot.rules.lyrics import LONGEST_LYRICS
from bot.rules.markup import LISTED, clean, clean_lines, some
from bot.values import Request, Wish

LONGEST_PROMPT = 500
USUAL_SECONDS, USUAL_SONG_SECONDS = 8, 30
"""The default length of a piece, and of a song, where the member may have as much."""

MOST_TAKES = 5

# Take i has the seed `seed + i`, and that of the last must fit into 32 bits too.
HIGHEST_SEED = 2**32 - 1 - MOST_TAKES


def ask(wish: Wish, *, models: Sequence[ModelCard], max_seconds: int, seed: int) -> Request:
    """Return the request that a wish comes to; raise Refusal outside the bounds that hold for all.

    It says all that is outside them.

    `models` are the cards of those that there are, the usual one first; `seed` is for a wish that
    names none.
    """
    prompt, wrong = clean(wish.prompt), Problems()
    sung = None if wish.lyrics is None else clean_lines(wish.lyrics)
    singing = [each for each in models if each.sings]
    usual = singing[0] if singing and sung is not None else models[0]
    named = wish.model.strip().casefold() if wish.model else usual.name
    known = next((each for each in models if each.name == named), usual)
    if known.name != named:
        loaded = some([each.name for each in models], LISTED)
        wrong.note(f"That model is not available here. Available: {loaded}.")
    longest = min(max_seconds, known.longest)
    by_default = min(USUAL_SECONDS if sung is None else USUAL_SONG_SECONDS, longest)
    seconds = by_default if wish.seconds is None else wish.seconds
    seed = seed if wish.seed is None else wish.seed
    if not 1 <= len(prompt) <= LONGEST_PROMPT:
        style = "prompt" if sung is None else "style"  # as the commands call it
        wrong.note(f"The {style} must have 1 to {LONGEST_PROMPT} characters.")
    if not 1 <= seconds <= longest:
        by_operator = longest == max_seconds
        whose = "the operator's limit" if by_operator else f"what {known.label} can play"
        because = f", {whose}" if seconds > longest else ""
        wrong.note(f"A piece must be 1 to {longest} s long here{because}.")
    if not 1 <= wish.takes <= MOST_TAKES:
        wrong.note(f"A request must have 1 to {MOST_TAKES} takes.")
    if not 0 <= seed <= HIGHEST_SEED:
        wrong.note(f"The seed must be a whole number from 0 to {HIGHEST_SEED}.")
    if known.name == named:
        for problem in (*_options(known, wish.options), *_abilities(known, wish, models)):
            wrong.note(problem)
    if sung is not None and not 1 <= len(sung) <= LONGEST_LYRICS:
        wrong.note(f"The lyrics must have 1 to {LONGEST_LYRICS:,} characters.")
    language = None
    with wrong.noted():
        language = lyrics.language(wish.language or "") if sung else None
    wrong.tell()
    return Request(
        prompt=prompt,
        seconds=seconds,
        takes=wish.takes,
        model=known.name,
        seed=seed,
        parent_take=wish.parent.take if wish.parent else None,
        before=wish.parent.seconds if wish.parent else 0.0,
        edited_from=wish.edited_from,
        options=known.complete(wish.options),
        lyrics=sung,
        language=language,
    )


def _abilities(model: ModelCard, wish: Wish, models: Sequence[ModelCard]) -> Iterator[str]:
    """Say what is asked of a model that it cannot do, and which of those that there are can."""
    asked = {
        Ability.TAKES: (wish.takes > 1, "makes no second take"),
        Ability.EXTEND: (wish.parent is not None, "extends no piece"),
        Ability.LYRICS: (wish.lyrics is not None, "sings no words"),
    }
    for ability, (wanted, cannot) in asked.items():
        if wanted and ability not in model.abilities:
            able = [each.name for each in models if ability in each.abilities]
            others = f"Choose a model that does: {some(able, LISTED)}."
            none = "There is no other model here that does."
            yield f"{model.label} {cannot}. {others if able else none}"


def _options(model: ModelCard, asked: Mapping[str, float]) -> Iterator[str]:
    """Say what is wrong with the options that are asked of a model."""
    for name, value in asked.items():
        known = model.options.get(name)
        if known is None:
            has = ", ".join(f"`{each}`" for each in model.options)
            yield f"{model.label} has no `{name}`: it has {has}."
        elif not known.least <= value <= known.most:
            yield f"`{name}` must be {_between(known)} with {model.label}."
        elif known.whole and value != int(value):
            yield f"`{name}` must be a whole number."


def _between(known: OptionBounds) -> str:
    if known.least == known.most:
        return f"{known.least:g}"
    return f"between {known.least:g} and {known.most:g}"
