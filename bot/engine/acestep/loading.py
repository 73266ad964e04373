"""Loading an ACE-Step's parts, each by its own class: safetensors alone, offline, no code."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bot.engine.acestep import checkpoint, layout
from bot.engine.musicgen.codec import settle
from bot.engine.musicgen.loading import explained, stay_offline
from bot.errors import OperatorError

if TYPE_CHECKING:
    from diffusers import AceStepPipeline

log = logging.getLogger(__name__)


def load(model: str, place: torch.device, dtype: torch.dtype) -> "AceStepPipeline":
    """Load a model onto a device; raise OperatorError.

    The codec is in float32 whatever `dtype` the others are in: in half precision it hisses.
    """
    stay_offline()
    if found := checkpoint.trouble(model):
        raise OperatorError(found)
    folder = checkpoint.folder(model)
    assert folder
    try:
        pipe = _loaded(folder, dtype)
    except Exception as error:  # a file may make the libraries raise anything
        raise explained(model, error) from error
    check_numbers(model, pipe)
    if layout.pays(place, dtype):
        layout.in_rows(pipe.transformer)
    return settled(pipe.to(place))


def settled(pipe: "AceStepPipeline") -> "AceStepPipeline":
    """Return a model ready to play: its codec's weights as they are, nothing that is trained."""
    pipe.set_progress_bar_config(disable=True)
    settle(pipe.vae)
    pipe.vae.encoder = torch.nn.Identity()  # nothing that is heard comes in
    for part in checkpoint.PARTS:
        getattr(pipe, part).eval().requires_grad_(False)
    return pipe


def check_numbers(model: str, pipe: "AceStepPipeline") -> None:
    """Raise OperatorError if a weight holds NaN or infinity."""
    for part in checkpoint.PARTS:
        for name, weight in getattr(pipe, part).named_parameters():
            if not torch.stack(torch.aminmax(weight.detach())).isfinite().all():
                raise OperatorError(
                    f"{model} cannot play: the weight {name} of its {part} holds NaN or infinity, "
                    "so training went wrong or the file is damaged."
                )


def _loaded(folder: Path, dtype: torch.dtype) -> "AceStepPipeline":
    from diffusers import (
        AceStepPipeline,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )
    from diffusers.pipelines.ace_step import AceStepConditionEncoder
    from transformers import AutoTokenizer, Qwen3Model
    from transformers.utils import logging

    logging.disable_progress_bar()
    safe: dict[str, Any] = {"use_safetensors": True, "local_files_only": True}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's old weight norm, of the codec
        return AceStepPipeline(
            transformer=AceStepTransformer1DModel.from_pretrained(
                folder, subfolder="transformer", dtype=dtype, **safe
            ),
            condition_encoder=AceStepConditionEncoder.from_pretrained(
                folder, subfolder="condition_encoder", dtype=dtype, **safe
            ),
            vae=AutoencoderOobleck.from_pretrained(
                folder, subfolder="vae", dtype=torch.float32, **safe
            ),
            text_encoder=Qwen3Model.from_pretrained(folder / "text_encoder", dtype=dtype, **safe),
            tokenizer=AutoTokenizer.from_pretrained(
                folder / "tokenizer", local_files_only=True, trust_remote_code=False
            ),
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(
                folder, subfolder="scheduler", local_files_only=True
            ),
        )
