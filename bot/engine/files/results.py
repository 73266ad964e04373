"""The files that an engine leaves for an order: music, codes, previews and the picture."""

import logging
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.engine.files import mastering, waveform
from bot.engine.files.tags import Tags
from bot.engine.files.wav import pcm, write_codes, write_pcm
from bot.engine.messages import PREVIEW_SECONDS, Part, Render, Took
from bot.errors import JobError
from bot.values import Fault

log = logging.getLogger(__name__)

FloatSamples = NDArray[np.floating]
Pcm = NDArray[np.int16]

NO_SOUND = (
    "There is no music in this piece: its sound is NaN or infinity. Whoever runs this bot can try "
    "PRECISION=float32; if that does not help, the model's codec is damaged."
)


class Results:
    """The files of an order, written as its takes end."""

    def __init__(self, order: Render, rate: int, *, finishes: bool) -> None:
        """Write at a sample rate; `finishes` says whether the sound is finished."""
        self.order, self._rate, self._finishes = order, rate, finishes
        self._strips: dict[int, waveform.Strip] = {}
        self._previews = all(part.preview for part in order.parts)
        self._writing, self._dropped = threading.Lock(), False

    def previews_due(self, seconds: float) -> bool:
        """Whether to write previews now that all takes are long enough: once, if at all."""
        due = self._previews and seconds >= PREVIEW_SECONDS
        self._previews = self._previews and not due
        return due

    def previewed(self, part: Part, samples: FloatSamples) -> None:
        """Write the preview from samples [channels, length]; raise JobError if that fails."""
        assert part.preview
        sound = self._pcm(part, samples[:, : PREVIEW_SECONDS * self._rate])
        self._write(partial(self._write_sound, Path(part.preview), part, sound))

    def took(self, part: Part, samples: FloatSamples, codes: NDArray[np.number]) -> Took | None:
        """Write a take's samples [channels, length] and codes; raise JobError if that fails."""
        sound = self._pcm(part, samples)
        if not self._write(partial(self._write_take, part, sound, codes)):
            return None
        if self.order.picture:
            self._strips[part.number] = waveform.strip(samples, self._rate)
        seconds = samples.shape[-1] / self._rate
        return Took(id=self.order.id, number=part.number, seconds=seconds)

    def drawn(self) -> None:
        """Draw the picture of all takes; the music is posted without one if that fails."""
        if not self.order.picture or not self._strips:
            return
        path, prompt = Path(self.order.picture), self.order.prompt
        strips = [strip for _, strip in sorted(self._strips.items())]
        try:
            self._write(lambda: waveform.write(path, prompt, strips))
        except Exception:
            log.exception("job %s: its picture was not drawn", self.order.id)

    def drop(self) -> None:
        """Stop all writing; a file that is being written is finished first."""
        with self._writing:
            self._dropped = True

    def _write(self, write: Callable[[], None]) -> bool:
        """Write files and return whether they were still wanted; raise JobError if that fails."""
        with self._writing:
            if not self._dropped:
                try:
                    write()
                except OSError as error:
                    reason = f"The music could not be saved: {error}."
                    raise JobError(reason, Fault.DISK) from error
            return not self._dropped

    def _pcm(self, part: Part, samples: FloatSamples) -> Pcm:
        if not np.isfinite(samples).all():  # cast to integers they would be noise, or silence
            raise JobError(NO_SOUND, Fault.NUMBERS)
        return mastering.pcm(samples, self._rate, part.seed) if self._finishes else pcm(samples)

    def _write_take(self, part: Part, sound: Pcm, codes: NDArray[np.number]) -> None:
        path = Path(part.codes)
        try:
            # The music comes last: where that is, the codes to go on from it are, too.
            write_codes(path, codes)
            self._write_sound(Path(part.audio), part, sound)
        except OSError:
            path.unlink(missing_ok=True)
            raise

    def _write_sound(self, path: Path, part: Part, sound: Pcm) -> None:
        write_pcm(path, sound, self._rate, Tags.of(self.order, part))
