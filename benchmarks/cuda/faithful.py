"""How far half precision strays from the exact scores, beside audiocraft's own under autocast."""

import copy
from collections.abc import Iterator

import torch

from benchmarks.cuda.stage import WISHES, Stage
from benchmarks.cuda.tokens import scores_of_audiocraft
from benchmarks.report import Row
from bot.engine.hardware.precisions import Precision, chosen
from bot.errors import OperatorError
from tests.support.forced import divergence, error, teacher_forced
from tests.support.random_lm import understood


def rows(stage: Stage) -> Iterator[Row]:
    """Compare along the same tokens, from nothing and after a long prompt."""
    model = stage.sized(stage.scale.small, torch.float64)
    said, last = understood(model, WISHES[0]), stage.scale.places[-1]
    for given in (0, last):
        codes = stage.codes(given + stage.scale.steps)
        truth = scores_of_audiocraft(model, codes)[given:]
        for precision in _precisions(stage):
            half = copy.deepcopy(model).to(getattr(torch, precision))
            with stage.autocast(precision):
                theirs = scores_of_audiocraft(half, codes)[given:]
            del half
            decoder = stage.decoder(model, precision, graphs=False)
            ours = teacher_forced(decoder, decoder.read(said), codes, given=given)
            nats = [float(divergence(truth, side).mean()) for side in (ours, theirs)]
            worst = [error(truth, side) for side in (ours, theirs)]
            yield Row(
                name=f"{precision} after {given} frames: mean error of a score against float64's, "
                "beside audiocraft's autocast",
                ours=_mean(truth, ours),
                theirs=_mean(truth, theirs),
                unit="standard deviations",
                note=f"the largest {worst[0]:.1e} and {worst[1]:.1e}, divergence of a step "
                f"{nats[0]:.1e} and {nats[1]:.1e} nats",
            )


def _precisions(stage: Stage) -> list[Precision]:
    """Return the half precisions that the card computes in."""
    if not stage.gpu:
        return [stage.half]
    try:
        return [Precision.FLOAT16, chosen("bfloat16", stage.device)]
    except OperatorError:  # of a card that does not
        return [Precision.FLOAT16]


def _mean(exact: torch.Tensor, other: torch.Tensor) -> float:
    return float((other.double() - exact).abs().mean() / exact.std())
