"""Loading a model of any family: from the disk alone, and what goes wrong in a sentence."""

import logging
import os
import pickle
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.utils import parametrize, remove_weight_norm
from torch.nn.utils.weight_norm import WeightNorm

from bot.engine.hardware.spills import let_go, spilled
from bot.errors import OperatorError

log = logging.getLogger(__name__)

LONGEST_ERROR = 300
"""Characters of an error that are told; the log has the rest."""


def stay_offline() -> None:
    """Render with what was fetched, and neither wait for the hub nor ask it for updates.

    To be called before huggingface_hub is imported, which reads this once.
    """
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")


@contextmanager
def room_for(model: str, device: torch.device, ways: str) -> Iterator[None]:
    """Let the block load a model; raise OperatorError with the ways out where memory lacks."""
    try:
        yield
    except (MemoryError, RuntimeError) as error:
        let_go(error)
        where = "The GPU" if device.type == "cuda" else "This machine"
        raise OperatorError(f"{where} has too little free memory for {model}: {ways}.") from error


def explained(model: str, error: Exception) -> Exception:
    if isinstance(error, OperatorError) or spilled(error):
        return error
    log.error("%s cannot be loaded", model, exc_info=error)
    if isinstance(error, pickle.UnpicklingError):
        return OperatorError(
            f"{model} was not opened: its checkpoint holds code besides weights, or is damaged."
        )
    why = " ".join((str(error).strip() or type(error).__name__).split())
    return OperatorError(f"{model} cannot be loaded: {_cut(why).rstrip('.')}.")


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST_ERROR else f"{text[:LONGEST_ERROR]} …"


def settle(model: torch.nn.Module) -> None:
    """Let each layer have its weight as it is, not as a norm and a direction, as in training.

    From those torch recomputes the weight in every call, to the same bits.
    """
    for layer in model.modules():
        if parametrize.is_parametrized(layer, "weight"):  # as in transformers
            parametrize.remove_parametrizations(layer, "weight")
        elif any(isinstance(hook, WeightNorm) for hook in layer._forward_pre_hooks.values()):
            remove_weight_norm(layer)
