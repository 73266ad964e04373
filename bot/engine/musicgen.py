"""MusicGen by audiocraft: load, decode tokens one step at a time, decode the sound.

Model, codec and every number of the windows are audiocraft's own (`models/genmodel.py`,
`_generate_tokens`): a take's codes equal what its `generate` gives for the take's seed.
"""

import collections
import logging
import os
import pickle
import queue
import statistics
import threading
import time
import traceback
import typing
from collections.abc import Callable, Generator, Iterator
from concurrent.futures import Future, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from itertools import count, pairwise
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from bot.engine import weights
from bot.engine.audio import write_codes, write_wav
from bot.engine.faults import LoadError, RenderError
from bot.engine.messages import Part, Progress, Ready, Render, Took

try:
    import torch
except ImportError as problem:
    raise LoadError(
        f"MusicGen's packages are not installed ({problem}): run `make setup`."
    ) from problem

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained

    from bot.engine.worker import Rendering

log = logging.getLogger(__name__)

WARM_UP = Render(
    id=0, prompt="warm-up", seconds=1, model="", parts=(), guidance=3.0, temperature=1.0, top_k=1
)
WARM_UP_FRAMES = 8

T = TypeVar("T")
Callback = Callable[[int, int], None]


class MusicGen:
    """Renders with a model of the hub, or in a folder, that words alone steer."""

    def __init__(self, model: str, device: str) -> None:
        """Load `model` onto "cpu", "cuda" or, by "auto", the better one; raise LoadError."""
        self._hand = Hand()
        self._name = weights.name(model)
        try:
            self._model = self._hand.do(lambda: _load(model, _device(device))).result()
            self._pace = self._hand.do(self._measured).result()
        except torch.OutOfMemoryError as error:
            raise LoadError(
                f"The GPU has too little free memory for {model}: set MUSICGEN_MODEL to a smaller "
                "model, or DEVICE=cpu."
            ) from error

    def ready(self) -> Ready:
        """Return what was loaded and how fast it was just now."""
        device = str(self._model.device.type)
        if device == "cuda":
            device = f"cuda ({torch.cuda.get_device_name()})"
        return Ready(
            engine="musicgen",
            models=(self._name,),
            device=device,
            precision=str(next(self._model.lm.parameters()).dtype).removeprefix("torch."),
            slots=1,
            sample_rate=int(self._model.sample_rate),
            pace=self._pace,
        )

    def render(self, order: Render, finishing: Callable[[], bool]) -> "Rendering":
        """Render an order, one decoder step per iteration; see worker.Engine.

        Each take is seeded by itself, so that it is what a single request with its seed gives.
        Finishing keeps the windows that are complete: nothing of a piece shorter than one.
        """
        if order.top_k > self._model.lm.card:
            raise RenderError(f"top_k can be at most {self._model.lm.card} with {self._name}.")
        try:
            yield from self._render(order, finishing)
            return
        except torch.OutOfMemoryError as error:
            log.warning("job %s: %s", order.id, error)
            traceback.clear_frames(error.__traceback__)  # they hold what fills the memory
        torch.cuda.empty_cache()
        raise RenderError("The GPU's memory is too small for this piece. A shorter one may fit.")

    def _render(self, order: Render, finishing: Callable[[], bool]) -> "Rendering":
        windows = self._windows(order.seconds)
        total = len(order.parts) * sum(window.steps for window in windows)
        progress = (Progress(id=order.id, done=done, total=total) for done in count(1))
        for part in order.parts:
            codes = yield from self._take(order, part, windows, progress, finishing)
            if codes.shape[-1]:
                yield self._kept(order, part, codes)
            if finishing():
                return

    def _take(
        self,
        order: Render,
        part: Part,
        windows: list["Window"],
        progress: Iterator[Progress],
        finishing: Callable[[], bool],
    ) -> Generator[Progress, None, torch.Tensor]:
        """Return a take's codes [1, codebooks, frames], fewer of them if it has to finish."""
        torch.manual_seed(part.seed)
        codes = self._nothing()
        for window in windows:
            with Steps(self._hand, partial(self._extended, order, codes, window)) as steps:
                for step, _ in enumerate(steps, 1):
                    yield next(progress)
                    if finishing() and step < window.steps:
                        return codes
            codes = steps.result
        return codes

    def _extended(
        self, order: Render, codes: torch.Tensor, window: "Window", callback: Callback
    ) -> torch.Tensor:
        prompt = codes[..., codes.shape[-1] - window.prompt :]
        longer = self._generate(order, prompt, window.frames, callback)
        return torch.cat([codes, longer[..., window.prompt :]], dim=-1)

    def _generate(
        self, order: Render, prompt: torch.Tensor, frames: int, callback: Callback
    ) -> torch.Tensor:
        """Return codes [1, codebooks, frames], which begin with those of the prompt."""
        from audiocraft.modules.conditioners import ConditioningAttributes

        with self._model.autocast:
            codes: torch.Tensor = self._model.lm.generate(
                prompt,
                [ConditioningAttributes(text={"description": order.prompt})],
                max_gen_len=frames,
                use_sampling=True,
                temp=order.temperature,
                top_k=order.top_k,
                top_p=0.0,
                cfg_coef=order.guidance,
                two_step_cfg=False,  # two steps would ignore cfg_coef
                callback=callback,
            )
        return codes

    def _windows(self, seconds: float) -> list["Window"]:
        rate, pattern = self._model.frame_rate, self._model.lm.pattern_provider
        stride = int(rate * self._model.extend_stride)
        windows: list[Window] = []
        offset = prompt = 0
        while offset + prompt < int(seconds * rate):
            frames = int(min(seconds - offset / rate, self._model.max_duration) * rate)
            layout = pattern.get_pattern(frames)
            steps = len(layout.layout) - layout.get_first_step_with_timesteps(prompt)
            windows.append(Window(prompt=prompt, frames=frames, steps=steps))
            offset += stride
            prompt = max(0, frames - stride)
        return windows

    def _kept(self, order: Render, part: Part, codes: torch.Tensor) -> Took:
        seconds = codes.shape[-1] / float(self._model.frame_rate)  # NumPy's, which JSON is not
        length = round(seconds * self._model.sample_rate)
        sound = self._hand.do(lambda: self._sound(codes, length)).result()
        try:
            write_codes(Path(part.codes), codes[0].cpu().numpy())
            write_wav(Path(part.audio), sound, self._model.sample_rate)
        except (OSError, ValueError) as error:
            Path(part.codes).unlink(missing_ok=True)
            raise RenderError(f"The music cannot be saved: {error}.") from error
        return Took(id=order.id, number=part.number, seconds=seconds)

    def _sound(self, codes: torch.Tensor, length: int) -> NDArray[np.float32]:
        """Return samples [channels, length] in -1…1, decoded in one go."""
        sound = self._model.generate_audio(codes)[0].float()
        sound = torch.nn.functional.pad(sound, (0, length - sound.shape[-1]))  # or cut
        samples: NDArray[np.float32] = sound.cpu().numpy()
        return samples

    def _measured(self) -> float:
        """Return the seconds of work per second of music, from a few steps."""
        ticks: list[float] = []
        self._generate(
            WARM_UP, self._nothing(), WARM_UP_FRAMES, lambda *_: ticks.append(time.perf_counter())
        )
        step = statistics.median(after - before for before, after in pairwise(ticks))
        return float(step * self._model.frame_rate)

    def _nothing(self) -> torch.Tensor:
        shape = (1, self._model.lm.num_codebooks, 0)
        return torch.zeros(shape, dtype=torch.long, device=self._model.device)


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """A stretch of music: its frames, how many of them repeat the one before, its decoder steps."""

    prompt: int
    frames: int
    steps: int


