"""Steps that are captured and replayed, over a pretended torch.cuda."""

from typing import Any

import pytest
import torch

from bot.engine.hardware.precisions import Precision
from bot.engine.hardware.spills import spilled
from bot.engine.musicgen import cuda_graphs
from bot.engine.musicgen.attention import USUAL_TEXT
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot import Slot
from tests.support.decoding import SAMPLINGS, WISHES, alone, begin, finish
from tests.support.operators import Counted
from tests.support.pretended_cuda import WAITS, Cuda
from tests.support.random_lm import language_model, understood

FRAMES = 14


@pytest.fixture(scope="module")
def model() -> Any:
    return language_model()


@pytest.fixture
def cuda(monkeypatch: pytest.MonkeyPatch) -> Cuda:
    pretended = Cuda()
    pretended.install(monkeypatch)
    return pretended


def captured(model: Any, slots: int = 4) -> Decoder:
    """Return a decoder whose steps are captured, as on CUDA."""
    shared = Decoder(model, slots=slots, positions=300, precision=Precision.FLOAT64, graphs=True)
    assert shared.graphs
    shared.graphs.side = cuda_graphs.Side()
    return shared


def music(decoder: Decoder, *slots: Slot) -> list[torch.Tensor]:
    return [finish(decoder, slot) for slot in slots]


def no_room() -> None:
    raise torch.OutOfMemoryError("CUDA out of memory.")


def not_permitted() -> None:
    raise RuntimeError("CUDA error: operation not permitted when stream is capturing")


def test_replayed_steps_draw_the_same_tokens_as_takes_come_and_go(model: Any, cuda: Cuda) -> None:
    takes = list(zip(WISHES, SAMPLINGS[1:], (20, 9, 250), strict=True))
    expected = [alone(model, text=t, sampling=s, frames=f) for t, s, f in takes]
    shared = captured(model)
    first = [begin(shared, model, text=t, sampling=s, frames=f) for t, s, f in takes[:2]]
    for _ in range(5):
        shared.step()
    late = begin(shared, model, text=takes[2][0], sampling=takes[2][1], frames=takes[2][2])
    for slot, codes in zip([*first, late], expected, strict=True):
        assert torch.equal(finish(shared, slot), codes)
    assert cuda.replays > 200


def test_all_captures_share_one_stream_and_one_pool(model: Any, cuda: Cuda) -> None:
    captured(model).prepare()
    assert len(cuda.captures) == 3, "of one take, two and four"
    assert len(set(cuda.captures)) == 1
    (stream, _, mode), *_ = cuda.captures
    assert mode == "thread_local", "the codec's thread, say, may go on"
    assert stream is not cuda.default
    assert cuda.default in stream.waited
    assert stream in cuda.default.waited
    assert cuda.current is cuda.default


def test_steps_go_before_what_else_a_gpu_does(model: Any, cuda: Cuda) -> None:
    """Such as the codec's chunks, on a stream of its own."""
    shared = captured(model)
    finish(shared, begin(shared, model, text=WISHES[0], frames=FRAMES))
    launched = {stream for graph in cuda.graphs for stream in graph.launched}
    (stream,) = launched
    assert stream.priority < torch.cuda.Stream().priority == 0
    assert cuda.current is cuda.default


def test_no_take_waits_for_a_capture_once_all_sizes_are_captured(model: Any, cuda: Cuda) -> None:
    expected = [alone(model, text=text, frames=FRAMES) for text in WISHES]
    shared = captured(model, slots=3)
    shared.prepare()
    slots = [begin(shared, model, text=text, frames=FRAMES) for text in WISHES]
    for found, codes in zip(music(shared, *slots), expected, strict=True):
        assert torch.equal(found, codes)
    late = begin(shared, model, text=WISHES[0], frames=FRAMES)
    assert torch.equal(finish(shared, late), expected[0])
    assert shared.finite(late)
    assert len(cuda.captures) == 3
    assert cuda.replays == 2 * FRAMES + 6


def test_while_a_text_is_too_long_for_the_shapes_its_steps_are_launched_one_by_one(
    model: Any, cuda: Cuda
) -> None:
    takes = [("x" * (USUAL_TEXT + 1), 7), (WISHES[0], FRAMES)]
    expected = [alone(model, text=text, frames=frames) for text, frames in takes]
    shared = captured(model)
    shared.prepare()
    long, other = (begin(shared, model, text=text, frames=frames) for text, frames in takes)
    assert torch.equal(finish(shared, long), expected[0])
    assert cuda.replays == 0
    assert torch.equal(finish(shared, other), expected[1])
    assert cuda.replays > 0


def test_no_memory_for_a_capture_is_said_and_the_next_step_is_captured(
    model: Any, cuda: Cuda
) -> None:
    expected = [alone(model, text=text, frames=FRAMES) for text in WISHES[:2]]
    shared = captured(model)
    lost = begin(shared, model, text=WISHES[2])
    cuda.fault = no_room
    with pytest.raises(torch.OutOfMemoryError):
        shared.step()
    shared.release(lost)
    assert shared.free == 4
    cuda.fault = lambda: None
    slots = [begin(shared, model, text=text, frames=FRAMES) for text in WISHES[:2]]
    for found, codes in zip(music(shared, *slots), expected, strict=True):
        assert torch.equal(found, codes)
    assert cuda.replays > FRAMES - 1


