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
from bot.engine.messages import Part, Render
from bot.errors import JobError, OperatorError
from bot.values import Fault

log = logging.getLogger(__name__)

TOO_SMALL = "The memory is too small for this piece now."

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


def trial(model: str, seconds: int, options: dict[str, float]) -> Render:
    """Return the order of a piece that nobody hears, which tells how fast a model is."""
    parts = (Part(number=1, seed=0, audio="", codes=""),)
    return Render(
        id=0, prompt="warm-up", seconds=seconds, model=model, parts=parts, options=options
    )


def no_room(what: str, error: BaseException) -> JobError:
    """Return what an error of too little memory means for an order; raise any other."""
    let_go(error)
    log.warning("%s: %s", what, error)
    return JobError(TOO_SMALL, Fault.MEMORY)


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
