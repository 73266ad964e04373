"""ACE-Step by diffusers' weights: latents by our loop over the pipeline's parts, then sound.

A take is what the pipeline makes of a single request with the take's seed.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from functools import partial

import torch

from bot.engine import cards, names, sharing
from bot.engine.acestep import capacity, loading
from bot.engine.acestep.denoising import usual
from bot.engine.acestep.precisions import chosen
from bot.engine.acestep.session import NONSENSE, Session
from bot.engine.contract import Rendering
from bot.engine.executors import Executor, InlineExecutor, Tasks
from bot.engine.files.results import Results
from bot.engine.hardware import devices, memory
from bot.engine.loading import no_room, room_for, trial
from bot.engine.messages import Confirmation, Progress, Ready, Render, Took
from bot.engine.settings import EngineSettings
from bot.engine.sharing import Need
from bot.errors import JobError, OperatorError

TRIAL_SECONDS, TRIAL_STEPS = 10, 2
"""Of the piece that tells how fast the model is."""


class AceStep:
    """Renders with a model of the hub, or in a folder: songs, or music without words."""

    def __init__(
        self,
        model: str,
        settings: EngineSettings,
        writer: Executor | None = None,
        others: Sequence[Need] = (),
    ) -> None:
        """Load a model; raise OperatorError.

        Of the memory, models that are to be loaded beside it, the `others`, get as much as they
        need. `writer` finishes and writes the sound; nobody makes a step meanwhile if it is not
        given.
        """
        self._settings, self._writer = settings, writer or InlineExecutor()
        self._name = names.name(model)
        self._card = cards.card(self._name)
        self._device = devices.device(settings.device)
        self._precision = chosen(settings.precision, self._device)
        self._step_seconds = self._least_seconds = 0.0
        """What a step needs for each frame of each row, and what anything else needs."""
        self._sessions: deque[Session] = deque()
        """The orders that are rendered, by whose turn it is."""
        known = capacity.need(model, self._precision, self._device.type)
        slots = sharing.slots(known, memory.free(self._device) - memory.RESERVED_BYTES, others)
        self._slots = settings.slots or slots
        with room_for(model, self._device, "take it out of MODELS"):
            self.pipe = loading.load(model, self._device, self._precision.dtype)
            self._pace = self._measured()

    def ready(self) -> Ready:
        """Return what was loaded and how fast it was just now."""
        return Ready(
            models=(self._name,),
            device=devices.told(self._device),
            precision=self._precision,
            slots=self._slots,
            pace=self._pace,
            confirms=Confirmation(
                sample_rate=int(self.pipe.sample_rate),
                channels=int(self.pipe.vae.config.audio_channels),
                options=usual(self.pipe),
            ),
        )

    def expected(self) -> float:
        """Return the seconds that a step of the order may need whose turn it is.

        That is for its frames what one of the trial needed for its own, or as much as words or a
        tile needed there.
        """
        if not self._sessions:
            return 0.0
        session = self._sessions[0]
        frames = session.batch * session.rows * session.rendered
        return max(self._least_seconds, self._step_seconds * float(frames))

    def step(self) -> None:
        """Make one step of the order whose turn it is.

        If that runs out of memory, that render fails alone.
        """
        if not self._sessions:
            return
        session = self._sessions.popleft()
        try:
            session.step()
            # Progress is of what is done, and so is a cancellation.
            devices.wait(self._device)
        except JobError as error:
            session.problem = error
        except (MemoryError, RuntimeError) as error:
            session.problem = no_room("a render", error)
        if session.problem:
            torch.cuda.empty_cache()
        elif not session.ended:
            self._sessions.append(session)

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:  # noqa: ARG002
        """Render an order, its takes in batches that fit; see contract.Engine.

        It is made whole or not at all, so `finishing` is not asked: before its last steps a take is
        noise from end to end.
        """
        try:
            yield from self._render(order)
            return
        except (MemoryError, RuntimeError) as error:
            problem = no_room("a render", error)
        raise problem  # only out here nothing holds the error any more, and what it holds

    def _render(self, order: Render) -> Rendering:
        session = self._begun(order)
        results = Results(order, int(self.pipe.sample_rate), finishes=self._settings.finishes)
        written: Tasks[Took] = Tasks(self._writer)
        self._sessions.append(session)
        told = 0
        try:
            while told < session.total:
                if session.problem:
                    raise session.problem
                done, finished = session.done, session.finished()
                yield Progress(id=order.id, done=done, total=session.total) if done > told else None
                told = done
                for take in finished:
                    written.submit(partial(results.took, take.part, take.samples, take.latents))
                yield from written.finished()
            written.submit(results.drawn)
            yield from written.remaining()
        finally:
            written.cancel()
            results.drop()  # before the rest: whoever cancelled finds no file afterwards
            if session in self._sessions:
                self._sessions.remove(session)

    def _begun(self, order: Render) -> Session:
        session = Session(self.pipe, order, shortest=self._card.shortest)
        if self._device.type == "cuda" and len(order.parts) > 1 and not order.one_by_one:
            torch.cuda.empty_cache()  # what torch keeps of earlier pieces is free for this one
            each = session.rows * self._step_bytes(session.rendered)
            fit = (memory.free(self._device) - memory.RESERVED_BYTES) // each
            session.batch = max(1, min(len(order.parts), int(fit)))
        return session

    def _step_bytes(self, frames: int) -> float:
        shape = self.pipe.transformer.config
        return capacity.step(
            frames, shape.intermediate_size, shape.num_attention_heads, self._precision
        )

    def _measured(self) -> float:
        """Return the seconds of work per second of music of one take, from a few steps.

        Raises OperatorError for a model that computes no numbers.
        """
        session = self._begun(trial(self._name, TRIAL_SECONDS, {"steps": TRIAL_STEPS}))
        times = []
        while not session.ended:
            begun = time.perf_counter()
            try:
                session.step()
            except JobError as error:  # the words are ours: only its numbers can be wrong
                raise OperatorError(f"{self._name} cannot play: {NONSENSE}") from error
            devices.wait(self._device)
            times.append(time.perf_counter() - begun)
        # The first of a kind does what no other has to, such as to choose its kernels.
        words, _, step, *tiles = times
        self._step_seconds = step / (session.rows * session.rendered)
        self._least_seconds = max(words, tiles[-1])
        return (words + usual(self.pipe)["steps"] * step + len(tiles) * tiles[-1]) / TRIAL_SECONDS
