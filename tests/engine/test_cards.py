"""What is known of models without loading them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bot.engine import cards, licences, names, worker
from bot.engine.cards import EngineName
from bot.engine.licences import UNKNOWN_LICENCE, Sale
from bot.engine.names import Family
from bot.errors import Refusal
from bot.rules import bounds
from bot.rules.quota import includes
from bot.rules.tiers import FREE
from bot.values import Request, Wish


def test_cards_cost_no_library_of_an_engine() -> None:
    heavy = "{'torch', 'audiocraft', 'transformers', 'numpy'}"
    look = f"import sys, cogs.ui.embeds, bot.config; print({heavy} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_each_engine_has_cards_with_names_that_lead_back_to_them() -> None:
    for engine in EngineName:
        for card in cards.configured(engine, ["facebook/musicgen-small", "me/my-own"]):
            known = cards.card(card.name)
            assert (known.name, known.label, known.options) == (card.name, card.label, card.options)


def test_each_engine_can_be_started_by_its_name() -> None:
    assert worker.LOADERS.keys() == set(EngineName)


def test_a_model_of_ones_own_is_not_called_metas() -> None:
    metas, mine = cards.configured(EngineName.MUSICGEN, ["facebook/musicgen-small", "me/small"])
    assert (metas.name, metas.label, metas.licence.sale) == ("small", "MusicGen small", Sale.NO)
    assert (mine.name, mine.licence.sale) == ("small", Sale.UNKNOWN)


def test_what_stands_in_for_models_is_in_every_tier_and_called_what_it_is() -> None:
    assert includes(FREE, "sketch")
    assert not includes(FREE, "large")
    assert cards.card("sketch").label == "Sketch engine (not MusicGen)"


def test_a_model_plays_no_longer_than_its_card_says() -> None:
    longest = cards.card("small").longest

    def asked(seconds: int) -> Request:
        wish = Wish(prompt="a", seconds=seconds)
        return bounds.ask(wish, models=(cards.card("small"),), max_seconds=10**6, seed=1)

    assert asked(longest).seconds == longest
    with pytest.raises(Refusal, match=f"1 to {longest} s long here, what MusicGen small can play"):
        asked(longest + 1)


@pytest.mark.parametrize(
    ("model", "name", "family"),
    [
        ("facebook/musicgen-stereo-large", "stereo-large", Family.MUSICGEN),
        ("me/Own Music", "own-music", Family.MUSICGEN),
        ("ACE-Step/Ace-Step1.5", "ace", Family.ACESTEP),
        ("ace-step/acestep-v15-xl-turbo-diffusers", "ace-xl-turbo", Family.ACESTEP),
        ("ACE-Step/acestep-v15-xl-base-diffusers", "ace-xl-base", Family.ACESTEP),
        # No others are called as an ACE-Step or the sketch engine is.
        ("me/ace", "musicgen-ace", Family.MUSICGEN),
        ("me/musicgen-sketch", "musicgen-sketch", Family.MUSICGEN),
        ("me/acetone", "acetone", Family.MUSICGEN),
    ],
)
def test_a_models_family_is_known_by_its_place_and_by_its_short_name(
    model: str, name: str, family: Family
) -> None:
    assert names.name(model) == name
    (known,) = cards.configured(EngineName.MUSICGEN, [model])
    assert (known.name, known.family, names.family(model)) == (name, family, family)
    assert cards.card(name).family is family


@pytest.mark.parametrize(
    ("index", "name"),
    [
        ('{"_class_name": "AceStepPipeline"}', "ace-house-band"),
        ('{"_class_name": "StableAudioPipeline"}', "house-band"),
        ('["AceStepPipeline"]', "house-band"),
        ("no JSON", "house-band"),
        pytest.param("[" * 10**5, "house-band", id="endless"),
        (None, "house-band"),
    ],
)
def test_a_folders_family_is_what_its_index_says(
    tmp_path: Path, index: str | None, name: str
) -> None:
    folder = tmp_path / "House Band"
    folder.mkdir()
    if index is not None:
        (folder / "model_index.json").write_text(index)
    assert names.name(str(folder)) == name
    assert cards.card(name).family is names.family(str(folder))


@pytest.mark.parametrize(
    ("folder", "turbo", "name"),
    [
        ("house-band", True, "ace-house-band"),
        ("house-band", False, "ace-house-band-base"),
        ("acestep-v15-xl-base", False, "ace-xl-base"),
        ("base-camp", True, "ace-base-camp-turbo"),
        ("my-sft", False, "ace-my-sft"),
    ],
)
def test_a_folders_name_says_whether_its_guidance_is_built_in(
    tmp_path: Path, folder: str, *, turbo: bool, name: str
) -> None:
    place = tmp_path / folder
    (place / "transformer").mkdir(parents=True)
    (place / "model_index.json").write_text('{"_class_name": "AceStepPipeline"}')
    (place / "transformer/config.json").write_text(json.dumps({"is_turbo": turbo}))
    assert names.name(str(place)) == name
    assert ("guidance" in cards.offered([cards.card(name)])) is not turbo


def test_turbo_models_have_their_guidance_built_in_and_others_choose() -> None:
    turbo, base = cards.card("ace-xl-turbo"), cards.card("ace-xl-base")
    assert turbo.complete({}) == {"steps": 8, "guidance": 1}
    assert [*cards.offered([turbo])] == ["steps"]
    assert [*cards.offered([turbo, base])] == ["guidance", "steps"]
    assert (turbo.sample_rate, turbo.channels, turbo.shortest, turbo.longest) == (
        48_000,
        2,
        10,
        600,
    )


def test_only_an_ace_step_sings() -> None:
    sing = {name for name in ("ace", "ace-base", "small", "sketch") if cards.card(name).sings}
    assert sing == {"ace", "ace-base"}


def test_a_folder_without_a_card_that_can_be_read_has_an_unknown_licence(tmp_path: Path) -> None:
    assert licences.licence(str(tmp_path)) is UNKNOWN_LICENCE
    (tmp_path / "README.md").mkdir()
    assert licences.licence(str(tmp_path)) is UNKNOWN_LICENCE


def test_the_licence_of_a_repository_is_known_where_its_page_was_read() -> None:
    said = {
        "facebook/musicgen-large": Sale.NO,
        "ACE-Step/Ace-Step1.5": Sale.YES,
        "ACE-Step/acestep-v15-xl-turbo-diffusers": Sale.UNKNOWN,
        "facebook/other": Sale.UNKNOWN,
        "me/musicgen-small": Sale.UNKNOWN,
    }
    known = cards.configured(EngineName.MUSICGEN, [*said])
    assert [each.licence.sale for each in known] == [*said.values()]
    assert [each.personal for each in known] == [True, False, False, False, False]


def test_a_piece_costs_by_its_steps_its_guidance_and_what_is_made_again() -> None:
    base, turbo = cards.card("ace-base"), cards.card("ace")
    assert base.effort(20, 0, {}) == base.effort(4, 16, {}) == 20
    assert base.effort(4, 2, {}) == 10, "none is made shorter, and cut"
    assert base.effort(20, 0, {"steps": 60}) == pytest.approx(20 * (0.05 + 0.95 * 2))
    assert base.effort(20, 0, {"guidance": 1}) == pytest.approx(20 * (0.05 + 0.95 / 2))
    assert turbo.effort(20, 0, {"steps": 16}) == pytest.approx(20 * (0.29 + 0.71 * 2))
    assert cards.card("small").effort(4, 16, {}) == 4, "what it extends is not made again"


def test_only_of_metas_models_it_is_known_how_they_sound_before_they_are_loaded() -> None:
    models = ["facebook/musicgen-small", "facebook/musicgen-stereo-small", "me/small"]
    mono, stereo, own = cards.configured(EngineName.MUSICGEN, models)
    usual = own.complete({})
    assert own.differences(44_100, 2, usual) == []
    assert stereo.differences(32_000, 2, usual) == []
    assert mono.differences(44_100, 2, usual | {"top_k": 9}) == [
        "sample rate 44100, not 32000",
        "channels 2, not 1",
        "top_k 9, not 250",
    ]
    assert mono.differences(32_000, 1, {}) == [
        "guidance none, not 3",
        "temperature none, not 1",
        "top_k none, not 250",
    ]


def test_what_may_be_chosen_is_what_the_commands_page_says() -> None:
    page = Path("docs/commands.md").read_text(encoding="utf-8")
    bounds = cards.offered([cards.card(name) for name in ("small", "ace", "ace-base")])
    assert [*bounds] == ["guidance", "temperature", "top_k", "steps"]
    for option, found in bounds.items():
        assert {f"`{option}` ({each.least:g}–{each.most:g})" in page for each in found} == {True}
        assert {each.whole for each in found} == {option in ("top_k", "steps")}
