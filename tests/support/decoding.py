"""Takes by the slot decoder, alone or beside others, and audiocraft's own."""

from typing import Any

import torch

from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.precisions import Kernels
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot import Slot
from tests.support.random_lm import understood, wish

POSITIONS = 760
WISHES = ("mozart fantasia", "a", "slow piano with rain on the window and a distant choir")

GREEDY = Sampling(top_k=1)
SAMPLINGS = (
    GREEDY,
    Sampling(),
    Sampling(guidance=1.0, temperature=0.7, top_k=10),
    Sampling(guidance=4.5, temperature=1.3, top_k=0),
)


def decoder(
    model: Any,
    slots: int = 4,
    precision: Precision = Precision.FLOAT64,
    kernels: Kernels | None = None,
) -> Decoder:
    return Decoder(model, slots=slots, positions=POSITIONS, precision=precision, kernels=kernels)


def begin(
    decoder: Decoder,
    model: Any,
    text: str = WISHES[0],
    seed: int = 7,
    frames: int = 30,
    prompt: torch.Tensor | None = None,
    sampling: Sampling = SAMPLINGS[1],
) -> Slot:
    if prompt is None:
        prompt = torch.zeros(decoder.codebooks, 0, dtype=torch.long)
    generator = torch.Generator().manual_seed(seed)
    words = decoder.read(understood(model, text))
    return decoder.admit(words, prompt, frames, sampling, generator)


def finish(decoder: Decoder, slot: Slot) -> torch.Tensor:
    while not slot.done:
        decoder.step()
    codes = decoder.codes(slot)
    decoder.release(slot)
    return codes


def alone(model: Any, precision: Precision = Precision.FLOAT64, **take: Any) -> torch.Tensor:
    single = decoder(model, 1, precision)
    return finish(single, begin(single, model, **take))


def own(
    model: Any,
    sampling: Sampling,
    frames: int,
    prompt: torch.Tensor,
    text: str = WISHES[0],
    seed: int = 7,
) -> torch.Tensor:
    torch.manual_seed(seed)
    codes: torch.Tensor = model.generate(
        prompt[None],
        [wish(text)],
        max_gen_len=frames,
        use_sampling=True,
        temp=sampling.temperature,
        top_k=sampling.top_k,
        cfg_coef=sampling.guidance,
    )
    return codes[0]
