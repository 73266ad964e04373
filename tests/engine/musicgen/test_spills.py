"""Too little memory, wherever it may lack: what was taken comes back, and nobody else hears."""

import gc
import sys
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace as replaced
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from msgspec.structs import replace

from bot.app import Plan
from bot.engine import repertoire
from bot.engine.hardware.precisions import Precision
from bot.engine.hardware.spills import FULL_CARD_BYTES, spilled
from bot.engine.messages import Done, Failed, Ready
from bot.engine.musicgen import checkpoints, family
from bot.engine.musicgen.codec import Codec, Sound
from bot.engine.musicgen.decoder import Decoder
from bot.engine.musicgen.slot_loop import SlotLoop
from bot.engine.settings import EngineSettings
from bot.errors import OperatorError
from bot.values import Fault, Status
from tests.support.decoding import WISHES, alone, begin, finish
from tests.support.engines import NUMBERS, SMALL, Child, Files, last, together
from tests.support.full import Full
from tests.support.operators import Counted
from tests.support.random_codec import encodec
from tests.support.random_lm import language_model, understood
from tests.support.scripted_child import ready
from tests.support.world import asked, world

FRAMES = 12
PROMPT = torch.randint(0, 512, (4, 5), generator=torch.Generator().manual_seed(1))


@pytest.fixture(scope="module")
def model() -> Any:
    return language_model()


def held() -> int:
    """Return the bytes of all tensors."""
    gc.collect()
    storages = [each.untyped_storage() for each in gc.get_objects() if type(each) is torch.Tensor]
    return sum({each.data_ptr(): each.nbytes() for each in storages}.values())


def filled(call: Callable[[], object]) -> Iterator[int]:
    """Make a call without memory for its first operator, its second …; yield after each lack."""
    for at in range(1, 1000):
        full = Full(at)
        with suppress(torch.OutOfMemoryError), full:
            call()
        if full.left > 0:
            return
        yield at


@pytest.mark.parametrize("graphs", [False, True])
def test_a_slot_comes_back_wherever_its_prefill_lacks_memory(model: Any, graphs: bool) -> None:
    shared = Decoder(model, slots=2, positions=64, precision=Precision.FLOAT64, graphs=graphs)
    expected = [
        alone(model, text=WISHES[0], frames=FRAMES),
        alone(model, text=WISHES[1], frames=FRAMES, prompt=PROMPT),
    ]
    beside = begin(shared, model, text=WISHES[0], frames=FRAMES)
    shared.step()
    words, sampling = shared.read(understood(model, WISHES[1])), beside.sampling

    def admit() -> None:
        shared.admit(words, PROMPT, FRAMES, sampling, torch.Generator().manual_seed(7))

    with suppress(torch.OutOfMemoryError), Full(20):
        admit()
    before, lacks = held(), 0
    for at in filled(admit):
        assert (shared.free, len(shared.slots)) == (1, 1)
        assert at % 20 or held() == before
        lacks += 1
    assert lacks > 40
    assert torch.equal(finish(shared, shared.slots[1]), expected[1])
    assert torch.equal(finish(shared, beside), expected[0])


def test_all_slots_come_back_wherever_a_step_lacks_memory(model: Any) -> None:
    """All that was under way ends, as nobody knows how far the step came."""
    expected = [alone(model, text=text, frames=FRAMES) for text in WISHES[:2]]
    shared = Decoder(model, slots=2, positions=64, precision=Precision.FLOAT64)
    lacks = 0
    for at in (1, 20, 50, 100, 10**6):
        for text in WISHES[:2]:
            begin(shared, model, text=text, frames=FRAMES)
        with suppress(torch.OutOfMemoryError), Full(at):
            shared.step()
            break
        for slot in list(shared.slots):
            shared.release(slot)
        assert shared.free == 2
        lacks += 1
    assert lacks == 4
    for slot, codes in zip(list(shared.slots), expected, strict=True):
        assert torch.equal(finish(shared, slot), codes)


