"""How many takes fit side by side."""

import gc
import math
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from msgspec.structs import replace

from bot.engine import repertoire, sharing, weights
from bot.engine.contract import Idle
from bot.engine.hardware import devices, memory
from bot.engine.hardware.precisions import WEIGHT_BYTES, Precision
from bot.engine.messages import Loading, Ready, Render
from bot.engine.musicgen import capacity, checkpoints, family
from bot.engine.musicgen.attention import USUAL_TEXT, Memory
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from tests.support import tiny_musicgen
from tests.support.engines import SMALL, Files
from tests.support.hub import snapshot
from tests.support.random_lm import language_model
from tests.support.scripted_child import ready

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
LAYERS, DIM = 2, 128
SLOT = 4 * DIM * LAYERS * 1500 * 4
"""Bytes of a slot in float32: keys and values of two rows over 30 s."""


@pytest.mark.parametrize(
    ("precision", "room", "expected"),
    [
        *[(Precision.FLOAT32, *case) for case in ((0, 1), (1, 1), (2.5, 2), (5, 5))],
        (Precision.FLOAT32, 10**4, capacity.most(CPU)),
        (Precision.BFLOAT16, 2.5, 3),  # half of the past, and the words
    ],
)
def test_slots_fill_the_memory_that_is_left(
    monkeypatch: pytest.MonkeyPatch, precision: Precision, room: float, expected: int
) -> None:
    lm = language_model(dim=DIM, layers=LAYERS, dtype=torch.float32)
    model = SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)
    weights = sum(
        weight.numel() for part in (lm.transformer, lm.linears) for weight in part.parameters()
    )
    free = WEIGHT_BYTES[precision] * weights + memory.RESERVED_BYTES + room * SLOT
    monkeypatch.setattr(memory, "free", lambda _: free)
    assert capacity.slots(model, precision, CPU) == expected


@pytest.mark.parametrize(
    ("card", "multiprocessors", "expected"),
    [("T4", 40, 16), ("RTX 3090", 82, 16), ("A100", 108, 24), ("H100", 132, 32)],
)
def test_a_gpu_with_more_multiprocessors_makes_more_takes_side_by_side(
    monkeypatch: pytest.MonkeyPatch, card: str, multiprocessors: int, expected: int
) -> None:
    found = SimpleNamespace(name=card, multi_processor_count=multiprocessors)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: found)
    monkeypatch.setattr(memory, "free", lambda _: 80e9)
    lm = language_model(dim=DIM, layers=LAYERS, dtype=torch.float32)
    model = SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)
    assert capacity.slots(model, Precision.FLOAT16, CUDA) == expected
    monkeypatch.setattr(
        memory, "free", lambda _: memory.RESERVED_BYTES + 5 * capacity.LONGEST_SOUND_BYTES
    )
    assert capacity.slots(model, Precision.FLOAT16, CUDA) == 4, "if they fit"


RELEASED = {
    "small": (0.84e9, (1024, 24)),
    "medium": (3.7e9, (1536, 48)),
    "large": (6.5e9, (2048, 48)),
}
"""Bytes of their files, and the width and number of their layers."""


@pytest.fixture
def released(monkeypatch: pytest.MonkeyPatch) -> None:
    """The released models as they would lie on disk."""
    monkeypatch.setattr(checkpoints, "sizes", lambda name: (RELEASED[name][0], 0.24e9, 0.9e9))
    monkeypatch.setattr(checkpoints, "breadth", lambda name: math.prod(RELEASED[name][1]))


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize(
    ("gigabytes", "expected"),
    [(12, []), (14, ["medium"]), (20, ["large"]), (26, ["large", "medium"])],
)
def test_models_leave_room_for_those_that_can_be_loaded_beside_them(
    monkeypatch: pytest.MonkeyPatch, gigabytes: int, expected: list[str]
) -> None:
    monkeypatch.setattr(devices, "multiprocessors", lambda: 40)
    small, *others = (capacity.need(name, Precision.FLOAT16, CUDA) for name in RELEASED)
    names = {id(need): name for name, need in zip(("medium", "large"), others, strict=True)}
    found = sharing.beside(small, gigabytes * 1e9 - memory.RESERVED_BYTES, others)
    assert [names[id(need)] for need in found] == expected


