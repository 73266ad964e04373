"""What is known of models without loading them."""

import subprocess
import sys

import pytest

from bot.engine import cards, worker
from bot.engine.cards import EngineName
from bot.engine.licences import Sale
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
