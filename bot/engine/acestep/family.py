"""ACE-Step as one of the families that a repertoire holds."""

import torch

from bot.engine.acestep import capacity, checkpoint
from bot.engine.acestep.model import AceStep
from bot.engine.acestep.precisions import chosen
from bot.engine.contract import FamilyRoom
from bot.engine.executors import Executor
from bot.engine.settings import EngineSettings


def room(settings: EngineSettings, device: torch.device, writer: Executor) -> FamilyRoom:
    """Return what loads models in diffusers' format.

    Raises OperatorError for a precision that the device has not.
    """
    precision = chosen(settings.precision, device)
    return FamilyRoom(
        trouble=checkpoint.trouble,
        need=lambda model: capacity.need(model, precision, device.type),
        load=lambda model, others: AceStep(model, settings, writer, others),
    )
