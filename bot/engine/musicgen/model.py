"""MusicGen by audiocraft's weights: tokens by our decoder, or audiocraft's own loop, then sound.

A take's codes are what audiocraft's `generate` gives a single request with the take's seed.
"""

import logging
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import torch

from bot.engine import names
from bot.engine.contract import Rendering
from bot.engine.executors import Executor, InlineExecutor, Tasks
from bot.engine.files.results import Results
from bot.engine.hardware import devices
from bot.engine.hardware.precisions import Precision, chosen
from bot.engine.loading import TOO_SMALL, no_room, room_for, trial
from bot.engine.messages import Confirmation, Part, Previewed, Progress, Ready, Render, Took
from bot.engine.musicgen import capacity, loading
from bot.engine.musicgen.audiocraft_loop import AudiocraftLoop, AudiocraftTake
from bot.engine.musicgen.codec import Codec, Sound
from bot.engine.musicgen.precisions import Kernels, kernels_for
from bot.engine.musicgen.sampling import Sampling
from bot.engine.musicgen.slot_loop import SlotLoop, SlottedTake
from bot.engine.musicgen.transformer import unknown
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from bot.errors import JobError, OperatorError
from bot.values import Fault

log = logging.getLogger(__name__)

WARM_UP_STEPS = 8


@dataclass(slots=True, kw_only=True, eq=False)
class TakeOutput:
    """A take on its way to its files."""

    part: Part
    take: SlottedTake | AudiocraftTake
    sound: Sound
    before: int
    """Frames that it continues."""


