"""What an engine leaves behind of an order: music, codes, previews and the picture."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bot.engine import audio, finish, picture
from bot.engine.audio import write_codes, write_wav
from bot.engine.faults import NotFinite, RenderError, Unsaved
from bot.engine.messages import PREVIEW, Part, Render, Took
from bot.engine.tags import Tags

log = logging.getLogger(__name__)

Samples = NDArray[np.floating]

NO_SOUND = (
    "There is no music in this piece: its sound is not finite. Whoever runs this can try "
    "PRECISION=float32; if that does not help, the model's codec is damaged."
)


class Results:
    """The files of an order, written as its takes end."""

    def __init__(self, order: Render, rate: int, *, finishes: bool) -> None:
        """Write at a sample rate; `finishes` says whether the sound is finished."""
        self.order, self._rate, self._finishes = order, rate, finishes
        self._lanes: dict[int, picture.Lane] = {}
        self._previews = all(part.preview for part in order.parts)

    def previews_due(self, seconds: float) -> bool:
        """Whether previews are wanted and not yet written, now that all takes have so much."""
        return self._previews and seconds >= PREVIEW

    def previewed(self, part: Part, samples: Samples) -> None:
        """Write the beginning of samples [channels, length]; raise RenderError if it cannot be."""
        assert part.preview
        self._previews = False
        self._write(Path(part.preview), part, samples[:, : PREVIEW * self._rate])

    def took(self, part: Part, samples: Samples, codes: NDArray[np.integer]) -> Took:
        """Write a take's samples [channels, length] and codes; raise RenderError if that fails."""
        try:
            write_codes(Path(part.codes), codes)
        except OSError as error:
            raise _unsaved(error) from error
        try:
            self._write(Path(part.audio), part, samples)
        except RenderError:
            Path(part.codes).unlink(missing_ok=True)
            raise
        if self.order.picture:
            self._lanes[part.number] = picture.lane(samples, self._rate)
        seconds = samples.shape[-1] / self._rate
        return Took(id=self.order.id, number=part.number, seconds=seconds)

    def drawn(self) -> None:
        """Draw the picture of all takes; the music is posted without one if that fails."""
        if not self.order.picture or not self._lanes:
            return
        lanes = [lane for _, lane in sorted(self._lanes.items())]
        try:
            picture.write(Path(self.order.picture), self.order.prompt, lanes)
        except Exception:
            log.exception("job %s: its picture was not drawn", self.order.id)

    def _write(self, path: Path, part: Part, samples: Samples) -> None:
        order = self.order
        tags = Tags(
            title=order.prompt, model=order.model, seed=part.seed, piece=order.id, take=part.number
        )
        write = finish.write if self._finishes else write_wav
        try:
            write(path, samples, self._rate, tags)
        except audio.NotFinite as error:
            raise NotFinite(NO_SOUND) from error
        except OSError as error:
            raise _unsaved(error) from error


def _unsaved(error: Exception) -> Unsaved:
    return Unsaved(f"The music cannot be saved: {error}.")