class Hand:
    """The one thread in which torch computes.

    OpenMP keeps a pool of threads for each thread that computes, and two pools on the same cores
    made the steps of MusicGen-small a fifth longer. Not an executor: a process that dies would
    wait for its thread.
    """

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        threading.Thread(target=self._work, name="hand", daemon=True).start()

    def do(self, call: Callable[[], T]) -> "Future[T]":
        """Begin a call as soon as those before it are over."""
        future: Future[T] = Future()

        def work() -> None:
            try:
                future.set_result(call())
            except BaseException as error:
                future.set_exception(error)

        self._calls.put(work)
        return future

    def _work(self) -> None:
        while True:
            self._calls.get()()


class Left(BaseException):
    """Raised inside a call whose steps nobody wants any more."""


class Steps:
    """Runs a blocking call one step per iteration, of which the call itself knows only a callback.

    audiocraft's loop cannot be left and entered again, so it runs in another thread, and a baton
    goes to and fro: that thread runs only while the iterator waits for it, nothing is concurrent.
    Leaving the block early raises in the callback, and audiocraft forgets the unfinished window.
    """

    result: torch.Tensor

    def __init__(self, hand: Hand, call: Callable[[Callback], torch.Tensor]) -> None:
        self._hand, self._call = hand, call
        self._go, self._came = threading.Semaphore(0), threading.Semaphore(0)
        self._left = False

    def __enter__(self) -> Self:
        self._future = self._hand.do(self._run)
        self._future.add_done_callback(lambda _: self._came.release())
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._left = True
        self._go.release()
        wait([self._future])

    def __iter__(self) -> Iterator[None]:
        while True:
            self._go.release()
            self._came.acquire()
            if self._future.done():
                self.result = self._future.result()
                return
            yield

    def _run(self) -> torch.Tensor:
        self._pause()
        return self._call(lambda _done, _of: self._step())

    def _step(self) -> None:
        self._came.release()
        self._pause()

    def _pause(self) -> None:
        self._go.acquire()
        if self._left:
            raise Left


