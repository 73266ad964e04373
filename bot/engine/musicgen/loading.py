"""Loading what a checkpoint holds, once: its language model stays in the file until it is taken."""

import collections
import typing
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import TYPE_CHECKING, Any

import torch

from bot.engine.hub import on_disk
from bot.engine.loading import explained, stay_offline
from bot.engine.musicgen import checkpoints
from bot.errors import OperatorError

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained
    from audiocraft.models.encodec import CompressionModel
    from audiocraft.models.lm import LMModel
    from omegaconf import DictConfig

WINDOW_STRIDE = 18.0
"""Seconds from window to window (`set_generation_params` in audiocraft's `models/musicgen.py`)."""


def load(model: str, place: torch.device) -> "Pretrained":
    """Load codec and text encoder onto a device, and map the language model's weights from disk.

    The weights are those of the file, on the CPU and in its dtype: whoever copies them has the only
    copy in memory. Raises OperatorError.
    """
    with _opened(model):
        from audiocraft.models.loaders import load_compression_model
        from omegaconf import OmegaConf

        codec = load_compression_model(model, device="cpu").to(place)
        file = on_disk(model, checkpoints.LANGUAGE_MODEL)
        assert file
        package = torch.load(file, mmap=True, weights_only=True)
        settings = OmegaConf.create(package["xp.cfg"])
        lm = _language_model(settings, package["best_state"], place)
        return _playing(model, codec, lm)


def load_whole(model: str, place: torch.device) -> "Pretrained":
    """Load a model as audiocraft does, for its own loop; raise OperatorError."""
    with _opened(model):
        from audiocraft.models.loaders import load_compression_model, load_lm_model

        lm = load_lm_model(model, device=place.type)
        codec = load_compression_model(model, device=place.type)
        _let_tunes_be(lm)
        return _playing(model, codec, lm)


def _let_tunes_be(lm: "LMModel") -> None:
    """Set what `MusicGen.get_pretrained` in audiocraft's `models/musicgen.py` sets for melodies."""
    if "self_wav" in lm.condition_provider.conditioners:
        tune = lm.condition_provider.conditioners["self_wav"]
        tune.match_len_on_eval, tune._use_masking = True, False


def check_numbers(model: str, lm: "LMModel", dtype: torch.dtype) -> None:
    """Raise OperatorError if a weight holds NaN or infinity, or would as it is kept in a dtype."""
    for name, weight in lm.named_parameters():
        extremes = torch.stack(torch.aminmax(weight.detach()))
        if not extremes.isfinite().all():
            raise OperatorError(
                f"{model} cannot play: its weight {name} holds NaN or infinity, so training went "
                "wrong or the file is damaged."
            )
        if not extremes.to(dtype).isfinite().all():
            kept = str(dtype).removeprefix("torch.")
            raise OperatorError(
                f"{model} cannot play in {kept}: its weight {name} is too large for that. Set "
                "PRECISION=float32."
            )


@contextmanager
def _opened(model: str) -> Iterator[None]:
    """Let the block load a model that is whole and on disk; raise OperatorError if it cannot."""
    stay_offline()
    if found := checkpoints.trouble(model):
        raise OperatorError(found)
    try:
        with _safe_globals(), without_stems():
            yield
    except Exception as error:  # a file may make audiocraft and torch raise anything
        raise explained(model, error) from error


def _playing(model: str, codec: "CompressionModel", lm: "LMModel") -> "Pretrained":
    """Return audiocraft's model, with windows that overlap where it was trained on short clips.

    Those that audiocraft was made for step 18 s in 30, and it refuses that step in less.
    """
    from audiocraft.models import MusicGen as Pretrained

    class Playing(Pretrained):  # type: ignore[misc]  # audiocraft has no types
        def set_generation_params(self, **asked: object) -> None:
            longer = self.max_duration > WINDOW_STRIDE
            stride = WINDOW_STRIDE if longer else WINDOW_STRIDE / 30 * self.max_duration
            super().set_generation_params(**{"extend_stride": stride, **asked})

    return Playing(model, codec, lm)


def _language_model(
    settings: "DictConfig", state: dict[str, torch.Tensor], place: torch.device
) -> "LMModel":
    """Build the model without memory for its weights, and let it have those of the file.

    Source: `load_lm_model` and `get_lm_model` in audiocraft's `models`.
    """
    from audiocraft.models import builders
    from omegaconf import OmegaConf

    settings.dtype = "float32"
    settings.device = "meta"
    if melody := OmegaConf.select(settings, "conditioners.self_wav.chroma_stem"):
        melody.pop("cache_path", None)  # of the machine that trained it
    conditioners, settings.conditioners = settings.conditioners, None
    with torch.device("meta"):
        lm = builders.get_lm_model(settings)
    settings.conditioners, settings.device = conditioners, place.type
    lm.condition_provider = builders.get_conditioner_provider(lm.dim, settings)
    lm.load_state_dict(state, assign=True)  # the mapped tensors themselves: a copy would take RAM
    lm.condition_provider.to(place, torch.float32)
    lm.cfg = settings
    return lm.eval()


class NoStems(torch.nn.Module):
    """Stands where a melody model has Demucs, which would take the stems of a tune apart."""

    sources = ("drums", "bass", "other", "vocals")


@contextmanager
def without_stems() -> Iterator[None]:
    """Let a melody model load without Demucs' weights, which it only needs to be given a tune."""
    from demucs import pretrained

    original = pretrained.get_model
    pretrained.get_model = lambda *_: NoStems()
    try:
        yield
    finally:
        pretrained.get_model = original


def _safe_globals() -> AbstractContextManager[None]:
    """Allow the classes of a checkpoint whose settings are OmegaConf's own objects, not text.

    Some of audiocraft's early releases are like that (its pull request 534). They are plain data.
    """
    from omegaconf import DictConfig, ListConfig, base, nodes

    own = (DictConfig, ListConfig, base.ContainerMetadata, base.Metadata, nodes.AnyNode)
    plain: list[Any] = [*own, typing.Any, collections.defaultdict, dict, list, int]
    return torch.serialization.safe_globals(plain)
