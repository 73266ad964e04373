"""What ACE-Step computes in, on each device."""

import torch

from bot.engine.hardware import precisions
from bot.engine.hardware.precisions import Precision


def chosen(asked: str, device: torch.device) -> Precision:
    """Return the precision for "auto": what is fast on the device and faithful.

    That of int8 is for MusicGen's decoder alone; ACE-Step is then rendered as by "auto". Raises
    OperatorError for one that the device does not have.
    """
    if asked not in ("auto", Precision.INT8):
        return precisions.chosen(asked, device)
    if device.type == "cpu":
        return precisions.chosen("auto", device)
    return Precision.BFLOAT16 if precisions.has_bfloat16(device) else Precision.FLOAT32
