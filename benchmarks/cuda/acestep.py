"""ACE-Step 1.5, random weights in the 2B model's size: our loop, its steps, tiles and memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from copy import deepcopy
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel

from benchmarks.cuda.stage import TINY, Stage
from benchmarks.report import Row
from bot.engine.acestep import checkpoint
from bot.engine.acestep.conditions import Conditions, SongWords, conditions
from bot.engine.acestep.denoising import Denoising, SamplerSettings
from bot.engine.acestep.layout import in_rows
from bot.engine.acestep.loading import settled
from bot.engine.acestep.tiles import Tiles
from bot.engine.files.wav import Samples
from tests.support import tiny_acestep

if TYPE_CHECKING:
    from diffusers import AceStepPipeline

STYLE = "a slow waltz for piano and strings"
LYRICS = "[verse]\nThe rain is on the window\n[chorus]\nAnd we go on and on"
STEPS = 8
TAKES = 5
EVERY_BACKEND = [
    SDPBackend.CUDNN_ATTENTION,
    SDPBackend.FLASH_ATTENTION,
    SDPBackend.EFFICIENT_ATTENTION,
    SDPBackend.MATH,
]


class Song:
    """A model, and a request to it of some length."""

    def __init__(self, pipe: "AceStepPipeline", seconds: int) -> None:
        self.pipe, self.seconds = pipe, seconds
        self.frames = round(seconds * pipe.latents_per_second)
        like: dict[str, Any] = {"dtype": pipe.transformer.dtype, "device": pipe.device}
        self._none = torch.empty(0, tiny_acestep.CHANNELS, **like)

    def heard(self) -> Conditions:
        """Encode the words."""
        words = SongWords.of(STYLE, LYRICS, "en", self.seconds)
        return conditions(self.pipe, words, self.frames, self._none)

    def begun(self, *seeds: int) -> Denoising:
        """Begin takes."""
        return Denoising(
            self.pipe, self.heard(), SamplerSettings(steps=STEPS, guidance=1.0), seeds, self._none
        )

    def latents(self, *seeds: int) -> torch.Tensor:
        """Return those of takes, [takes, frames, channels]."""
        denoising = self.begun(*seeds)
        while not denoising.ended:
            denoising.step()
        return denoising.latents

    def sound(self, *seeds: int) -> None:
        """Render takes, from the words to the samples."""
        for latents in self.latents(*seeds):
            heard(Tiles(self.pipe.vae, latents))

    def theirs(self, *seeds: int) -> torch.Tensor:
        """Return the latents that the pipeline itself makes of the same request."""
        latents: torch.Tensor = self.pipe(
            prompt=[STYLE] * len(seeds),
            lyrics=[LYRICS] * len(seeds),
            audio_duration=float(self.seconds),
            num_inference_steps=STEPS,
            guidance_scale=1.0,
            generator=[torch.Generator().manual_seed(seed) for seed in seeds],
            output_type="latent",
        ).audios
        return latents


def rows(stage: Stage) -> Iterator[Row]:
    """Draw a model, the size of the released one, and measure everything."""
    tiny = stage.scale is TINY
    half = torch.bfloat16 if stage.gpu else torch.float32
    recipe = tiny_acestep.Recipe(
        size=tiny_acestep.TINY if tiny else tiny_acestep.RELEASED,
        device=stage.device.type,
        dtype=half,
    )
    pipe = tiny_acestep.pipeline(recipe)
    pipe.vae.float()
    pipe = settled(pipe)
    short, usual, long = (Song(pipe, seconds) for seconds in ((1, 2, 4) if tiny else (10, 30, 120)))
    yield from _pieces(stage, usual, long)
    yield from _against_the_pipeline(stage, usual)
    yield from _attention(stage, (usual, long))
    yield _rows_of_tokens(stage, usual)
    yield from _takes(stage, usual)
    yield from _decoding(stage, usual)
    yield from _memory(stage, (short, usual, long))
    yield from _faithful(stage, usual)
    yield from _graphs(stage, (short, usual, long))  # last: a capture that fails may cost memory


def _pieces(stage: Stage, *songs: Song) -> Iterator[Row]:
    for song in songs:
        yield Row(
            name=f"ACE-Step 2B: one take of {song.seconds} s in {STEPS} steps, from the words to "
            "the samples, against the music's length",
            ours=stage.card.timed(partial(song.sound, 1), 3),
            theirs=song.seconds,
            unit="s",
            note=f"encoding the words {stage.card.timed(song.heard, 3) * 1e3:.1f} ms; bfloat16, "
            "the codec float32",
        )


def _against_the_pipeline(stage: Stage, song: Song) -> Iterator[Row]:
    """Compare the loops in turn, from the words to the latents."""
    ours, theirs = [], []
    for _ in range(5):
        ours.append(stage.card.timed(partial(song.latents, 1), 1))
        theirs.append(stage.card.timed(partial(song.theirs, 1), 1))
    yield Row(
        name=f"ACE-Step 2B: latents of {song.seconds} s by our loop, against the pipeline's own",
        ours=float(np.median(ours)),
        theirs=float(np.median(theirs)),
        unit="s",
        at_most=stage.bar(1.05),
    )
    found, exact = song.latents(1).float(), song.theirs(1).float()
    yield Row(
        name="ACE-Step 2B: those latents, the largest difference",
        ours=float((found - exact).abs().max()),
        theirs=float(exact.std()),
        unit="standard deviations",
        at_most=0.05,
        note="equal" if torch.equal(found, exact) else "",
    )


def _graphs(stage: Stage, songs: Sequence[Song]) -> Iterator[Row]:
    for song in songs:
        step = _step(song)
        yield Row(
            name=f"ACE-Step 2B: a step of {song.seconds} s, against the same as a CUDA graph",
            ours=stage.card.timed(step) * 1e3,
            theirs=stage.card.timed(stage.card.replayed(step)) * 1e3,
            unit="ms",
            note="a graph leaves the launches out",
        )


def _attention(stage: Stage, songs: Sequence[Song]) -> Iterator[Row]:
    """Compare kernels of attention: the masked layers share heads, which not all can."""
    for song in songs:
        step = _step(song)
        without = stage.card.timed(step)
        with sdpa_kernel(EVERY_BACKEND, set_priority=True) if stage.gpu else nullcontext():
            allowed = stage.card.timed(step)
        yield Row(
            name=f"ACE-Step 2B: a step of {song.seconds} s with cuDNN's attention, against without",
            ours=allowed * 1e3,
            theirs=without * 1e3,
            unit="ms",
        )


def _rows_of_tokens(stage: Stage, song: Song) -> Row:
    step, transformer = _step(song), song.pipe.transformer
    columns = stage.card.timed(step)
    in_rows(transformer)
    rows = stage.card.timed(step)
    transformer.proj_in_conv._forward_hooks.clear()
    return Row(
        name=f"ACE-Step 2B: a step of {song.seconds} s with its tokens in rows, against in columns",
        ours=rows * 1e3,
        theirs=columns * 1e3,
        unit="ms",
    )


def _step(song: Song, *seeds: int) -> Callable[[], object]:
    """Return what runs the transformer once, as a step does."""
    return partial(song.begun(*(seeds or (1,))).velocity, 0.5)


def _takes(stage: Stage, song: Song) -> Iterator[Row]:
    seeds = range(TAKES)
    yield Row(
        name=f"ACE-Step 2B: a step of {TAKES} takes of {song.seconds} s in one batch, against one "
        "by one",
        ours=stage.card.timed(_step(song, *seeds)) * 1e3,
        theirs=stage.card.timed(_step(song)) * TAKES * 1e3,
        unit="ms",
    )
    alone, beside = song.latents(1).float(), song.latents(0, 1, 2)[1:2].float()
    yield Row(
        name="ACE-Step 2B: latents of a take in a batch of three, against alone: the largest "
        "difference",
        ours=float((alone - beside).abs().max()),
        theirs=float(alone.std()),
        unit="standard deviations",
    )


def _decoding(stage: Stage, song: Song) -> Iterator[Row]:
    latents, vae = song.latents(1)[0], song.pipe.vae

    @torch.inference_mode()
    def whole() -> torch.Tensor:
        sound: torch.Tensor = vae.decode(latents.T[None].float()).sample
        return sound

    exact = whole()[0].cpu().numpy()
    yield Row(
        name=f"ACE-Step 2B: decoding {song.seconds} s in tiles, against in one go",
        ours=stage.card.timed(lambda: heard(Tiles(vae, latents)), 3) * 1e3,
        theirs=stage.card.timed(whole, 3) * 1e3,
        unit="ms",
        note=f"the largest difference is {_error(heard(Tiles(vae, latents)), exact)[0]:.1e} of "
        "the peak",
    )
    for dtype in (torch.bfloat16, torch.float16):
        other = torch.nn.Module.to(deepcopy(vae), dtype)
        worst, noise = _error(heard(Tiles(other, latents)), exact)
        yield Row(
            name=f"ACE-Step 2B: decoding {song.seconds} s in {str(dtype)[6:]}, against in float32",
            ours=stage.card.timed(partial(_heard, other, latents), 3) * 1e3,
            theirs=stage.card.timed(partial(_heard, vae, latents), 3) * 1e3,
            unit="ms",
            note=f"differs by {worst:.1e} of the peak, {noise:.0f} dB below the music",
        )


def _memory(stage: Stage, songs: Sequence[Song]) -> Iterator[Row]:
    """Tell the peak of memory beyond the weights."""
    if not stage.gpu:
        return
    gpu, pipe = stage.gpu, songs[0].pipe
    weights = sum(
        weight.nbytes for part in checkpoint.PARTS for weight in getattr(pipe, part).parameters()
    )
    first = 0
    for song in songs:
        with gpu.peak() as whole:
            song.sound(1)
        with gpu.peak() as together:
            song.latents(*range(TAKES))
        with gpu.peak() as theirs:
            song.theirs(1)
        latents = song.latents(1)[0]
        with gpu.peak() as decoding:
            heard(Tiles(pipe.vae, latents))
        first = first or whole.bytes
        yield Row(
            name=f"ACE-Step 2B: peak memory of {song.seconds} s beyond the weights, against "
            f"{songs[0].seconds} s",
            ours=whole.bytes / 1e6,
            theirs=first / 1e6,
            unit="MB",
            note=f"weights {weights / 1e9:.2f} GB; decoding alone {decoding.bytes / 1e6:,.0f} MB, "
            f"{TAKES} takes' steps {together.bytes / 1e6:,.0f} MB, the pipeline's steps "
            f"{theirs.bytes / 1e6:,.0f} MB",
        )


def _faithful(stage: Stage, song: Song) -> Iterator[Row]:
    """Tell how far a step in half precision strays from float32, on the same weights."""
    denoising = song.begun(1)
    found = denoising.velocity(0.5).float()
    exact = deepcopy(song.pipe.transformer).float()
    with torch.inference_mode():
        time = torch.full((1,), 0.5, device=stage.device)
        (truth,) = exact(
            hidden_states=denoising.latents.float(),
            timestep=time,
            timestep_r=time,
            encoder_hidden_states=song.heard().words.float(),
            context_latents=song.heard().context.float(),
            return_dict=False,
        )
    yield Row(
        name="ACE-Step 2B: a step in bfloat16 against float32: the error's deviation",
        ours=float((found - truth).std()),
        theirs=float(truth.std()),
        unit="of the velocity's",
        at_most=0.05,
    )


def _heard(vae: Any, latents: torch.Tensor) -> Samples:  # noqa: ANN401
    return heard(Tiles(vae, latents))


def heard(tiles: Tiles) -> Samples:
    """Return the sound of all tiles."""
    while tiles.left:
        tiles.step()
    return tiles.samples()


def _error(found: Samples, exact: Samples) -> tuple[float, float]:
    """Return the largest error in peaks, and how far below the sound all of it is, in decibels."""
    wrong = found - exact
    worst = float(np.abs(wrong).max() / np.abs(exact).max())
    return worst, float(20 * np.log10(exact.std() / max(wrong.std(), 1e-12)))
