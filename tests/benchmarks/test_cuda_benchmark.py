"""`python -m benchmarks cuda`, in little: on the processor, and over a pretended torch.cuda."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from benchmarks.__main__ import main
from benchmarks.cuda import cards, running, spills
from benchmarks.cuda.card import Gpu, Processor
from benchmarks.cuda.stage import TINY, WISHES, Stage, finish
from benchmarks.cuda.tokens import SAMPLINGS, TIE, Difference, margin
from benchmarks.report import Row
from bot.engine.hardware.precisions import Precision
from bot.engine.musicgen import capacity, cuda_graphs
from bot.engine.musicgen.attention import Masked
from bot.engine.musicgen.sampling import Sampling
from tests.support.pretended_cuda import GB, Card, Cuda, capturing, card
from tests.support.random_lm import MONO

__all__ = ["card"]

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/gpu.md"
ON_CPU = ("cuda", "--tiny", "--device", "cpu")
ROW = Row(name="a row", ours=1, theirs=1, unit="one")
ALIKE = "acestep,child,crowded,faithful,large,tokens"
"""Sections that do hardly anything else on a GPU than on a processor."""

BOTS_OWN = ["aiohttp", "aiosqlite", "discord", "dotenv"]
"""Packages that a machine with a GPU may lack."""

SPEED = {"small", "large", "child"}
"""Sections that bars of speed are in."""


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "results-cuda.json"


@pytest.fixture
def pretended(card: Card, monkeypatch: pytest.MonkeyPatch) -> Card:
    """A GPU with 4 GB free, that computes where the processor does."""
    Cuda().install(monkeypatch)
    capturing(monkeypatch)
    card.left = 4 * GB
    monkeypatch.setattr(capacity, "most", lambda _: 2)
    monkeypatch.setattr(spills, "ROOMS", {"no byte": 0.0})
    monkeypatch.setattr(spills, "SLOTS", 2)
    monkeypatch.setattr(Gpu, "device", torch.device("cpu"))
    monkeypatch.setattr(Gpu, "half", Precision.FLOAT32)
    monkeypatch.setattr(Gpu, "returns", Processor.returns)
    return card


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Options with which no section is cut: what the machine does besides is no matter."""
    patient = {name: (rows, 3600.0) for name, (rows, _) in running.SECTIONS.items()}
    monkeypatch.setattr(running, "SECTIONS", patient)
    return ["--budget", "3600"]


def missed(found: dict[str, list[dict[str, Any]]]) -> Iterator[str]:
    """Yield the sections of rows that are not what they must be."""
    rows = iter(found["rows"])
    for section in found["sections"]:
        for _ in range(section["rows"]):
            told = next(rows)
            if not Row(**{name: told[name] for name in Row.__slots__}).reached:
                yield section["name"]


def test_a_machine_that_has_no_packages_of_the_bots_can_run_it() -> None:
    program = f"""
import runpy, sys
sys.modules.update(dict.fromkeys({BOTS_OWN}))
sys.argv[1:] = ["cuda", "--help"]
runpy.run_module("benchmarks", run_name="__main__")
"""
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)


def test_all_sections_are_right_on_a_processor(
    out: Path, unhurried: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*ON_CPU, "--out", str(out), *unhurried]) == 0
    found = json.loads(out.read_text())
    assert [section["name"] for section in found["sections"]] == list(running.SECTIONS)
    assert not any(section["cut"] or section["problem"] for section in found["sections"])
    assert len(found["rows"]) > 25
    assert "| tokens that equal audiocraft's in float64" in capsys.readouterr().out


def test_what_is_done_on_a_gpu_alone_is_right_on_a_pretended_one(
    pretended: Card, monkeypatch: pytest.MonkeyPatch, out: Path, unhurried: list[str]
) -> None:
    own = type("Own", (Masked,), {})  # in place of kernels that only a GPU can run
    monkeypatch.setattr(cuda_graphs, "attending", lambda _: own)
    assert main(["cuda", "--tiny", "--out", str(out), "--skip", ALIKE, *unhurried]) == 1
    found = json.loads(out.read_text())
    assert found["machine"]["card"] == pretended.name
    assert not any(section["cut"] or section["problem"] for section in found["sections"])
    assert set(missed(found)) <= SPEED, "the processor is no H100"
    assert "small" in missed(found)


def test_speed_is_asked_of_data_centre_cards_from_hopper_on(pretended: Card) -> None:
    bars = {}
    for capability in ((7, 5), (8, 0), (8, 9), (9, 0), (10, 3), (12, 0)):
        pretended.capability = capability
        stage = Stage(card=Gpu(), scale=TINY, bandwidth=1, folder=Path())
        bars[capability] = stage.bar(8)
    assert [capability for capability, bar in bars.items() if bar == 8] == [(9, 0), (10, 3)]


