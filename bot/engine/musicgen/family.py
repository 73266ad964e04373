"""MusicGen as one of the families that a repertoire holds."""

from collections.abc import Sequence

import torch

from bot.engine.executors import Executor
from bot.engine.hardware.precisions import chosen
from bot.engine.musicgen import capacity, checkpoints
from bot.engine.musicgen.model import MusicGen
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need


class MusicGenFamily:
    """Models in audiocraft's format; see contract.FamilyRoom."""

    def __init__(self, settings: EngineSettings, device: torch.device, writer: Executor) -> None:
        """Raise OperatorError for a precision that the device has not."""
        self._settings, self._device, self._writer = settings, device, writer
        self._precision = chosen(settings.precision, device)

    def trouble(self, model: str) -> str | None:
        """Return a sentence on what keeps a model from being loaded, None if nothing does."""
        return checkpoints.trouble(model)

    def need(self, model: str) -> Need:
        """Return about what a model that is on disk will need."""
        return capacity.need(model, self._precision, self._device)

    def load(self, model: str, others: Sequence[Need]) -> MusicGen:
        """Load a model, and leave room for others; raise OperatorError."""
        return MusicGen(model, self._settings, self._writer, others)
