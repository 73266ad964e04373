"""Our loop from noise to latents against the pipeline's own."""

from typing import Any
from unittest.mock import patch

import pytest
import torch

from bot.engine.acestep.layout import in_rows
from tests.support.songs import FRAMES, begun, ended, theirs, tiny
from tests.support.tiny_acestep import CHANNELS, Recipe, pipeline


@pytest.mark.parametrize("turbo", [True, False], ids=["turbo", "base"])
@pytest.mark.parametrize(("seeds", "steps"), [((7,), 1), ((7,), 8), ((7, 8, 9), 3)])
def test_latents_are_the_pipelines_own_bit_for_bit(
    *, turbo: bool, seeds: tuple[int, ...], steps: int
) -> None:
    pipe = tiny(turbo=turbo)
    found = ended(begun(pipe, *seeds, steps=steps))
    assert found.shape == (len(seeds), FRAMES, CHANNELS)
    assert torch.equal(found, theirs(pipe, *seeds, steps=steps))


def test_guidance_changes_a_base_model_and_no_turbo() -> None:
    base, turbo = tiny(turbo=False), tiny()
    little, none = (ended(begun(base, 7, guidance=guidance)) for guidance in (1.5, 1.0))
    assert not torch.equal(little, none)
    assert torch.equal(ended(begun(turbo, 7)), ended(begun(turbo, 7, guidance=1.0)))


@pytest.mark.parametrize(
    ("turbo", "guidance", "looks"), [(False, 1.1, 2), (False, 1.0, 1), (True, 1.1, 1)]
)
def test_only_guidance_costs_a_second_look(*, turbo: bool, guidance: float, looks: int) -> None:
    pipe, seen = tiny(turbo=turbo), list[int]()
    hook = pipe.transformer.register_forward_pre_hook(
        lambda _, __, said: seen.append(len(said["hidden_states"])), with_kwargs=True
    )
    begun(pipe, 7, guidance=guidance).step()
    hook.remove()
    assert seen == [looks]


@pytest.mark.parametrize("turbo", [True, False], ids=["turbo", "base"])
def test_a_take_in_a_batch_is_the_same_as_alone(*, turbo: bool) -> None:
    pipe = tiny(turbo=turbo)
    beside = ended(begun(pipe, 7, 8, 9))
    for place, seed in enumerate((7, 8, 9)):
        alone = ended(begun(pipe, seed))[0]
        assert (beside[place] - alone).abs().max() <= 1e-5 * alone.abs().max()


def test_requests_that_take_turns_do_not_change_each_other() -> None:
    pipe = tiny(turbo=False)
    first, second = begun(pipe, 7), begun(pipe, 8, steps=5)
    while not (first.ended and second.ended):
        for each in (first, second):
            if not each.ended:
                each.step()
    assert torch.equal(first.latents, ended(begun(pipe, 7)))
    assert torch.equal(second.latents, ended(begun(pipe, 8, steps=5)))


def test_the_noise_of_a_seed_is_the_same_whatever_else_was_drawn() -> None:
    pipe = tiny()
    before = begun(pipe, 7).latents
    torch.manual_seed(1)
    torch.rand(5)
    assert torch.equal(begun(pipe, 7).latents, before)
    assert not torch.equal(begun(pipe, 8).latents, before)


@pytest.mark.parametrize("turbo", [True, False], ids=["turbo", "base"])
def test_what_is_gone_on_from_stays_as_it_is(*, turbo: bool) -> None:
    pipe, old = tiny(turbo=turbo), FRAMES // 2
    silence = pipe.condition_encoder.silence_latent.clone()
    kept = ended(begun(pipe, 1))[0, :old]
    found = ended(begun(pipe, 7, 8, kept=kept))
    assert all(torch.equal(take[:old], kept) for take in found)
    assert not torch.equal(found[0, old:], found[1, old:])
    assert not torch.equal(found[:1, old:], ended(begun(pipe, 7))[:, old:])
    assert torch.equal(pipe.condition_encoder.silence_latent, silence)


def test_an_extension_is_a_repainting_that_puts_the_old_frames_back() -> None:
    pipe, old = tiny(), 100
    kept = ended(begun(pipe, 1))[0, :old]
    noise = begun(pipe, 7).latents
    fresh, prepared = (FRAMES - old, CHANNELS), pipe.prepare_src_latents

    def source(*, src_audio: Any = None, **more: Any) -> Any:
        if src_audio is None:
            return prepared(**more)
        return torch.cat([kept, torch.zeros(fresh)])[None], FRAMES

    def put_back(_: object, step: int, __: float, said: dict[str, Any]) -> dict[str, Any]:
        left = pipe.scheduler.sigmas[step + 1]
        said["latents"][:, :old] = torch.lerp(kept, noise[:, :old], left) if left else kept
        return said

    with patch.object(pipe, "prepare_src_latents", source):
        expected = theirs(
            pipe,
            7,
            task_type="repaint",
            src_audio=torch.zeros(2, 1),
            repainting_start=old / 25,
            repainting_end=10.0,
            callback_on_step_end=put_back,
        )
    assert torch.equal(ended(begun(pipe, 7, kept=kept)), expected)


def test_tokens_in_rows_say_the_same() -> None:
    pipe, own = tiny(), pipeline(Recipe())
    in_rows(own.transformer)
    seen: list[bool] = []
    first = own.transformer.layers[0]
    first.register_forward_pre_hook(
        lambda _, __, said: seen.append(said["hidden_states"].is_contiguous()), with_kwargs=True
    )
    found, expected = ended(begun(own, 7)), ended(begun(pipe, 7))
    assert all(seen)
    assert (found - expected).abs().max() <= 1e-5 * expected.abs().max()