def test_a_machine_without_a_gpu_is_told_so(
    card: Card, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    card.there = False
    assert main(["cuda", "--out", str(out)]) == 2
    card.there, card.capability = True, (6, 1)
    assert main(["cuda", "--out", str(out)]) == 2
    assert main(["cuda", "--device", "cpu", "--out", str(out)]) == 2
    none, old, whole = capsys.readouterr().err.splitlines()
    assert none.startswith("torch finds no CUDA GPU here")
    assert "no code for Some Card" in old
    assert whole == "A processor is only for a trial: add --tiny."
    assert not out.exists()


@pytest.mark.parametrize("words", [["else"], ["cuda", "--only", "small,else"]])
def test_what_is_not_there_is_not_run(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    try:
        ended: object = main(words)
    except SystemExit as problem:
        ended = problem.code
    assert ended == 2
    said = capsys.readouterr()
    assert "python -m benchmarks cuda" in said.out + said.err


def test_a_section_that_fails_or_lasts_too_long_hides_no_other(
    monkeypatch: pytest.MonkeyPatch, out: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def failing(_: Stage) -> Iterator[Row]:
        yield ROW
        raise RuntimeError("something broke\nsomewhere")

    def endless(_: Stage) -> Iterator[Row]:
        yield ROW
        while True:
            pass

    sections = {"failing": (failing, 9), "endless": (endless, 0.05), "good": (lambda _: [ROW], 9)}
    monkeypatch.setattr(running, "SECTIONS", sections)
    assert main([*ON_CPU, "--out", str(out)]) == 1
    told = json.loads(out.read_text())
    failed, cut, good = told["sections"]
    assert (failed["problem"], failed["rows"]) == ("RuntimeError: something broke", 1)
    assert (cut["problem"], cut["cut"], cut["rows"]) == ("", True, 1)
    assert (good["problem"], good["cut"], good["rows"]) == ("", False, 1)
    said = capsys.readouterr().out
    assert "- failing **failed**: RuntimeError: something broke" in said
    assert "- endless was cut" in said
    sections["endless"] = (lambda _: [ROW, ROW], 9)
    assert main([*ON_CPU, "--out", str(out), "--resume"]) == 1, "one failed, and is not tried again"
    told = json.loads(out.read_text())
    assert [section["name"] for section in told["sections"]] == ["failing", "good", "endless"]
    assert len(told["rows"]) == 4


@pytest.mark.usefixtures("pretended")
def test_where_the_gpu_is_lost_a_new_process_goes_on(
    monkeypatch: pytest.MonkeyPatch, out: Path
) -> None:
    begun: list[list[str]] = []

    def begin(_: str, command: list[str]) -> None:
        begun.append(command)

    sections = dict.fromkeys(("first", "second"), (lambda _: [ROW], 9))
    monkeypatch.setattr(running, "SECTIONS", sections)
    monkeypatch.setattr(os, "execv", begin)
    monkeypatch.setattr(Gpu, "works", lambda _: False)
    main(["cuda", "--tiny", "--out", str(out)])
    ((*_, resume, budget, seconds),) = begun
    assert (resume, budget) == ("--resume", "--budget")
    assert 0 < float(seconds) < 480
    assert [section["name"] for section in json.loads(out.read_text())["sections"]] == ["first"]


def test_the_first_difference_in_the_order_of_drawing_is_weighed() -> None:
    stage = Stage(card=Processor(), scale=TINY, bandwidth=1, folder=Path())
    model = stage.model(torch.float32)
    decoder = stage.decoder(model, Precision.FLOAT32, graphs=False)
    prompt, sampling = stage.codes(5, card=model.card), Sampling(top_k=0)
    slot = stage.begin(decoder, model, WISHES[0], frames=11, prompt=prompt, sampling=sampling)
    ours = finish(decoder, slot)
    theirs = ours.clone()
    theirs[0, 9], theirs[3, 7] = theirs[0, 9] ^ 1, theirs[3, 7] ^ 1
    difference = Difference(ours, theirs, MONO)
    assert (difference.step, difference.codebook) == (9, 0), "the third delay comes later"
    assert difference.tokens == [ours[0, 9], theirs[0, 9]]
    assert difference.margin(stage, decoder, model, prompt, sampling) > TIE
    difference.tokens[1] = difference.tokens[0]
    assert difference.margin(stage, decoder, model, prompt, sampling) == 0


def test_a_near_tie_is_told_from_an_error() -> None:
    scores = torch.zeros(2, 8, dtype=torch.float64)
    scores[0] = torch.arange(8)
    noise = torch.ones(8, dtype=torch.float64)
    noise[6] = torch.tensor(-3.0).exp()  # what 6 lacks beside 7, with a guidance of 3
    by = Sampling(top_k=3)
    assert margin(scores, noise, by, [7, 6]) < TIE
    assert margin(scores, noise, by, [7, 5]) > TIE
    assert margin(scores, noise * 1.01 ** torch.arange(8), by, [7, 6]) > TIE
    noise[4] = torch.tensor(-9.0).exp()
    assert margin(scores, noise, by, [7, 4]) > TIE, "it is not among the likeliest three"
    assert margin(scores, noise, Sampling(top_k=4), [7, 4]) < TIE
    assert margin(scores, noise, SAMPLINGS[3], [7, 6]) > TIE, "the likeliest is taken without noise"


def test_the_page_has_the_table_that_is_computed() -> None:
    assert f"\n\n{cards.table()}\n\n" in PAGE.read_text(), "`python -m benchmarks.cuda.cards`"


def test_the_pages_say_what_was_measured() -> None:
    found = json.loads(cards.MEASURED.read_text())
    ratio = {row["name"]: round(row["ratio"]) for row in found["rows"]}
    one = ratio["small: one 8-second request"]
    many = ratio["small: 16 takes of 8 seconds at once, against one by one"]
    readme, musicgen = (
        " ".join((ROOT / page).read_text().split()) for page in ("README.md", "docs/musicgen.md")
    )
    assert f"16 at once make {many} times as many steps" in readme
    assert f"made {one} times as many steps per second as audiocraft's own loop" in musicgen
    assert f"and 16 at once {many} times" in musicgen
    assert all(f"| {each} |\n" in PAGE.read_text() for each in (one, many))
    assert not any(section["problem"] or section["cut"] for section in found["sections"])


def test_the_page_names_all_sections() -> None:
    for name in running.SECTIONS:
        assert f"`{name}`" in PAGE.read_text()
