"""MusicGen as one of the families that a repertoire holds."""

import torch

from bot.engine.contract import FamilyRoom
from bot.engine.executors import Executor
from bot.engine.hardware.precisions import chosen
from bot.engine.musicgen import capacity, checkpoints
from bot.engine.musicgen.model import MusicGen
from bot.engine.settings import EngineSettings


def room(settings: EngineSettings, device: torch.device, writer: Executor) -> FamilyRoom:
    """Return what loads models in audiocraft's format.

    Raises OperatorError for a precision that the device has not.
    """
    precision = chosen(settings.precision, device)
    return FamilyRoom(
        trouble=checkpoints.trouble,
        need=lambda model: capacity.need(model, precision, device),
        load=lambda model, others: MusicGen(model, settings, writer, others),
    )