def test_a_take_is_dropped_where_there_is_no_memory_for_its_codes(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def no_room(*_: object) -> None:
        raise torch.OutOfMemoryError

    own = SimpleNamespace(lm=language_model(), frame_rate=50, extend_stride=0.2, max_duration=0.4)
    loop = SlotLoop(own, slots=2, precision=Precision.FLOAT64, device=torch.device("cpu"))
    takes = loop.begin(Files(tmp_path).order(1, 7, 8))
    for take in takes:
        take.proceed()
    monkeypatch.setattr(Decoder, "codes", no_room)
    with pytest.raises(torch.OutOfMemoryError):
        takes[0].stop()
    assert loop.decoder.free == 0
    for take in takes:
        take.drop()
        assert take.ended
    assert loop.decoder.free == 2


def test_a_model_that_lacked_memory_is_gone_before_it_is_loaded_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The first model makes room for it, and so does what was loaded of it in vain."""
    begun: list[Any] = []

    class Model:
        def __init__(self, *_: object) -> None:
            gone = [each() is None for each in begun]
            begun.append(weakref.ref(self))
            if len(begun) == 2:
                raise OperatorError("There is too little memory.")
            self.gone = gone

        def render(self, *_: object) -> Iterator[None]:
            yield None

        def ready(self) -> Ready:
            return ready()

    monkeypatch.setattr(family, "MusicGen", Model)
    monkeypatch.setattr(checkpoints, "trouble", lambda _: None)
    both = repertoire.Repertoire(["first", "second"], EngineSettings(device="cpu"))
    order = replace(Files(Path()).order(1, 7), model="second")
    assert len(list(both.render(order, lambda: False))) == 3
    assert begun[-1]().gone == [True, True]


def test_a_chunk_of_sound_that_lacks_memory_spoils_no_other_sound() -> None:
    codec = Codec(encodec())
    codes = torch.randint(64, (4, 60), generator=torch.Generator().manual_seed(1))

    def heard(sound: Sound) -> torch.Tensor:
        while sound.due(60, ended=True):
            sound.hear(codes)
        return torch.from_numpy(sound.samples())

    expected, beside = heard(Sound(codec, 25)), Sound(codec, 25)
    beside.hear(codes)
    with torch.inference_mode(), Counted() as counted:
        heard(Sound(codec, 25))
    for at in range(1, counted.seen.total(), 10):
        with pytest.raises(torch.OutOfMemoryError), Full(at):
            heard(Sound(codec, 25))
    assert torch.equal(heard(beside), expected)


@pytest.fixture(scope="module")
def expected(mono: Child, tmp_path_factory: pytest.TempPathFactory) -> Files:
    """What a take sounds like by itself."""
    files = Files(tmp_path_factory.mktemp("alone"))
    mono.render(files.order(2, 7))
    return files


@pytest.mark.parametrize("place", ["prefill", "chunk"])
def test_one_piece_ends_for_lack_of_memory_and_nobody_beside_it_hears(
    home: Path, folders: Callable[[], Files], expected: Files, place: str
) -> None:
    bad, beside = folders(), folders()
    with Child(home, SMALL, start=("-m", "tests.support.full", place)) as child:
        assert isinstance(child.hear(), Ready)
        order, other = bad.order(3, 8, 9), beside.order(2, 7)
        reports = together(child, other, order)
        failed = last(reports, order)
        assert isinstance(failed, Failed)
        assert failed.fault is Fault.MEMORY
        assert isinstance(last(reports, other), Done)
        assert (beside.codes(1) == expected.codes(1)).all()
        assert (beside.samples(1) == expected.samples(1)).all()
        again = replace(order, id=next(NUMBERS))
        assert isinstance(child.render(again)[-1], Done), "all slots came back"


@pytest.mark.parametrize("place", ["step", "capture"])
def test_a_step_that_lacks_memory_ends_what_is_under_way_and_the_next_is_as_ever(
    home: Path, folders: Callable[[], Files], expected: Files, place: str
) -> None:
    bad, after = folders(), folders()
    with Child(home, SMALL, start=("-m", "tests.support.full", place)) as child:
        assert isinstance(child.hear(), Ready)
        orders = bad.order(2, 8), bad.order(2, 9)
        reports = together(child, *orders)
        for order in orders:
            failed = last(reports, order)
            assert isinstance(failed, Failed)
            assert failed.fault is Fault.MEMORY
        again = [replace(order, id=next(NUMBERS)) for order in orders]
        assert all(isinstance(last(together(child, *again), order), Done) for order in again)
        assert isinstance(child.render(after.order(2, 7))[-1], Done)
        assert (after.codes(1) == expected.codes(1)).all()
        assert (after.samples(1) == expected.samples(1)).all()


@pytest.mark.parametrize("place", ["step", "chunk"])
async def test_a_piece_that_lacked_memory_is_tried_again_alone_and_posted(
    plan: Plan, home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    monkeypatch.setenv("HF_HOME", str(home))
    engine = ("--engine", "musicgen", "--model", SMALL, "--device", "cpu", "--slots", "3")
    command = (sys.executable, "-m", "tests.support.full", place, *engine, "--precision", "float32")
    async with world(replaced(plan, command=command, models=("small",))) as w:
        await asked(w, "slow piano with rain", takes=2, seconds=3)
        job = await w.ended(1, Status.DELIVERED)
    assert (job.attempts, job.care, job.deaths) == (2, 1, 0)


SAID = [
    ("CUDA error: out of memory", True),
    ("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`", True),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED", True),
    ("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling `cublasCreate(handle)`", None),
    ("cuDNN error: CUDNN_STATUS_NOT_INITIALIZED", None),
    ("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR", None),
    ("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED", None),
    ("FIND was unable to find an engine to execute this computation", None),
    ("CUDA error: an illegal memory access was encountered", False),
    ("The size of tensor a (3) must match the size of tensor b (4)", False),
]
"""What torch says, and whether that is for lack of memory: None is "if the card is full"."""


@pytest.mark.parametrize(("said", "expect"), SAID)
@pytest.mark.parametrize("full", [True, False])
def test_what_is_said_for_lack_of_memory_is_known(
    monkeypatch: pytest.MonkeyPatch, said: str, expect: bool | None, full: bool
) -> None:
    left = FULL_CARD_BYTES - 1 if full else FULL_CARD_BYTES
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (left, 80e9))
    assert spilled(RuntimeError(said)) is (full if expect is None else expect)


def test_a_card_that_answers_nothing_any_more_is_not_full(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise torch.AcceleratorError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(torch.cuda, "mem_get_info", broken)
    assert not spilled(RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"))
