"""From noise to latents: the pipeline's loop over one request, a step at a time.

Each batch has a scheduler of its own, as the pipeline's remembers where it is. Source:
`AceStepPipeline.__call__` of diffusers; latents are equal to its own, bit for bit on a CPU.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import torch

from bot.engine.acestep.conditions import Conditions

if TYPE_CHECKING:
    from diffusers import AceStepPipeline, FlowMatchEulerDiscreteScheduler

TURBO_SHIFT, BASE_SHIFT = 3.0, 1.0
"""How much longer the schedule stays near noise: as a model was trained."""

MOMENTUM, THRESHOLD = -0.75, 2.5
"""Of the adaptive projected guidance, as the pipeline sets them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SamplerSettings:
    """How takes are denoised: in so many `steps`, with this `guidance`; 1 is none."""

    steps: int
    guidance: float

    @classmethod
    def asked(cls, pipe: "AceStepPipeline", options: Mapping[str, float]) -> Self:
        """Return what the options of a request come to."""
        chosen = usual(pipe) | dict(options)
        return cls(steps=int(chosen["steps"]), guidance=chosen["guidance"])


def usual(pipe: "AceStepPipeline") -> dict[str, float]:
    """Return the options that a model has, with their default values."""
    return {"steps": 8, "guidance": 1.0} if pipe.is_turbo else {"steps": 30, "guidance": 7.0}


class Denoising:
    """Takes of one request, denoised side by side."""

    def __init__(
        self,
        pipe: "AceStepPipeline",
        conditions: Conditions,
        sampling: SamplerSettings,
        seeds: Sequence[int],
        kept: torch.Tensor,
    ) -> None:
        """Begin with the noise of each seed; the first frames end as `kept` [frames, channels]."""
        from diffusers.guiders.adaptive_projected_guidance import MomentumBuffer

        takes, frames = len(seeds), conditions.context.shape[1]
        self._transformer, self._kept = pipe.transformer, kept
        self._noise = noise(pipe, frames, seeds, kept)
        self.latents = self._noise
        """Of all takes, [takes, frames, channels]."""
        self._scheduler, self._times = schedule(pipe, sampling.steps, kept.device)
        self._done, self._guidance = 0, sampling.guidance
        rows = [conditions.words.expand(takes, -1, -1)]
        if guided(pipe, sampling):
            rows.append(conditions.nothing.expand(takes, -1, -1))
        self._momentum = MomentumBuffer(momentum=MOMENTUM)
        self._heard = torch.cat(rows)
        self._context = conditions.context.expand(takes * len(rows), -1, -1)

    @property
    def ended(self) -> bool:
        """Whether all steps are made."""
        return self._done == len(self._times)

    @torch.inference_mode()
    def step(self) -> None:
        """Make the next step."""
        now = self._times[self._done]
        velocity = self.velocity(now)
        moment = self._scheduler.timesteps[self._done]
        (self.latents,) = self._scheduler.step(velocity, moment, self.latents, return_dict=False)
        self._done += 1
        old = len(self._kept)
        self.latents[:, :old] = self._put_back(self._noise[:, :old])

    def _put_back(self, noise: torch.Tensor) -> torch.Tensor:
        """Return the kept frames with as much of their noise as all others have now."""
        left = 0.0 if self.ended else self._times[self._done]
        return torch.lerp(self._kept.expand_as(noise), noise, left) if left else self._kept

    @torch.inference_mode()
    def velocity(self, now: float) -> torch.Tensor:
        """Return where the latents move to at a time."""
        latents = self.latents.repeat(len(self._heard) // len(self.latents), 1, 1)
        time = torch.full((len(latents),), now, device=latents.device, dtype=latents.dtype)
        (found,) = self._transformer(
            hidden_states=latents,
            timestep=time,
            timestep_r=time,
            encoder_hidden_states=self._heard,
            context_latents=self._context,
            return_dict=False,
        )
        return found if len(found) == len(self.latents) else self._guided(*found.chunk(2))

    def _guided(self, heard: torch.Tensor, unheard: torch.Tensor) -> torch.Tensor:
        from diffusers.guiders.adaptive_projected_guidance import normalized_guidance

        guided: torch.Tensor = normalized_guidance(
            heard,
            unheard,
            self._guidance - 1.0,
            self._momentum,
            eta=0.0,
            norm_threshold=THRESHOLD,
            use_original_formulation=True,
            norm_dim=(1,),
        )
        return guided


def guided(pipe: "AceStepPipeline", sampling: SamplerSettings) -> bool:
    """Whether steps are made with guidance; a turbo model has it in its weights."""
    return sampling.guidance > 1.0 and not pipe.is_turbo


def noise(
    pipe: "AceStepPipeline", frames: int, seeds: Sequence[int], like: torch.Tensor
) -> torch.Tensor:
    """Return the noise of each seed, [takes, frames, channels]; the same on all devices."""
    channels = pipe.transformer.config.audio_acoustic_hidden_dim
    drawn = [
        torch.randn(
            (1, frames, channels), generator=torch.Generator().manual_seed(seed), dtype=like.dtype
        )
        for seed in seeds
    ]
    return torch.cat(drawn).to(like.device)


def schedule(
    pipe: "AceStepPipeline", steps: int, device: torch.device
) -> tuple["FlowMatchEulerDiscreteScheduler", list[float]]:
    """Return a scheduler that is set, and its times, from 1 towards 0."""
    scheduler = type(pipe.scheduler).from_config(pipe.scheduler.config)
    shift = TURBO_SHIFT if pipe.is_turbo else BASE_SHIFT
    times = pipe._get_timestep_schedule(steps, shift, torch.device("cpu"), torch.float32)
    scheduler.set_timesteps(sigmas=times.tolist(), device=device)
    return scheduler, scheduler.timesteps.tolist()
