"""Writes a tiny random ACE-Step 1.5 in the published format.

`python -m tests.support.tiny_acestep DIR` writes it there, as a folder of diffusers' layout. What a
test may rely on is as released: 48 kHz stereo, 25 frames a second of 64 channels, the shares by
which its codec's decoder widens them, two patches of frames a token, every other layer with a
sliding window, sections of 15,000 frames of silence. Everything else is as small as it goes, the
tokens are bytes, and the weights are random but always the same.
"""

import sys
import warnings
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from diffusers import AceStepPipeline
    from transformers import PreTrainedTokenizerFast

SEED = 20260128
CHANNELS = 64
"""Of a frame of latents."""

RATIOS = (2, 4, 4, 6, 10)
"""By which the codec's encoder narrows its samples: 1,920 of them make a frame."""

END = "<|endoftext|>"

PHRASES = (
    "Fill the audio semantic mask based on the given conditions:",
    "Repaint the mask area based on the given conditions:",
    "# Instruction\n",
    "# Caption\n",
    "# Metas\n",
    "# Languages\n",
    "# Lyric\n",
    "- bpm: N/A\n",
    "- timesignature: N/A\n",
    "- keyscale: N/A\n",
)
"""What the pipeline says in every request, a token each: as many bytes are left for the words."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Size:
    """How large the parts are; the width of a head times their number is that of a layer."""

    hidden: int
    middle: int
    layers: int
    lyric_layers: int
    timbre_layers: int
    heads: int
    shared_heads: int
    head: int
    window: int
    text: dict[str, Any]
    codec: int
    multiples: tuple[int, ...] = (1, 2, 2, 2, 2)
    encoder: int = 8

    @property
    def attention(self) -> dict[str, int]:
        """What the transformer and its condition encoder have in common."""
        return {
            "hidden_size": self.hidden,
            "intermediate_size": self.middle,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.shared_heads,
            "head_dim": self.head,
            "sliding_window": self.window,
        }


TINY = Size(
    hidden=32,
    middle=64,
    layers=2,
    lyric_layers=2,
    timbre_layers=2,
    heads=4,
    shared_heads=2,
    head=8,
    window=16,
    text={"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 8}
    | {"num_attention_heads": 4, "num_key_value_heads": 2, "vocab_size": 272},
    codec=4,
)
RELEASED = Size(
    hidden=2048,
    middle=6144,
    layers=24,
    lyric_layers=8,
    timbre_layers=4,
    heads=16,
    shared_heads=8,
    head=128,
    window=128,
    text={"hidden_size": 1024, "intermediate_size": 3072, "num_hidden_layers": 28, "head_dim": 128}
    | {"num_attention_heads": 16, "num_key_value_heads": 8, "vocab_size": 151669},
    codec=128,
    multiples=(1, 2, 4, 8, 16),
    encoder=128,
)
"""As the 2B model is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    """Which model to make, and where: one whose guidance is distilled into it, or not."""

    size: Size = field(default=TINY)
    turbo: bool = True
    device: str = "cpu"
    dtype: "torch.dtype | None" = None


def write(folder: Path, *, turbo: bool = True) -> None:
    """Write the model to `folder`; raise OSError where it cannot be."""
    import torch

    pipeline(Recipe(turbo=turbo, dtype=torch.bfloat16)).save_pretrained(folder)


def pipeline(recipe: Recipe) -> "AceStepPipeline":
    """Return a model with random weights, in float32 if no dtype is given.

    A part is drawn on the device and converted before the next, as all may be as large as it.
    """
    import torch
    from diffusers import AceStepPipeline, FlowMatchEulerDiscreteScheduler

    parts: dict[str, Any] = {}
    with torch.device(recipe.device), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's old weight norm
        for name, make in _parts(recipe).items():
            torch.manual_seed(SEED)
            part = make().eval().requires_grad_(False)
            parts[name] = torch.nn.Module.to(part, recipe.dtype or torch.float32)
    parts["condition_encoder"].silence_latent.normal_()
    return AceStepPipeline(
        tokenizer=tokenizer(),
        scheduler=FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        **parts,
    )


def tokenizer() -> "PreTrainedTokenizerFast":
    """Return one of bytes, the pipeline's own phrases and the end of a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    symbols = {
        byte: place for place, byte in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))
    }
    bytewise = Tokenizer(models.BPE(vocab=symbols, merges=[]))
    bytewise.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bytewise.decoder = decoders.ByteLevel()
    bytewise.add_tokens(list(PHRASES))
    return PreTrainedTokenizerFast(tokenizer_object=bytewise, pad_token=END, eos_token=END)


def _parts(recipe: Recipe) -> dict[str, Any]:
    from diffusers import AutoencoderOobleck
    from diffusers.models.transformers.ace_step_transformer import AceStepTransformer1DModel
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from transformers import Qwen3Config, Qwen3Model

    size = recipe.size
    return {
        "transformer": lambda: AceStepTransformer1DModel(
            **size.attention,
            num_hidden_layers=size.layers,
            in_channels=3 * CHANNELS,
            audio_acoustic_hidden_dim=CHANNELS,
            is_turbo=recipe.turbo,
            model_version="turbo" if recipe.turbo else "base",
        ),
        "condition_encoder": lambda: AceStepConditionEncoder(
            **size.attention,
            text_hidden_dim=size.text["hidden_size"],
            timbre_hidden_dim=CHANNELS,
            num_lyric_encoder_hidden_layers=size.lyric_layers,
            num_timbre_encoder_hidden_layers=size.timbre_layers,
        ),
        "text_encoder": lambda: Qwen3Model(
            Qwen3Config(**size.text, max_position_embeddings=4096, use_cache=False)
        ),
        "vae": lambda: AutoencoderOobleck(
            encoder_hidden_size=size.encoder,
            downsampling_ratios=list(RATIOS),
            decoder_channels=size.codec,
            decoder_input_channels=CHANNELS,
            audio_channels=2,
            channel_multiples=list(size.multiples),
            sampling_rate=48000,
        ),
    }


if __name__ == "__main__":
    write(Path(sys.argv[1]))
