"""The device: which one, whether torch can use it, and how much of its memory is ours."""

import logging
import re

import torch

from bot.errors import OperatorError

log = logging.getLogger(__name__)


def device(asked: str) -> torch.device:
    """Return the device for "auto", "cpu" or "cuda", ready for models.

    Raises OperatorError for a GPU that is not there or that torch was not built for.
    """
    if asked == "cpu":
        return torch.device("cpu")
    there = torch.cuda.is_available()
    problem = unfit() if there else "torch finds no CUDA GPU"
    if not problem:
        _settle()
        return torch.device("cuda")
    if asked == "cuda":
        raise OperatorError(f"DEVICE is cuda, but {problem}: set DEVICE=auto or cpu.")
    if there:  # whoever has none expects no other
        log.warning("Models run on the CPU: %s", problem)
    return torch.device("cpu")


def unfit(place: int = 0) -> str | None:
    """Return why torch cannot compute on the GPU that is there, or on that one of several."""
    (major, minor), built = torch.cuda.get_device_capability(place), torch.cuda.get_arch_list()
    if runs((major, minor), built):
        return None
    card = f"{torch.cuda.get_device_name(place)} (compute capability {major}.{minor})"
    return f"this torch has no code for {card}, only for {', '.join(built)}"


def runs(capability: tuple[int, int], built: list[str]) -> bool:
    """Whether code that was `built` for some architectures runs on a card.

    That of sm_86 runs from 8.6 to 8.9, that of compute_86 is compiled for any from 8.6 on. Source:
    "CUDA C++ Programming Guide", binary and PTX compatibility.
    """
    found = [re.match(r"(sm|compute)_(\d+)(\d)", each) for each in built]
    if not built or not all(found):  # AMD's names, or none
        return True
    for kind, major, minor in (each.groups() for each in found if each):
        since = int(major), int(minor)
        if since <= capability and (kind == "compute" or since[0] == capability[0]):
            return True
    return False


def total() -> float:
    """Return the bytes of the GPU, or of its partition, that this process may use."""
    whole = float(torch.cuda.mem_get_info()[1])
    return whole * torch.cuda.get_per_process_memory_fraction()


def free() -> float:
    """Return the bytes of the GPU that this process can still take."""
    left = float(torch.cuda.mem_get_info()[0])
    return min(left, total() - torch.cuda.memory_reserved())


def told(device: torch.device) -> str:
    """Return what a device is called, a GPU by its own name."""
    return f"cuda ({torch.cuda.get_device_name()})" if device.type == "cuda" else device.type


def wait(device: torch.device) -> None:
    """Wait until the device has done what this thread gave it."""
    if device.type == "cuda":
        torch.cuda.current_stream().synchronize()


def multiprocessors() -> int:
    """Return how many the GPU has, or the part of it that this process may use."""
    return int(torch.cuda.get_device_properties(0).multi_processor_count)


def _settle() -> None:
    """Set torch up for models on a GPU.

    Attention by cuDNN, which torch prefers on some cards, is planned again for every length, and a
    length is new at almost every prefill. TF32 in the codec's convolutions would make chunks
    differ from the whole, and half precision is summed in float32, as its faithfulness needs.
    """
    torch.backends.cuda.enable_cudnn_sdp(False)
    torch.backends.cudnn.allow_tf32 = False
    products = torch.backends.cuda.matmul
    products.allow_fp16_reduced_precision_reduction = False
    products.allow_bf16_reduced_precision_reduction = False