class MusicGen:
    """Renders with a model of the hub, or in a folder, that words alone steer."""

    def __init__(
        self,
        model: str,
        settings: EngineSettings,
        writer: Executor | None = None,
        others: Sequence[Need] = (),
    ) -> None:
        """Load a model of the hub, or a folder's; raise OperatorError.

        Of the memory, models that are to be loaded beside it, the `others`, get as much as they
        need. `writer` fetches the sound from the device, finishes and writes it; nobody makes a
        step meanwhile if it is not given.
        """
        self._settings, self._writer = settings, writer or InlineExecutor()
        self._spills = 0
        """How many steps ran out of memory."""
        self._name = names.name(model)
        self._device = devices.device(settings.device)
        ways = "set MUSICGEN_MODEL to a smaller model or SLOTS to a lower number"
        ways += ", or DEVICE=cpu" if self._device.type == "cuda" else ""
        with room_for(model, self._device, ways):
            self.loop = self._load(model, others)
            self._pace = self._measured()

    def _load(self, model: str, others: Sequence[Need]) -> SlotLoop | AudiocraftLoop:
        precision = chosen(self._settings.precision, self._device)
        kernels = kernels_for(self._settings.kernels, precision, self._device)
        loaded = loading.load(model, self._device)
        reason = unknown(loaded.lm)
        loading.check_numbers(self._name, loaded.lm, precision.dtype)
        if reason:
            loaded = loading.load_whole(model, self._device)
        self.codec = Codec(loaded.compression_model)
        self._card = int(loaded.lm.card)
        if reason:
            log.warning(
                "%s is rendered by audiocraft's own loop, more slowly and one take at a time: our "
                "decoder does not support %s",
                model,
                reason,
            )
            return AudiocraftLoop(loaded)
        slots = self._settings.slots or capacity.slots(loaded, precision, self._device, others)
        return SlotLoop(
            loaded, slots=slots, precision=precision, device=self._device, kernels=kernels
        )

    def ready(self) -> Ready:
        """Return what was loaded and how fast it was just now."""
        native = self.loop.kernels is Kernels.NATIVE
        return Ready(
            models=(self._name,),
            device="cpu (native kernels)" if native else devices.told(self._device),
            precision=self.loop.precision,
            slots=self.loop.slots,
            pace=self._pace,
            confirms=Confirmation(
                sample_rate=self.codec.sample_rate,
                channels=int(self.codec.model.channels),
                options=Sampling().options,
            ),
        )

    def expected(self) -> float:
        """Return the seconds that a step of few takes needs."""
        return self._pace / self.codec.frame_rate

    def step(self) -> None:
        """Draw the next tokens of all takes.

        If that runs out of memory, every current render fails.
        """
        try:
            self.loop.step()
            return
        except (MemoryError, RuntimeError) as error:
            no_room(f"a step of {self._name}", error)
        self._spills += 1
        torch.cuda.empty_cache()

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        """Render an order, its takes side by side; see contract.Engine."""
        if Sampling.asked(order.options).top_k > self._card:
            raise JobError(f"top_k can be at most {self._card} with {self._name}.")
        try:
            yield from self._render(order, finishing)
            return
        except (MemoryError, RuntimeError) as error:
            problem = no_room(f"job {order.id}", error)
        # Only out here the error is gone, and with it the last that held what it could not get.
        torch.cuda.empty_cache()
        raise problem

    def _render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        takes: Sequence[SlottedTake | AudiocraftTake] = self.loop.begin(order)
        outputs = [
            TakeOutput(part=part, take=take, sound=Sound(self.codec), before=take.frames)
            for part, take in zip(order.parts, takes, strict=True)
        ]
        results = Results(order, self.codec.sample_rate, finishes=self._settings.finishes)
        written: Tasks[Took | Previewed] = Tasks(self._writer)
        total = sum(output.take.total for output in outputs)
        left, told, spills = list(outputs), 0, self._spills
        try:
            while left:
                if self._spills > spills:
                    raise JobError(TOO_SMALL, Fault.MEMORY)
                stop = finishing() and self._worth_keeping(outputs)
                for output in left[:1] if order.one_by_one and not stop else left:
                    if stop:
                        output.take.stop()
                    else:
                        output.take.proceed()
                done = sum(output.take.done for output in outputs)
                yield Progress(id=order.id, done=done, total=total) if done > told else None
                told = done
                for output in [output for output in left if not self._hear(output)]:
                    left.remove(output)
                    self._check_numbers(output)
                    if output.take.frames > output.before:
                        written.submit(partial(self._took, results, output))
                        yield from written.finished()
                if left and results.previews_due(min(each.sound.seconds for each in outputs)):
                    for output in outputs:
                        self._check_numbers(output)
                    written.submit(partial(self._previewed, results, outputs))
                yield from written.finished()
            written.submit(results.drawn)
            yield from written.remaining()
        finally:
            written.cancel()
            results.drop()  # before the takes: whoever cancelled finds no file afterwards
            for output in left:
                output.take.drop()

    def _worth_keeping(self, outputs: Sequence[TakeOutput]) -> bool:
        """Whether a take has a second of new music."""
        return any(
            output.take.frames - output.before >= self.codec.frame_rate for output in outputs
        )

    def _hear(self, output: TakeOutput) -> bool:
        """Decode a chunk of its sound, if one is there; return whether more will come."""
        take, sound = output.take, output.sound
        if sound.due(take.frames, ended=take.ended):
            sound.hear(take.codes())
            return True
        return not take.ended

    def _took(self, results: Results, output: TakeOutput) -> Took | None:
        """Write a take that is complete and fully decoded."""
        with self.codec.aside():
            codes = output.take.codes().cpu().numpy()
        return results.took(output.part, output.sound.samples(), codes)

    def _previewed(self, results: Results, outputs: Sequence[TakeOutput]) -> Previewed:
        for output in outputs:
            results.previewed(output.part, output.sound.samples())
        return Previewed(id=results.order.id)

    def _check_numbers(self, output: TakeOutput) -> None:
        """Raise JobError if a take was drawn from scores that are NaN or infinite."""
        if not output.take.finite:
            reason = f"There is no music in this piece: {self._nonsense()}."
            raise JobError(reason, Fault.NUMBERS)

    def _nonsense(self) -> str:
        """Say that the model computes NaN or infinity, and what its operator can do."""
        what = f"{self._name} computes NaN or infinity in {self.loop.precision}"
        if self.loop.precision in (Precision.FLOAT32, Precision.FLOAT64):
            return f"{what}; its weights may be damaged"
        return f"{what}; whoever runs this bot can try {self.loop.wider}"

    def _measured(self) -> float:
        """Return the seconds of work per second of music of one take, from a few steps."""
        (take,) = self.loop.begin(trial(self._name, 1, {"top_k": 1}))
        take.proceed()
        ticks = []
        for _ in range(WARM_UP_STEPS):
            begun = time.perf_counter()
            self.loop.step()
            devices.wait(self._device)
            ticks.append(time.perf_counter() - begun)
        take.stop()
        if not take.finite:
            raise OperatorError(f"{self._name} cannot play: {self._nonsense()}.")
        # The first step does what no other has to, such as to touch its memory.
        return statistics.median(ticks[1:]) * self.codec.frame_rate
