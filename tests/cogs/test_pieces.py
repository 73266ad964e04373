"""Pieces that go on, that show how they begin, and models that make room for each other."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace
from PIL import Image

from bot.engine.messages import (
    Done,
    Failed,
    Finish,
    Loaded,
    Loading,
    Previewed,
    Progress,
    Ready,
    Render,
    Took,
)
from tests.support.engines import (
    OTHER,
    SMALL,
    STEREO,
    Child,
    Files,
    of,
    run,
    takes,
    together,
)
from tests.support.tiny_musicgen import CARD

CONTINUED = """
import sys, json
import numpy as np
import torch
from audiocraft.models import MusicGen
for model, codes, prompt, seconds, seed, file in json.loads(sys.argv[1]):
    own = MusicGen.get_pretrained(model, device="cpu")
    own.set_generation_params(duration=seconds, top_k=250, temperature=1.1, cfg_coef=2.5)
    wish, _ = own._prepare_tokens_and_attributes(["slow piano with rain"], None)
    begun = torch.from_numpy(np.load(codes).astype("int64"))[None, :, -prompt:]
    torch.manual_seed(seed)
    with torch.no_grad():
        np.save(file, own._generate_tokens(wish, begun)[0].numpy())
"""


@pytest.fixture(scope="module", params=["mono", "stereo", "other"])
def child(request: pytest.FixtureRequest) -> Child:
    """Our decoder in mono and stereo, and audiocraft's own loop."""
    found: Child = request.getfixturevalue(request.param)
    return found


def continued(files: Files, before: Files, seconds: int, *seeds: int) -> Render:
    return replace(files.order(seconds, *seeds), prefix=str(before.folder / "1.npy"))


GOES_ON = ((20, 1000, 22), (29, 1400, 30))
"""Seconds before, tokens that are heard of them, seconds of both: in the window, and past it."""


@pytest.fixture(scope="module")
def begun(home: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, int], Path]:
    """Folders with codes, by model and their seconds, and how audiocraft goes on from them."""
    found, asked = {}, []
    for model, books in ((SMALL, 4), (STEREO, 8), (str(home / OTHER), 4)):
        for before, prompt, total in GOES_ON:
            folder = found[model, before] = tmp_path_factory.mktemp("begun")
            codes = np.random.default_rng(7).integers(CARD, size=(books, 50 * before))
            np.save(folder / "1.npy", codes.astype(np.int16))
            asked.append((model, folder / "1.npy", prompt, total, 9, folder / "own.npy"))
    run(home, CONTINUED, json.dumps(asked, default=str))
    return found


@pytest.mark.parametrize(("before", "prompt"), [case[:2] for case in GOES_ON])
def test_a_piece_goes_on_as_audiocraft_continues_it(
    child: Child,
    folders: Callable[[], Files],
    begun: dict[tuple[str, int], Path],
    before: int,
    prompt: int,
) -> None:
    first, files = Files(begun[child.name, before]), folders()
    assert takes(child.render(continued(files, first, 2, 9))) == [(1, before + 2.0)]
    codes = files.codes(1)
    assert codes.shape[1] == (before + 2) * 50
    assert (codes[:, : before * 50] == first.codes(1)).all()
    assert (codes[:, before * 50 :] == np.load(first.folder / "own.npy")[:, prompt:]).all()


def test_what_was_heard_before_stays_as_it_was(child: Child, folders: Callable[[], Files]) -> None:
    first, longer = folders(), folders()
    child.render(first.order(4, 7))
    child.render(continued(longer, first, 3, 9))
    before, after = first.samples(1) / 32768, longer.samples(1) / 32768
    assert after.shape[1] == 7 * 32000
    same = slice(0, 4 * 32000 - 4000)  # the codec hears a few frames ahead
    for side in range(len(before)):
        assert np.corrcoef(before[side, same], after[side, same])[0, 1] > 0.9999