@pytest.mark.parametrize("place", ["fault", "fault_at_end"])
def test_a_size_that_cannot_be_captured_is_given_up_alone_and_tried_again(
    model: Any, cuda: Cuda, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cuda_graphs, "RETRY_STEPS", 5)
    expected = [alone(model, text=text, frames=FRAMES) for text in WISHES[:2]]
    shared = captured(model)
    first = begin(shared, model, text=WISHES[0], frames=FRAMES)
    setattr(cuda, place, not_permitted)
    shared.step()
    assert cuda.current is cuda.default
    setattr(cuda, place, lambda: None)
    shared.step()
    assert len(cuda.captures) == 1, "it is not tried at once"
    second = begin(shared, model, text=WISHES[1], frames=FRAMES)
    shared.step()
    assert len(cuda.captures) == 2, "another size is"
    assert cuda.captures[0] != cuda.captures[1], "with a stream that is not at it still"
    for found, codes in zip(music(shared, first, second), expected, strict=True):
        assert torch.equal(found, codes)
    third = begin(shared, model, text=WISHES[0], frames=FRAMES)
    assert torch.equal(finish(shared, third), expected[0])
    assert len(cuda.captures) == 3
    assert cuda.replays > FRAMES


def test_a_capture_that_fails_is_over_for_torchs_allocator_too(
    model: Any, cuda: Cuda, monkeypatch: pytest.MonkeyPatch
) -> None:
    closed: list[object] = []
    monkeypatch.setattr(torch.cuda, "current_device", lambda: 0)
    monkeypatch.setattr(torch._C, "_cuda_endAllocateToPool", lambda _, pool: closed.append(pool))
    shared = captured(model)
    begin(shared, model)
    cuda.fault_at_end = not_permitted
    shared.step()
    assert closed == [cuda.captures[0][1]]


def test_no_memory_as_a_capture_ends_is_no_failed_capture(model: Any, cuda: Cuda) -> None:
    """Where the end of a capture that lacked memory fails as well, its error is what comes."""
    shared = captured(model)
    begin(shared, model)
    cuda.fault, cuda.fault_at_end = no_room, not_permitted
    with pytest.raises(RuntimeError, match="not permitted") as raised:
        shared.step()
    assert spilled(raised.value)
    assert cuda.current is cuda.default


@pytest.mark.parametrize("wrong", [float("nan"), float("inf"), -float("inf")])
def test_a_replay_knows_scores_that_are_not_finite_and_waits_for_nothing(
    model: Any, cuda: Cuda, wrong: float
) -> None:
    expected = [alone(model, text=text, frames=FRAMES) for text in WISHES[:2]]
    shared = captured(model, slots=2)
    first = begin(shared, model, text=WISHES[0], frames=FRAMES)
    shared.step()
    nothing = torch.zeros(shared.codebooks, 0, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    words = shared.read(understood(model, WISHES[2]))
    slot = shared.admit(words, nothing, FRAMES, Sampling(), generator)
    for _ in range(3):
        shared.step()
    assert shared.finite(first)
    assert shared.finite(slot), "so the graph was captured without any"
    with torch.inference_mode():
        shared.memory.padded(USUAL_TEXT)[0][0][:, slot.row] *= wrong
    replays = cuda.replays
    with Counted() as counted:
        shared.step()
    assert cuda.replays == replays + 1
    assert not WAITS & counted.seen.keys()
    assert shared.finite(first)
    assert not shared.finite(slot)
    shared.release(slot)
    second = begin(shared, model, text=WISHES[1], frames=FRAMES)
    assert second.row == slot.row
    for found, codes in zip(music(shared, first, second), expected, strict=True):
        assert torch.equal(found, codes)
    assert cuda.replays > replays + FRAMES


def test_words_that_are_not_finite_are_gone_before_steps_keep_their_shapes(model: Any) -> None:
    """All words are laid out again by the first such step, and those of a slot's past with them."""
    expected = alone(model, text="a", frames=FRAMES)
    shared = Decoder(model, slots=2, positions=300, precision=Precision.FLOAT64, graphs=True)
    first = begin(shared, model, text=WISHES[0], frames=FRAMES)
    nothing = torch.zeros(shared.codebooks, 0, dtype=torch.long)
    generator = torch.Generator().manual_seed(1)
    longer = "x" * (USUAL_TEXT + 6)
    words = shared.read(understood(model, longer) * float("nan"))
    spoilt = shared.admit(words, nothing, FRAMES, Sampling(), generator)
    shared.step()
    shared.release(spoilt)
    shared.step()
    second = begin(shared, model, text="a", frames=FRAMES)
    assert second.row == spoilt.row
    assert torch.equal(finish(shared, second), expected)
    assert shared.finite(first)
