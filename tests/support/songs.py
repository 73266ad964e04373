"""ACE-Step in this process: requests to its rooms, and orders to a loaded model."""

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch

from bot.engine.acestep.conditions import SongWords, conditions
from bot.engine.acestep.denoising import Denoising, SamplerSettings
from bot.engine.acestep.loading import settled
from bot.engine.acestep.model import AceStep
from bot.engine.contract import Idle
from bot.engine.messages import Render
from bot.errors import JobError
from tests.support.tiny_acestep import CHANNELS, Recipe, pipeline

if TYPE_CHECKING:
    from diffusers import AceStepPipeline

STYLE, LYRICS = "slow piano with rain", "[verse]\nla la la"
FRAMES = 250
"""Of ten seconds."""


@lru_cache
def tiny(*, turbo: bool = True) -> "AceStepPipeline":
    """Return a tiny model in float32, ready to play, that nobody changes."""
    return settled(pipeline(Recipe(turbo=turbo)))


def none() -> torch.Tensor:
    """Return no latents."""
    return torch.empty(0, CHANNELS)


def begun(
    pipe: "AceStepPipeline",
    *seeds: int,
    steps: int = 3,
    guidance: float = 4.0,
    kept: torch.Tensor | None = None,
) -> Denoising:
    """Begin takes of ten seconds; their first frames are those kept."""
    kept = none() if kept is None else kept
    heard = conditions(pipe, SongWords.of(STYLE, LYRICS, "en", 10.0), FRAMES, kept)
    return Denoising(pipe, heard, SamplerSettings(steps=steps, guidance=guidance), seeds, kept)


def ended(denoising: Denoising) -> torch.Tensor:
    """Return the latents once all steps are made."""
    while not denoising.ended:
        denoising.step()
    return denoising.latents


def theirs(
    pipe: "AceStepPipeline", *seeds: int, steps: int = 3, guidance: float = 4.0, **more: Any
) -> torch.Tensor:
    """Return the latents that the pipeline itself makes of the same."""
    latents: torch.Tensor = pipe(
        prompt=[STYLE] * len(seeds),
        lyrics=[LYRICS] * len(seeds),
        vocal_language="en",
        audio_duration=10.0,
        num_inference_steps=steps,
        guidance_scale=1.0 if pipe.is_turbo else guidance,
        shift=3.0 if pipe.is_turbo else 1.0,
        generator=[torch.Generator().manual_seed(seed) for seed in seeds],
        output_type="latent",
        **more,
    ).audios
    return latents


def rendered(model: AceStep, *orders: Render) -> list[list[Any]]:
    """Render orders side by side; return what was told of each, with the error that ended it.

    That it waits for its files is nothing that is told.
    """
    left = {order.id: model.render(order, lambda: False) for order in orders}
    told: dict[int, list[Any]] = {order.id: [] for order in orders}
    while left:
        model.step()
        for number, going in list(left.items()):
            try:
                said = next(going)
                if said and not isinstance(said, Idle):
                    told[number].append(said)
            except StopIteration:
                del left[number]
            except JobError as error:
                told[number].append(error)
                del left[number]
    return list(told.values())