def test_five_takes_of_one_request_are_made_end_to_end(
    child: Child, folders: Callable[[], Files]
) -> None:
    files, alone = folders(), folders()
    order = replace(files.order(2, 7, 8, 9, 10, 11), picture=str(files.folder / "picture.png"))
    assert sorted(takes(child.render(order))) == [(number, 2.0) for number in range(1, 6)]
    child.render(alone.order(2, 11))
    assert (files.codes(5) == alone.codes(1)).all()
    for number in range(1, 6):
        assert files.samples(number).shape[1] == 2 * 32000
    assert len({files.codes(number).tobytes() for number in range(1, 6)}) == 5


def test_several_takes_go_on_from_the_same(child: Child, folders: Callable[[], Files]) -> None:
    first, longer = folders(), folders()
    child.render(first.order(2, 7))
    child.render(continued(longer, first, 2, 8, 9))
    one, two = longer.codes(1), longer.codes(2)
    assert (one[:, :100] == two[:, :100]).all()
    assert (one[:, 100:] != two[:, 100:]).any()


@pytest.mark.parametrize("prefix", ["gone", "other", "damaged"])
def test_what_cannot_be_continued_fails_that_render_only(
    child: Child, folders: Callable[[], Files], prefix: str
) -> None:
    files = folders()
    if prefix == "other":
        np.save(files.folder / "1.npy", np.zeros((3, 50), np.int16))
    elif prefix == "damaged":
        np.save(
            files.folder / "1.npy", np.full((8 if child.name == STEREO else 4, 50), 2048, np.int16)
        )
    order = replace(files.order(2, 9), prefix=str(files.folder / "1.npy"))
    (failed,) = child.render(order)
    assert isinstance(failed, Failed)
    assert "The music to extend is" in failed.reason
    assert isinstance(child.render(folders().order(1, 7))[-1], Done)


def previewed(files: Files, seconds: int, *seeds: int) -> Render:
    order = files.order(seconds, *seeds)
    parts = tuple(
        replace(part, preview=str(files.folder / f"{part.number}.preview.wav"))
        for part in order.parts
    )
    return replace(order, parts=parts, picture=str(files.folder / "picture.png"))


def test_a_long_piece_shows_its_first_half_minute_before_it_ends(
    child: Child, folders: Callable[[], Files]
) -> None:
    files = folders()
    seeds = (7,) if child.name.endswith(OTHER) else (7, 8)  # that loop makes one after the other
    reports = child.render(previewed(files, 34, *seeds))
    at = next(place for place, said in enumerate(reports) if isinstance(said, Previewed))
    if len(seeds) > 1:  # that loop tells of a window when it is complete, here the last
        assert any(isinstance(said, Progress) for said in reports[at:])
    assert takes(reports) == [(1, 34.0), (2, 34.0)][: len(seeds)]
    for number in range(1, 1 + len(seeds)):
        whole, path = files.samples(number), files.folder / f"{number}.preview.wav"
        files.audio(number).unlink()
        path.rename(files.audio(number))
        preview = files.samples(number)
        assert preview.shape[1] == 30 * 32000
        gain = np.abs(whole).max() / np.abs(preview).max()
        assert preview * gain == pytest.approx(whole[:, : 30 * 32000], abs=3 * max(gain, 1))
    with Image.open(files.folder / "picture.png") as picture:
        assert picture.width == 960


def test_stopping_after_the_preview_keeps_at_least_that(
    child: Child, folders: Callable[[], Files]
) -> None:
    files = folders()
    asked = 60 if child.name.endswith(OTHER) else 40
    order = previewed(files, asked, 7)
    reports = child.render(
        order, lambda said: Finish(id=order.id) if isinstance(said, Previewed) else None
    )
    ((number, seconds),) = takes(reports)
    assert number == 1
    assert 30 <= seconds < asked
    assert files.samples(1).shape[1] == round(seconds * 32000)
    assert files.codes(1).shape[1] == round(seconds * 50)


