"""What ten members who save music, one file at a time, cost what renders meanwhile."""

import asyncio
import os
import tempfile
import time
import wave
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from benchmarks.report import Row
from bot.engine.environment import engine_environment
from bot.engine.files.encoder import encoding
from bot.engine.files.formats import Format
from bot.engine.files.tags import Tags
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.attention import TextPast
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling
from tests.support.random_lm import language_model, understood

PROMPT = "a slow waltz for piano and strings"
PRESSES = 10
SECONDS = 120
RATE = 32_000
STEPS = 1503
"""Of a piece of 30 s."""

TAGS = Tags(title=PROMPT, model="small", seed=1, piece=1)


def rows(steps: int = STEPS) -> Iterator[Row]:
    """Render the same twice, the second time beside those who save."""
    torch.set_num_threads(len(os.sched_getaffinity(0)))
    model = language_model(dim=1024, layers=24, card=2048, dtype=torch.float32)
    decoder = Decoder(model, slots=1, positions=steps + 1, precision=Precision.INT8)
    words = decoder.read(understood(model, PROMPT))
    _render(decoder, words, 20)  # what is compiled and mapped once
    alone = _render(decoder, words, steps)
    with ThreadPoolExecutor(1) as beside:
        saving = beside.submit(asyncio.run, _saved())
        busy = _render(decoder, words, steps)
        took = saving.result()
    yield Row(
        name=f"a 30-second render in int8 while {PRESSES} MP3s of {SECONDS} s are saved, "
        "against alone",
        ours=busy,
        theirs=alone,
        unit="s",
        at_most=1.3,
        note=f"the {PRESSES} were there after {took:.0f} s",
    )


def _render(decoder: Decoder, words: TextPast, steps: int) -> float:
    """Return the seconds that so many steps take."""
    nothing = torch.zeros(4, 0, dtype=torch.long)
    chance = torch.Generator().manual_seed(7)
    slot = decoder.admit(words, nothing, steps - 3, Sampling(), chance)
    begun = time.perf_counter()
    while not slot.done:
        decoder.step()
    decoder.release(slot)
    return time.perf_counter() - begun


async def _saved() -> float:
    """Return the seconds until all have what they asked for."""
    with tempfile.TemporaryDirectory() as folder:
        music = Path(folder) / "music.wav"
        with wave.open(str(music), "wb") as out:
            out.setnchannels(1)
            out.setsampwidth(2)
            out.setframerate(RATE)
            out.writeframes(os.urandom(2 * RATE * SECONDS))
        begun = time.perf_counter()
        async with encoding(engine_environment()) as encoder:
            names = [Path(folder) / f"{number}.mp3" for number in range(PRESSES)]
            await asyncio.gather(*(encoder.encode(music, name, Format.MP3, TAGS) for name in names))
        return time.perf_counter() - begun


if __name__ == "__main__":
    from benchmarks.report import show

    print(show(list(rows()), {}))
