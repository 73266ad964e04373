"""What a request must be by itself, whoever asks: the bounds that hold for all."""

from dataclasses import asdict

from bot.engine.cards import card
from bot.errors import Refusal
from bot.rules.markup import clean
from bot.values import Request, SamplingOptions

LONGEST_PROMPT = 500
MOST_TAKES = 5

DEFAULT_SAMPLING = SamplingOptions()
HIGHEST_SEED = 2**32 - 1 - MOST_TAKES


def ask(
    prompt: str,
    *,
    seconds: int,
    takes: int,
    model: str,
    seed: int,
    max_seconds: int,
    style: SamplingOptions = DEFAULT_SAMPLING,
) -> Request:
    """Return a request within the hard bounds that hold for all; raise Refusal outside them."""
    words = clean(prompt)
    if not 1 <= len(words) <= LONGEST_PROMPT:
        raise Refusal(f"The prompt must have 1 to {LONGEST_PROMPT} characters.")
    longest = min(max_seconds, card(model).longest)
    if not 1 <= seconds <= longest:
        by_operator = longest == max_seconds
        whose = "the operator's limit" if by_operator else f"what {card(model).label} can play"
        raise Refusal(f"A piece must be 1 to {longest} s long here, {whose}.")
    if not 1 <= takes <= MOST_TAKES:
        raise Refusal(f"A request must have 1 to {MOST_TAKES} takes.")
    if not 0 <= seed <= HIGHEST_SEED:
        raise Refusal(f"The seed must be a whole number from 0 to {HIGHEST_SEED}.")
    asked = {name: value for name, value in asdict(style).items() if value is not None}
    for name, (least, most) in card(model).options.items():
        if not least <= asked.get(name, least) <= most:
            raise Refusal(f"`{name}` must be between {least:g} and {most:g}.")
    return Request(prompt=words, seconds=seconds, takes=takes, model=model, seed=seed, **asked)
