"""Loading an ACE-Step's parts, each by its own class: safetensors alone, offline, no code."""

import logging
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from bot.engine.acestep import checkpoint, layout
from bot.engine.loading import explained, settle, stay_offline
from bot.errors import OperatorError

if TYPE_CHECKING:
    from diffusers import AceStepPipeline
    from torch.nn import Module

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
        pipe = _loaded(model, folder, dtype)
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


def _loaded(model: str, folder: Path, dtype: torch.dtype) -> "AceStepPipeline":
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
    kinds = (AceStepTransformer1DModel, AceStepConditionEncoder, AutoencoderOobleck, Qwen3Model)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's old weight norm, of the codec
        parts = {
            name: _part(model, kind, folder / name, torch.float32 if name == "vae" else dtype)
            for name, kind in zip(checkpoint.PARTS, kinds, strict=True)
        }
        return AceStepPipeline(
            tokenizer=AutoTokenizer.from_pretrained(
                folder / "tokenizer", local_files_only=True, trust_remote_code=False
            ),
            scheduler=FlowMatchEulerDiscreteScheduler.from_pretrained(
                folder / "scheduler", local_files_only=True
            ),
            **parts,
        )


def _part(model: str, kind: Any, folder: Path, dtype: torch.dtype) -> "Module":  # noqa: ANN401
    """Load a part; raise OperatorError if its file lacks weights, which would be random then."""
    part: Module
    part, found = kind.from_pretrained(
        folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
    )
    if lacking := sorted(found["missing_keys"]):
        raise OperatorError(
            f"{model} cannot play: its {folder.name} lacks {lacking[0]}"
            f"{' and others' if len(lacking) > 1 else ''}; fetch or copy it again."
        )
    return part
