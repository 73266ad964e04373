"""The bytes that an ACE-Step needs: its weights, what a take keeps, and what a step takes."""

from bot.engine.acestep import checkpoint
from bot.engine.hardware.precisions import WEIGHT_BYTES, Precision
from bot.engine.sharing import Need

PAYING_SLOTS = {"cpu": 1, "cuda": 4}
"""Takes side by side at most. Nothing is won by more: a step of one uses the device in full, and
what goes on beside it is the writing of another's files."""

LONGEST_FRAMES, TEXT_TOKENS = 120 * 25, 2560
"""Frames of the longest piece, and tokens of the longest text with lyrics, about."""

SOUND_BYTES = 120 * 48_000 * 2 * 4
"""Bytes of the longest piece's samples, which are in the machine's memory."""

LATENT_CHANNELS, TEXT_WIDTH = 64, 2048
"""Of a frame of latents, and of a word, of the 2B model and the larger one."""


def need(model: str, precision: Precision, device: str) -> Need:
    """Return about what a model that is on disk will need, once it is loaded."""
    size = WEIGHT_BYTES[precision]
    kept = size * (4 * LATENT_CHANNELS * LONGEST_FRAMES + TEXT_WIDTH * TEXT_TOKENS)
    return Need(
        weights=weights(model, precision),
        slot=kept + (SOUND_BYTES if device == "cpu" else 0),
        fewest=1,
        most=PAYING_SLOTS[device],
    )


def weights(model: str, precision: Precision) -> float:
    """Return the bytes of a model's weights; half of the codec's are of its encoder, unused."""
    parts = checkpoint.numbers(model)
    decoder = parts.pop("vae", 0) / 2
    others = sum(parts.values()) * WEIGHT_BYTES[precision]
    return others + decoder * WEIGHT_BYTES[Precision.FLOAT32]


def step(frames: int, middle: int, heads: int, precision: Precision) -> float:
    """Return about the bytes that a step of one take needs beyond what it keeps.

    That is the widest layer of its tokens, two frames each, and the scores of a masked layer, as
    no kernel of torch's makes do without them. An H200 took 0.41 GB for 120 s of the 2B model.
    """
    tokens = -(-frames // 2)
    return 5.0 * middle * tokens * WEIGHT_BYTES[precision] + 10.0 * heads * tokens**2
