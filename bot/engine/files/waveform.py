"""The picture under a result: a strip per take, its loudness as height, its brightness as colour.

Brightness is the spectral centroid, on a logarithmic scale: the darker a sound, the more violet.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from bot.engine.files.wav import replace

WIDTH, PICTURE_MARGIN = 960, 36
HEADER_HEIGHT, STRIP_HEIGHT, LEAST_STRIP_HEIGHT, MOST_HEIGHT = 72, 190, 104, 640
"""Pixels; Discord shows 960 of them in about 400, a phone in about 350."""

BAR_WIDTH, BAR_GAP = 5, 2
BAR_COLUMNS = (WIDTH - 2 * PICTURE_MARGIN) // (BAR_WIDTH + BAR_GAP)
TEXT_SIZE, SMALL_TEXT_SIZE = 40, 34

SPECTRUM_FRAME = 2048
"""Samples whose spectrum is the colour of a column."""

DARKEST_HERTZ, BRIGHTEST_HERTZ = 150.0, 6000.0
"""Hertz."""

BACKGROUND_COLOUR, LINE_COLOUR = (24, 24, 32), (52, 52, 66)
INK_COLOUR, FAINT_COLOUR = (240, 240, 248), (176, 176, 192)

BRIGHTNESS_COLOURS = np.array(
    [(108, 82, 245), (88, 150, 255), (64, 214, 208), (250, 212, 92), (255, 126, 92)], dtype=float
)
"""From the darkest sound to the brightest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Strip:
    """What is drawn of a take: its seconds, and of each column the height and brightness, 0…1."""

    seconds: float
    heights: NDArray[np.floating]
    brightness: NDArray[np.floating]


def strip(samples: NDArray[np.floating], rate: int) -> Strip:
    """Return what is drawn of samples [channels, length] at a sample rate."""
    mono = samples.mean(axis=0, dtype=np.float32)
    edges = np.linspace(0, mono.size, BAR_COLUMNS + 1).astype(int)
    loud = np.array([_level(mono[a:b]) for a, b in itertools.pairwise(edges)])
    return Strip(
        seconds=mono.size / rate,
        heights=loud / max(float(loud.max()), 1e-4),
        brightness=_brightness(mono, edges, rate),
    )


def write(path: Path, prompt: str, strips: Sequence[Strip]) -> None:
    """Draw the strips of a result on one time axis; raise OSError where it cannot be written."""
    header = _readable(prompt)
    top = HEADER_HEIGHT if header else PICTURE_MARGIN // 2
    each = max(LEAST_STRIP_HEIGHT, min(STRIP_HEIGHT, (MOST_HEIGHT - top) // len(strips)))
    height = top + each * len(strips) + PICTURE_MARGIN // 2
    image = Image.new("RGB", (WIDTH, height), BACKGROUND_COLOUR)
    draw = ImageDraw.Draw(image)
    if header:
        font = ImageFont.load_default(TEXT_SIZE)
        draw.text((PICTURE_MARGIN, top // 2), _cut(header, font), INK_COLOUR, font, anchor="lm")
    longest = max(shown.seconds for shown in strips)
    for number, shown in enumerate(strips, 1):
        y = top + each * (number - 1)
        _draw(draw, shown, y, each, longest)
        if len(strips) > 1:
            # In the margin, where no bar is.
            _label(draw, PICTURE_MARGIN // 2, _middle(y, each), str(number), "mm")
        _label(draw, WIDTH - PICTURE_MARGIN, y + 4, _time(shown.seconds), "rt")
    small = image.quantize(64, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    replace(path, lambda file: small.save(file, "PNG"))


def _level(samples: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(samples)))) if samples.size else 0.0


def _brightness(
    mono: NDArray[np.floating], edges: NDArray[np.integer], rate: int
) -> NDArray[np.floating]:
    """Return the centroid in the middle of each column, 0…1."""
    padded = np.pad(mono, SPECTRUM_FRAME // 2)
    middles = (edges[:-1] + edges[1:]) // 2
    frames = padded[middles[:, None] + np.arange(SPECTRUM_FRAME)] * np.hanning(SPECTRUM_FRAME)
    power = np.abs(np.fft.rfft(frames)) ** 2
    hertz = np.fft.rfftfreq(SPECTRUM_FRAME, 1 / rate)
    centroid = (power @ hertz) / np.maximum(power.sum(axis=1), 1e-12)
    whole = np.log(BRIGHTEST_HERTZ / DARKEST_HERTZ)
    place = np.clip(np.log(np.maximum(centroid, 1.0) / DARKEST_HERTZ) / whole, 0, 1)
    # The mean of three columns: single ones would make a confetti of their colours.
    return np.convolve(np.pad(place, 1, mode="edge"), np.ones(3) / 3, "valid")


def _draw(draw: ImageDraw.ImageDraw, shown: Strip, top: int, height: int, longest: float) -> None:
    middle, half = _middle(top, height), (height - 28) / 2
    count = max(1, round(BAR_COLUMNS * shown.seconds / longest)) if longest else 1
    draw.line((PICTURE_MARGIN, middle, WIDTH - PICTURE_MARGIN, middle), LINE_COLOUR, 2)
    places = np.linspace(0, BAR_COLUMNS - 1, count)
    heights = np.interp(places, np.arange(BAR_COLUMNS), shown.heights)
    colours = _colour(np.interp(places, np.arange(BAR_COLUMNS), shown.brightness))
    for column, (level, colour) in enumerate(zip(heights, colours, strict=True)):
        left = PICTURE_MARGIN + column * (BAR_WIDTH + BAR_GAP)
        reach = max(1.5, half * float(level) ** 0.7)  # what is quiet shows, too
        box = (left, middle - reach, left + BAR_WIDTH - 1, middle + reach)
        draw.rounded_rectangle(box, 2, fill=tuple(int(part) for part in colour))


def _middle(top: int, height: int) -> int:
    """Return where silence lies in a strip."""
    return top + height // 2 + 8


def _label(draw: ImageDraw.ImageDraw, x: int, y: int, text: str, anchor: str) -> None:
    font = ImageFont.load_default(SMALL_TEXT_SIZE)
    draw.text(
        (x, y), text, FAINT_COLOUR, font, anchor, stroke_width=4, stroke_fill=BACKGROUND_COLOUR
    )


def _colour(brightness: NDArray[np.floating]) -> NDArray[np.floating]:
    stops = np.linspace(0, 1, len(BRIGHTNESS_COLOURS))
    return np.stack(
        [np.interp(brightness, stops, BRIGHTNESS_COLOURS[:, part]) for part in range(3)], axis=1
    )


def _readable(prompt: str) -> str:
    """Return what Pillow's own font can show of a prompt; nothing if that is too little of it."""
    words = " ".join(prompt.split())
    plain = "".join(char if 0x21 <= ord(char) <= 0x7E else " " for char in words)
    shown = " ".join(plain.split())
    return shown if 2 * len(shown) > len(words) else ""


def _cut(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Return as many characters as a line holds."""
    room = WIDTH - 2 * PICTURE_MARGIN
    if font.getlength(text) <= room:
        return text
    while text and font.getlength(f"{text}...") > room:
        text = text[:-1]
    return f"{text.rstrip()}..."


def _time(seconds: float) -> str:
    whole = round(seconds)
    return f"{whole // 60}:{whole % 60:02}" if whole >= 60 else f"{seconds:.3g} s"