def on_disk(name: str) -> SimpleNamespace:
    """What is looked at of a model before its weights are read."""
    size, (width, layers) = RELEASED[name]
    layer = SimpleNamespace(self_attn=SimpleNamespace(num_heads=width // 64))
    weight = SimpleNamespace(numel=lambda: size / 2)
    transformer = SimpleNamespace(layers=[layer] * layers, parameters=lambda: [weight])
    lm = SimpleNamespace(
        dim=width, transformer=transformer, linears=SimpleNamespace(parameters=list)
    )
    return SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)


@pytest.mark.usefixtures("released")
@pytest.mark.parametrize(("most", "slots"), [(None, [8, 8]), (1, [16, 12])])
def test_models_that_stay_loaded_side_by_side_share_the_slots_of_a_gpu(
    monkeypatch: pytest.MonkeyPatch, most: int | None, slots: list[int]
) -> None:
    left, found = [24e9], []

    def loaded(name: str, _: object, __: object, others: list[Need]) -> Model:
        model = on_disk(name)
        left[0] -= capacity.estimate(name, Precision.FLOAT16, CUDA) - RELEASED[name][0]
        found.append(capacity.slots(model, Precision.FLOAT16, CUDA, others))
        breadth = checkpoints.breadth(name)
        left[0] -= RELEASED[name][0] + found[-1] * capacity.slot(breadth, Precision.FLOAT16, CUDA)
        return Model()

    monkeypatch.setattr(family, "MusicGen", loaded)
    monkeypatch.setattr(checkpoints, "trouble", lambda _: None)
    monkeypatch.setattr(devices, "device", torch.device)
    monkeypatch.setattr(devices, "multiprocessors", lambda: 40)
    monkeypatch.setattr(family, "chosen", lambda *_: Precision.FLOAT16)
    monkeypatch.setattr(repertoire, "writer", lambda _: None)
    monkeypatch.setattr(memory, "free", lambda _: left[0])
    both = repertoire.Repertoire(["small", "large"], EngineSettings(device="cuda"), most=most)
    if most:
        left[0] = 24e9  # the first makes room
        both.loaded.clear()
    list(zip(both.render(asked("large"), lambda: False), range(3), strict=False))
    assert found == slots


def test_a_file_says_how_broad_its_model_is(home: Path, hub_cache: Callable[[Path], None]) -> None:
    hub_cache(home)
    assert checkpoints.breadth(SMALL) == tiny_musicgen.DIM * tiny_musicgen.LAYERS
    assert checkpoints.breadth("nobody/nothing") == 0


def test_a_slot_on_a_gpu_has_room_for_the_words_of_most_texts() -> None:
    past = SLOT / 2  # in half precision
    words = (
        capacity.slot(DIM * LAYERS, Precision.FLOAT16, CUDA) - past - capacity.LONGEST_SOUND_BYTES
    )
    assert words == 2 * DIM * LAYERS * USUAL_TEXT * 2


def test_a_gpu_holds_the_text_encoder_too(home: Path, hub_cache: Callable[[Path], None]) -> None:
    hub_cache(home)
    whole = (snapshot(home, "t5-base") / "model.safetensors").stat().st_size
    sizes = [
        capacity.estimate(SMALL, Precision.FLOAT16, torch.device(on)) for on in ("cpu", "cuda")
    ]
    assert sizes[1] - sizes[0] == whole / 2 > 0
    # What is told without torch leaves that out, and what the codec takes besides.
    assert sizes[0] / 2 < weights.of(SMALL).size(SMALL) < sizes[0]
    assert weights.of(SMALL).size("nobody/nothing") == 0


def test_this_machine_has_some_memory() -> None:
    assert 1e8 < memory.free(CPU) < 1e14


def cache(slots: int) -> Memory:
    """What a model of this size keeps for so many takes."""
    return Memory(
        layers=LAYERS,
        slots=slots,
        heads=2,
        positions=1500,
        size=DIM // 2,
        dtype=torch.float32,
        device=CPU,
    )


def test_memory_that_is_promised_to_one_model_is_not_promised_to_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    lm = language_model(dim=DIM, layers=LAYERS, dtype=torch.float32)
    model = SimpleNamespace(lm=lm, max_duration=30, frame_rate=50)
    parts = (lm.transformer, lm.linears)
    own = 4 * sum(weight.numel() for part in parts for weight in part.parameters())
    gc.collect()  # what other tests left would count until it goes
    before = memory.untouched()
    monkeypatch.setattr(
        memory, "available", lambda: own + memory.RESERVED_BYTES + before + 5.5 * SLOT
    )
    assert capacity.slots(model, Precision.FLOAT32, CPU) == 5
    promised = cache(3)
    assert memory.untouched() - before == pytest.approx(3 * SLOT, rel=0.01)
    assert capacity.slots(model, Precision.FLOAT32, CPU) == 2
    for layer in promised.music:
        layer[:, 0] = 1  # then the machine counts it as taken
    assert memory.untouched() - before == pytest.approx(2 * SLOT, rel=0.01)
    del promised, layer
    gc.collect()
    assert memory.untouched() == before


def test_the_memory_is_looked_at_once_a_second_while_a_render_waits_for_room(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A look takes milliseconds for each gigabyte that is promised, and a step is as short."""
    looks: list[float] = []
    now = [100.0]

    def free(_: torch.device) -> float:
        looks.append(now[0])
        return 0.0

    monkeypatch.setattr(family, "MusicGen", Model)
    monkeypatch.setattr(checkpoints, "trouble", lambda _: None)
    need = Need(weights=1.0, slot=1.0, fewest=1, most=1)
    monkeypatch.setattr(capacity, "need", lambda *_: need)
    monkeypatch.setattr(memory, "free", free)
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    both = repertoire.Repertoire(["first", "second"], EngineSettings(device="cpu"))
    first, second = (both.render(asked(name), lambda: False) for name in ("first", "second"))
    next(first)
    looks.clear()
    for step in range(2500):
        now[0] = 100.0 + step / 1000
        both.step()
        assert isinstance(next(second), Idle)
    assert looks == [100.0, 101.0, 102.0]
    first.close()
    assert isinstance(next(second), Loading), "and at once where a model can be let go"
    assert len(looks) == 5


class Model:
    """What is loaded of any model."""

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def ready(self) -> Ready:
        return replace(ready(), slots=3)

    def step(self) -> None:
        pass

    def render(self, *_: object) -> Iterator[None]:
        while True:
            yield None


def asked(model: str) -> Render:
    return replace(Files(Path()).order(1, 7), model=model)
