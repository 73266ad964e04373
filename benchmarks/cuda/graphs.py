"""Captured steps draw what their kernels draw one by one, whoever comes and goes."""

from collections.abc import Iterator
from typing import Any

import torch

from benchmarks.cuda.stage import PROMPT, WISHES, Stage, finish, launched
from benchmarks.cuda.tally import Tally
from benchmarks.report import Row
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.slot import Slot
from tests.support.random_lm import LMModel

LONG = "x" * 70
"""A text that is longer than most."""


def rows(stage: Stage) -> Iterator[Row]:
    """Compare graphs with kernels, then takes in company with takes alone."""
    model = stage.sized(stage.scale.small, torch.float32)
    yield _on_and_off(stage, model)
    yield _company(stage)
    if stage.gpu:
        yield _waits(stage, model)


def _on_and_off(stage: Stage, model: LMModel) -> Row:
    tally = Tally(f"tokens in {stage.half} that graphs draw as kernels one by one do", "tokens")
    captured, kernels = (
        stage.decoder(model, slots=4, positions=stage.scale.positions) for _ in "ab"
    )
    for ours, theirs in zip(
        *(_mixed(stage, each, model) for each in (captured, launched(kernels))), strict=True
    ):
        tally.add("a take among others", int((ours == theirs).sum()), theirs.numel())
    return tally.row()


def _mixed(stage: Stage, decoder: Decoder, model: LMModel) -> list[torch.Tensor]:
    """Return the codes of takes of which one joins and one leaves on the way."""
    frames = stage.scale.places[-1] // 2
    slots = [stage.begin(decoder, model, text, frames=frames) for text in WISHES[:2]]
    for _ in range(frames // 2):
        decoder.step()
    gone = stage.begin(decoder, model, LONG, frames=frames)
    decoder.step()
    decoder.release(gone)
    slots.append(stage.begin(decoder, model, WISHES[2], 9, frames=frames))
    return [finish(decoder, slot) for slot in slots]


def _company(stage: Stage) -> Row:
    """Takes of all kinds beside each other, and each of them alone."""
    tally = Tally("tokens in float64 that are those of the same take alone", "tokens")
    model = stage.model(torch.float64)
    prompt = stage.codes(stage.scale.prompts[-1], card=model.card)
    frames = stage.scale.frames

    def begun(decoder: Decoder, number: int) -> Slot:
        text, given = (*WISHES, LONG)[number], prompt if number == 1 else None
        long = frames + (len(prompt[0]) if given is not None else 5 * number)
        return stage.begin(decoder, model, text, number, frames=long, prompt=given)

    options: dict[str, Any] = {
        "precision": Precision.FLOAT64,
        "positions": max(stage.scale.prompts) + 60,
    }
    single, shared = (stage.decoder(model, slots=slots, **options) for slots in (1, 5))
    alone = [finish(single, begun(single, number)) for number in range(4)]
    slots = []
    for number in range(4):
        slots.append(begun(shared, number))
        shared.step()
    for number, slot in enumerate(slots):
        found = finish(shared, slot)
        tally.add(f"take {number}", int((found == alone[number]).sum()), found.numel())
    return tally.row()


def _waits(stage: Stage, model: LMModel) -> Row:
    """No captured step waits for the device."""
    tally = Tally("captured steps that wait for nothing", "steps")
    decoder = stage.decoder(model, slots=2)
    stage.begin(decoder, model, PROMPT, frames=50)
    for _ in range(3):
        decoder.step()
    stage.card.wait()
    torch.cuda.set_sync_debug_mode("error")
    try:
        for _ in range(5):
            try:
                decoder.step()
                tally.add("")
            except RuntimeError as error:
                tally.add(str(error).partition("\n")[0], 0)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return tally.row()