def test_stopping_before_there_is_music_waits_for_some(
    child: Child, folders: Callable[[], Files]
) -> None:
    """Audiocraft's own loop has none until a window is complete."""
    order = folders().order(3, 7)
    reports = child.render(
        order, lambda said: Finish(id=order.id) if isinstance(said, Progress) else None
    )
    ((number, seconds),) = takes(reports)
    assert number == 1
    assert seconds == 3 if child.name.endswith(OTHER) else 1 <= seconds < 3


def test_a_short_piece_has_no_preview_but_a_picture(
    child: Child, folders: Callable[[], Files]
) -> None:
    files = folders()
    reports = child.render(previewed(files, 2, 7))
    assert not any(isinstance(said, Previewed) for said in reports)
    assert files.all() == {"1.wav", "1.npy", "picture.png"}


@pytest.fixture(scope="module")
def library(home: Path) -> Iterator[Child]:
    """Two models, of which one may be loaded at a time."""
    models = f"{SMALL},{STEREO}"
    with Child(home, models, more=("--models-loaded", "1")) as child:
        ready = child.hear()
        assert isinstance(ready, Ready)
        assert ready.models == ("small", "stereo-small")
        yield child


def test_models_make_room_for_each_other(library: Child, folders: Callable[[], Files]) -> None:
    mono, stereo, again = folders(), folders(), folders()
    library.render(replace(mono.order(1, 7), model="small"))
    reports = library.render(order := replace(stereo.order(1, 7), model="stereo-small"))
    assert reports[0] == Loading(id=order.id, model="stereo-small")
    assert isinstance(reports[1], Loaded)
    assert reports[1].models == ("stereo-small",)
    assert reports[1].pace > 0
    assert len(stereo.samples(1)) == 2
    reports = library.render(replace(again.order(1, 7), model="small"))
    assert isinstance(reports[1], Loaded)
    assert (again.samples(1) == mono.samples(1)).all()


def test_a_model_in_use_is_not_taken_away_and_none_is_overtaken_for_ever(
    library: Child, folders: Callable[[], Files]
) -> None:
    files = [folders() for _ in range(3)]
    kinds = ("small", "stereo-small", "small")
    orders = [
        replace(each.order(3, 7), model=kind) for each, kind in zip(files, kinds, strict=True)
    ]
    reports = together(library, *orders)
    ended = [said.id for said in reports if isinstance(said, Done)]
    assert ended == [order.id for order in orders]
    assert [len(each.samples(1)) for each in files] == [1, 2, 1]
    took = [said.seconds for said in reports if isinstance(said, Took)]
    assert took == [3.0] * 3


def test_models_that_fit_stay_loaded(home: Path, folders: Callable[[], Files]) -> None:
    with Child(home, f"{SMALL},{STEREO}") as child:
        assert isinstance(child.hear(), Ready)
        mono, stereo = folders(), folders()
        one = replace(mono.order(4, 7), model="small")
        two = replace(stereo.order(4, 7), model="stereo-small")
        reports = together(child, one, two)
        (loaded,) = [said for said in reports if isinstance(said, Loaded)]
        assert set(loaded.models) == {"small", "stereo-small"}
        assert of(reports[: reports.index(Done(id=one.id))], two)
        assert (len(mono.samples(1)), len(stereo.samples(1))) == (1, 2)


def test_a_model_that_is_not_listed_fails_that_render_only(
    library: Child, folders: Callable[[], Files]
) -> None:
    (failed,) = library.render(replace(folders().order(1, 7), model="enormous"))
    assert isinstance(failed, Failed)
    assert "The model enormous is not available" in failed.reason
    assert isinstance(library.render(replace(folders().order(1, 7), model="small"))[-1], Done)


def test_a_listed_model_that_lacks_weights_stops_the_start(home: Path) -> None:
    with Child(home, f"{SMALL},facebook/musicgen-large") as child:
        said = child.hear()
        assert isinstance(said, Failed)
        assert said.reason.startswith(
            "MusicGen lacks the language model (state_dict.bin of facebook"
        )