def _device(asked: str) -> str:
    gpu = torch.cuda.is_available()
    if asked == "cuda" and not gpu:
        raise LoadError("DEVICE is cuda, but torch finds no CUDA GPU: set DEVICE=auto or cpu.")
    return asked if asked != "auto" else "cuda" if gpu else "cpu"


def _load(model: str, device: str) -> "Pretrained":
    # The child renders with what was fetched; it neither waits for the hub nor asks for updates.
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    if lacks := weights.missing(model):
        raise LoadError(
            f"MusicGen lacks {', '.join(lacks)}: `python -m bot fetch {model}` downloads what is "
            "missing."
        )
    _check(model, weights.conditions(model))
    try:
        from audiocraft.models import MusicGen as Pretrained

        with _safe_globals():
            loaded = Pretrained.get_pretrained(model, device=device)
    except torch.OutOfMemoryError:
        raise
    except pickle.UnpicklingError as error:
        log.exception("%s cannot be loaded", model)
        raise LoadError(
            f"{model} is not opened: its checkpoint holds code besides weights, or is damaged."
        ) from error
    except Exception as error:
        log.exception("%s cannot be loaded", model)
        why = (str(error).strip() or type(error).__name__).splitlines()[0].rstrip(".")
        raise LoadError(
            f"{model} cannot be loaded: {why}. If its files are damaged, delete them and run "
            f"`python -m bot fetch {model}`."
        ) from error
    _check(model, set(loaded.lm.condition_provider.conditioners))
    return loaded


def _check(model: str, conditions: set[str]) -> None:
    if "self_wav" in conditions:
        raise LoadError(
            f"{model} wants a melody besides the words, which is not supported yet: set "
            "MUSICGEN_MODEL to one without, such as facebook/musicgen-small."
        )
    if others := conditions - {"description"}:
        raise LoadError(
            f"{model} wants {', '.join(sorted(others))} besides the words, which is not supported."
        )


def _safe_globals() -> AbstractContextManager[None]:
    """Allow the classes of a checkpoint whose settings are OmegaConf's own objects, not text.

    Some of audiocraft's early releases are like that (its pull request 534). They are plain data.
    """
    from omegaconf import DictConfig, ListConfig, base, nodes

    plain: list[Any] = [
        DictConfig,
        ListConfig,
        base.ContainerMetadata,
        base.Metadata,
        nodes.AnyNode,
    ]
    plain += [typing.Any, collections.defaultdict, dict, list, int]
    return torch.serialization.safe_globals(plain)
