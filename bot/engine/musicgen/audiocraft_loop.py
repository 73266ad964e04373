"""audiocraft's own loop, for models that our decoder does not support: one take at a time."""

import threading
from collections.abc import Callable, Generator
from concurrent.futures import wait
from functools import partial
from typing import TYPE_CHECKING

import torch

from bot.engine.executors import ThreadExecutor
from bot.engine.messages import Render
from bot.engine.musicgen.precisions import Kernels
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot_loop import prefix
from bot.engine.musicgen.windows import Window, windows

if TYPE_CHECKING:
    from audiocraft.models import MusicGen as Pretrained

Callback = Callable[[int, int], None]


class AudiocraftLoop:
    """Renders the takes of all requests one after the other, each seeded by itself.

    One thread computes for all of them: OpenMP keeps a pool of threads for each that computes, and
    two pools on the same cores made the steps of MusicGen-small a fifth longer.
    """

    slots = 1
    wider = "DEVICE=cpu"
    """The setting by which it computes with a wider range."""
    kernels = Kernels.TORCH

    def __init__(self, model: "Pretrained") -> None:
        """Take a model as audiocraft loads it."""
        self.model, self.thread = model, ThreadExecutor("loop")
        self.precision = str(next(model.lm.parameters()).dtype).removeprefix("torch.")
        self.running: AudiocraftTake | None = None
        self.finite = torch.ones((), dtype=torch.bool, device=model.device)
        """Whether all scores of the take that is running were finite."""
        model.lm.register_forward_hook(self._heed)

    def step(self) -> None:
        """Make one step of the take that is running."""
        if self.running:
            self.running.step()

    def begin(self, order: Render) -> list["AudiocraftTake"]:
        """Return the takes of an order; each waits for those before it."""
        lm = self.model.lm
        before = prefix(order, lm.num_codebooks, lm.card).to(self.model.device)
        return [AudiocraftTake(self, order, part.seed, before[None]) for part in order.parts]

    def _heed(self, _: object, __: object, scores: torch.Tensor) -> torch.Tensor:
        """Note scores that are not finite, and let audiocraft draw from others in their place.

        It would raise for them, and end with this take whatever else is under way.
        """
        assert self.running
        with_words, without = scores.chunk(2)
        guided = without + (with_words - without) * self.running.sampling.guidance
        finite = guided.isfinite().all()
        self.finite &= finite
        return torch.where(finite, scores, torch.zeros_like(scores))

    def windows(self, seconds: float, before: int) -> list[Window]:
        """Return the windows of this much music after a number of frames."""
        model, pattern = self.model, self.model.lm.pattern_provider

        def steps(frames: int, prompt: int) -> int:
            layout = pattern.get_pattern(frames)
            return len(layout.layout) - int(layout.get_first_step_with_timesteps(prompt))

        rate, stride = float(model.frame_rate), float(model.extend_stride)
        return windows(seconds, rate, float(model.max_duration), stride, steps, before)


class AudiocraftTake:
    """One take. What it has are its complete windows: audiocraft tells nothing of the one begun."""

    def __init__(
        self, loop: AudiocraftLoop, order: Render, seed: int, before: torch.Tensor
    ) -> None:
        """Begin with the codes [1, codebooks, frames] that an order continues."""
        self._loop, self._prompt, self._seed = loop, order.prompt, seed
        self.sampling = Sampling.asked(order.options)
        self._windows = loop.windows(order.seconds, before.shape[-1])
        self._steps: Generator[None, None, None] | None = None
        self._codes = before
        self._finite = True
        self.done, self.ended = 0, False
        self.total = sum(window.steps for window in self._windows)

    @property
    def finite(self) -> bool:
        """Whether it is of numbers so far; this waits for the device."""
        return self._finite and (self._loop.running is not self or bool(self._loop.finite))

    @property
    def frames(self) -> int:
        """How many frames it has."""
        return self._codes.shape[-1]

    def proceed(self) -> None:
        """Begin, if nobody else is at it."""
        if not self._loop.running and not self.ended and not self._steps:
            self._loop.running = self
            self._loop.finite.fill_(True)
            self._steps = self._played()

    def step(self) -> None:
        """Make its next step."""
        assert self._steps
        try:
            next(self._steps)
            self.done += 1
        except StopIteration:
            self.stop()

    def codes(self) -> torch.Tensor:
        """Return what it has, [codebooks, frames]."""
        return self._codes[0]

    def stop(self) -> None:
        """End with what it has."""
        self.ended, self._finite = True, self.finite
        if self._loop.running is self:
            self._loop.running = None
            assert self._steps
            self._steps.close()

    drop = stop
    """What it has takes no memory of the loop's."""

    def _played(self) -> Generator[None, None, None]:
        torch.manual_seed(self._seed)  # audiocraft draws from torch's own generator, and only it
        for window in self._windows:
            self._codes = yield from stepped(self._loop.thread, partial(self._extended, window))

    def _extended(self, window: Window, callback: Callback) -> torch.Tensor:
        prompt = self._codes[..., self._codes.shape[-1] - window.prompt :]
        longer = self._generated(prompt, window.frames, callback)
        return torch.cat([self._codes, longer[..., window.prompt :]], dim=-1)

    def _generated(self, prompt: torch.Tensor, frames: int, callback: Callback) -> torch.Tensor:
        """Return codes [1, codebooks, frames], which begin with those of the prompt."""
        model, sampling = self._loop.model, self.sampling
        attributes, _ = model._prepare_tokens_and_attributes([self._prompt], None)
        with model.autocast:
            codes: torch.Tensor = model.lm.generate(
                prompt,
                attributes,
                max_gen_len=frames,
                temp=sampling.temperature,
                top_k=sampling.top_k,
                cfg_coef=sampling.guidance,
                two_step_cfg=False,  # two steps would ignore cfg_coef
                callback=callback,
            )
        return codes


class StepsAbandoned(BaseException):
    """Raised inside a call whose steps are no longer wanted."""


def stepped(
    thread: ThreadExecutor, call: Callable[[Callback], torch.Tensor]
) -> Generator[None, None, torch.Tensor]:
    """Run a blocking call a step at a time, and return what it returns.

    audiocraft's loop cannot be left and entered again, and tells of its steps by a callback. So it
    runs in another thread, and a baton goes to and fro: that thread runs only while this generator
    waits for it, nothing is concurrent. Closing it early raises in the callback, and audiocraft
    forgets the unfinished window.
    """
    go, came, left = threading.Semaphore(0), threading.Semaphore(0), threading.Event()

    def pause() -> None:
        go.acquire()
        if left.is_set():
            raise StepsAbandoned

    def step(_done: int, _of: int) -> None:
        came.release()
        pause()

    def run() -> torch.Tensor:
        pause()
        return call(step)

    future = thread.submit(run)
    future.add_done_callback(lambda _: came.release())  # so that an error ends the wait, too
    try:
        while True:
            go.release()
            came.acquire()
            if future.done():
                return future.result()
            yield
    finally:
        left.set()
        go.release()
        wait([future])  # the thread is the next take's then
