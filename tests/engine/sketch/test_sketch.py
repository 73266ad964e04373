"""The sketch engine: music without weights, the same for the same words and seed."""

import wave
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from PIL import Image

from bot.engine.cards import SKETCH
from bot.engine.messages import Part, Previewed, Progress, Render, Took
from bot.engine.sketch.engine import Piece, Sketch
from bot.engine.sketch.style import DORIAN, FASTEST_TEMPO, MAJOR, MINOR, style
from bot.errors import JobError


def order(folder: Path, prompt: str = "mozart fantasia", seconds: int = 4, **seeds: int) -> Render:
    parts = tuple(
        Part(
            number=n,
            seed=seed,
            audio=str(folder / f"{name}.wav"),
            codes=str(folder / f"{name}.npy"),
        )
        for n, (name, seed) in enumerate((seeds or {"take": 1}).items(), start=1)
    )
    return Render(
        id=7,
        prompt=prompt,
        seconds=seconds,
        model="sketch",
        parts=parts,
        options={},
    )


def samples(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        assert (file.getframerate(), file.getsampwidth(), file.getnchannels()) == (32000, 2, 1)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32768


def played(prompt: str, seconds: int, seed: int) -> np.ndarray:
    piece = Piece(prompt, seconds, seed)
    for _ in piece.play():
        pass
    return piece.sound(seconds)


def never() -> bool:
    return False


def test_it_is_what_its_card_says() -> None:
    found = Sketch().ready().confirms
    assert SKETCH.differences(found.sample_rate, found.channels, found.options) == []


def test_the_length_is_exact_and_the_samples_are_sound(tmp_path: Path) -> None:
    for seconds in (1, 2, 7, 31):
        list(Sketch().render(order(tmp_path, seconds=seconds), never))
        sound = samples(tmp_path / "take.wav")
        assert sound.size == seconds * 32000
        assert 0.3 <= np.abs(sound).max() <= 0.9
        assert abs(sound.mean()) < 0.002
        assert np.abs(sound[:2]).max() < 0.01
        assert np.abs(sound[-2:]).max() < 0.01


def test_the_same_seed_gives_the_same_samples_and_another_does_not(tmp_path: Path) -> None:
    for _ in range(2):
        list(Sketch().render(order(tmp_path, one=1, again=1, other=2), never))
    one, again, other = (samples(tmp_path / f"{name}.wav") for name in ("one", "again", "other"))
    assert (one == again).all()
    assert (one != other).any()


def test_another_prompt_gives_another_piece() -> None:
    assert not np.array_equal(played("piano", 3, 1), played("violin", 3, 1))


def test_progress_reaches_all_steps_and_never_goes_back(tmp_path: Path) -> None:
    said = list(Sketch(pace=0.05).render(order(tmp_path, one=1, two=2), never))
    done = [report.done for report in said if isinstance(report, Progress)]
    totals = {report.total for report in said if isinstance(report, Progress)}
    assert done == sorted(done)
    assert totals == {done[-1]}
    assert [report.number for report in said if isinstance(report, Took)] == [1, 2]


def test_a_cancelled_render_leaves_no_file(tmp_path: Path) -> None:
    rendering = Sketch().render(order(tmp_path), never)
    next(rendering)
    rendering.close()
    assert list(tmp_path.iterdir()) == []


def test_finishing_keeps_the_bars_that_exist(tmp_path: Path) -> None:
    steps = iter(range(99))

    def after_three() -> bool:
        return next(steps) >= 2

    said = list(Sketch().render(order(tmp_path, seconds=30, one=1, two=2), after_three))
    took = [report for report in said if isinstance(report, Took)]
    assert [each.number for each in took] == [1, 2]
    for each, name in zip(took, ("one", "two"), strict=True):
        assert 1 <= each.seconds < 30
        assert samples(tmp_path / f"{name}.wav").size == round(each.seconds * 32000)


def test_a_piece_goes_on_from_another_without_a_seam(tmp_path: Path) -> None:
    list(Sketch(finishes=False).render(order(tmp_path, one=1), never))
    first = samples(tmp_path / "one.wav")
    more = replace(order(tmp_path, seconds=3, on=9), prefix=str(tmp_path / "one.npy"))
    (took,) = [
        said for said in Sketch(finishes=False).render(more, never) if isinstance(said, Took)
    ]
    assert took.seconds == 7
    longer = samples(tmp_path / "on.wav")
    assert longer.size == 7 * 32000
    same = slice(4000, 3 * 32000)
    assert np.corrcoef(first[same], longer[same])[0, 1] > 0.99
    steps = np.abs(np.diff(longer))
    assert steps[4 * 32000 - 200 : 4 * 32000 + 200].max() <= steps.max()
    assert np.abs(longer[4 * 32000 :]).max() > 0.1


@pytest.mark.parametrize("codes", [None, b"not codes", np.zeros((4, 9), np.int16)])
def test_what_is_gone_or_of_another_model_cannot_be_continued(
    tmp_path: Path, codes: bytes | np.ndarray | None
) -> None:
    if isinstance(codes, bytes):
        (tmp_path / "one.npy").write_bytes(codes)
    elif codes is not None:
        np.save(tmp_path / "one.npy", codes)
    more = replace(order(tmp_path, seconds=3, on=9), prefix=str(tmp_path / "one.npy"))
    with pytest.raises(JobError, match="is missing, or was made by another"):
        list(Sketch().render(more, never))


def test_a_long_piece_shows_how_it_begins_and_all_takes_are_drawn(tmp_path: Path) -> None:
    asked = order(tmp_path, seconds=40, one=1, two=2)
    parts = tuple(
        replace(part, preview=str(tmp_path / f"{part.number}.preview.wav")) for part in asked.parts
    )
    asked = replace(asked, parts=parts, picture=str(tmp_path / "picture.png"))
    said = [each for each in Sketch().render(asked, never) if not isinstance(each, Progress)]
    assert [type(each) for each in said] == [Previewed, Took, Took]
    for number, name in ((1, "one"), (2, "two")):
        preview, whole = (
            samples(tmp_path / f"{number}.preview.wav"),
            samples(tmp_path / f"{name}.wav"),
        )
        assert (preview.size, whole.size) == (30 * 32000, 40 * 32000)
        middle = slice(32000, 20 * 32000)
        assert np.corrcoef(preview[middle], whole[middle])[0, 1] > 0.98
    with Image.open(tmp_path / "picture.png") as picture:
        assert picture.width == 960


@settings(max_examples=25)
@given(st.text(max_size=500), st.integers(1, 4), st.integers(0, 2**32 - 1))
def test_any_words_become_music(prompt: str, seconds: int, seed: int) -> None:
    sound = played(prompt, seconds, seed)
    assert sound.size == seconds * 32000
    assert np.isfinite(sound).all()
    assert np.abs(sound).max() > 0.3


def pitch_classes(sound: np.ndarray) -> np.ndarray:
    """Energy per pitch class from C, between 100 Hz and 2 kHz."""
    spectrum = np.abs(np.fft.rfft(sound)) ** 2
    frequency = np.fft.rfftfreq(sound.size, 1 / 32000)
    audible = (frequency > 100) & (frequency < 2000)
    midi = np.round(12 * np.log2(frequency[audible] / 440) + 69).astype(int)
    energy = np.zeros(12)
    np.add.at(energy, midi % 12, spectrum[audible])
    shares: np.ndarray = energy / energy.sum()
    return shares


@pytest.mark.parametrize(
    ("prompt", "tonic", "scale"),
    [
        ("piano in c major", 0, MAJOR),
        ("strings, e flat major", 3, MAJOR),
        ("organ in f# minor", 6, MINOR),
        ("celtic flute in d dorian", 2, DORIAN),
    ],
)
def test_the_key_that_is_named_is_heard(prompt: str, tonic: int, scale: tuple[int, ...]) -> None:
    for seed in range(3):
        energy = pitch_classes(played(prompt, 12, seed))
        inside = sum(energy[(tonic + step) % 12] for step in scale)
        assert inside > 0.85
        ending = pitch_classes(played(prompt, 12, seed)[-48000:])
        triad = [(tonic + scale[degree]) % 12 for degree in (0, 2, 4)]
        assert sum(ending[note] for note in triad) > 0.7, "it comes home"


def blocks(sound: np.ndarray, seconds: float) -> Iterator[np.ndarray]:
    size = int(seconds * 32000)
    yield from sound[: sound.size // size * size].reshape(-1, size)


def test_it_is_music_and_no_test_tone() -> None:
    for prompt in ("mozart fantasia", "techno", "calm ambient", "jazz waltz"):
        sound = played(prompt, 16, 3)
        loud = [np.sqrt(np.mean(block**2)) for block in blocks(sound, 1)]
        assert min(loud) > 0.02, "no second is silent"
        strongest = {int(np.argmax(np.abs(np.fft.rfft(block)))) for block in blocks(sound, 0.5)}
        assert len(strongest) >= 4, "the notes change"


def test_words_choose_tempo_and_metre() -> None:
    random = np.random.Generator(np.random.PCG64(1))
    assert style("a slow ballad", random).tempo < style("fast and energetic", random).tempo
    assert style("a waltz", random).beats == 3
    assert style("sad song", random).scale is MINOR
    assert style("techno", random).drums == "four"
    assert style("a slow ballad at 140 bpm", random).tempo == 140
    assert style("techno 9999 bpm, or 999bpm", random).tempo == FASTEST_TEMPO


def test_a_named_tempo_is_played() -> None:
    sixteen_bars = 16 * 4 * 60 / 140
    piece = Piece("techno 140 BPM", round(sixteen_bars + 1.2), 3)
    assert piece.bars == 16
