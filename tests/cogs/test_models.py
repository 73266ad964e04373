"""Models of several families side by side: what can be asked of each, and what each cannot do."""

from dataclasses import replace
from pathlib import Path

import pytest

from bot.app import Plan
from bot.dispatch import render_order
from bot.engine.cards import Ability, EngineName, card, configured
from bot.errors import Refusal
from bot.rules import bounds, tiers
from bot.values import Parent, Request, Wish
from tests.support.shown import card as card_of
from tests.support.shown import told, values
from tests.support.studio import member
from tests.support.world import world

SMALL, ACE, BASE = map(card, ("small", "ace", "ace-xl-base"))
DUMB = replace(SMALL, name="dumb", label="Dumb", abilities=frozenset())


@pytest.fixture
def both(plan: Plan) -> Plan:
    return replace(plan, models=("small", "ace"))


def asked(model: str, **wish: object) -> Request:
    made = replace(Wish(prompt="play", model=model), **wish)  # type: ignore[arg-type]
    return bounds.ask(made, models=(SMALL, ACE, BASE, DUMB), max_seconds=120, seed=7)


@pytest.mark.parametrize(
    ("models", "names"),
    [
        (("small",), ["guidance", "temperature", "top_k"]),
        (("ace",), ["steps"]),
        (("small", "ace"), ["guidance", "temperature", "top_k", "steps"]),
    ],
)
async def test_generate_takes_what_some_model_here_takes(
    plan: Plan, models: tuple[str, ...], names: list[str]
) -> None:
    async with world(replace(plan, models=models)) as w:
        command = w.bot.tree.get_command("generate")
        assert [each.name for each in command.parameters][5:] == names  # type: ignore[union-attr]


async def test_a_model_is_asked_for_its_own_options_and_no_others(both: Plan) -> None:
    async with world(both) as w:
        command = {"prompt": "play", "duration": 2, "model": "ace"}
        refused = await w.alice.slash(w.music, "generate", **command, temperature=0.5)
        assert told(refused) == "ACE-Step 1.5 has no `temperature`: it has `steps`, `guidance`."
        refused = await w.alice.slash(w.music, "generate", **command, guidance=3)
        assert told(refused) == "`guidance` must be 1 with ACE-Step 1.5."
        await w.gone(await w.alice.slash(w.music, "generate", **command, steps=12))
        assert (await w.studio.job(1)).request.options == {"steps": 12, "guidance": 1}
        message = await w.result()
        assert "ACE-Step 1.5 · seed" in str(message.embeds[0].footer.text)
        assert "steps 12" in str(message.embeds[0].footer.text)
        shown = await w.alice.slash(w.music, "piece", number=1)
        assert shown.response
        again = shown.response.embeds[0].fields[-1].value
        assert "model: ace seed: " in str(again)
        assert "steps: 12 guidance: 1" in str(again)


async def test_settings_of_one_kind_of_model_are_not_asked_of_another_unless_they_were_typed(
    both: Plan,
) -> None:
    async with world(both) as w:
        await w.gone(await w.generate("play"))
        form = await w.alice.click(await w.result(), label="Edit")
        filled = values(form)
        assert filled["settings"] == "guidance 3, temperature 1, top_k 250"
        await w.gone(await w.alice.submit_modal(form, {**filled, "model": ["ace"]}))
        assert (await w.studio.job(2)).request.options == {"steps": 8, "guidance": 1}
        typed = {**filled, "model": ["ace"], "settings": "temperature 0.5, steps 20"}
        form = await w.alice.click(await w.result(), label="Edit")
        refused = await w.alice.submit_modal(form, typed)
        assert "ACE-Step 1.5 has no `temperature`" in told(refused)
        form = await w.alice.click(await w.result(), label="Edit")
        unread = {**filled, "model": ["ace"], "settings": "fast"}
        refused = await w.alice.submit_modal(form, unread)
        assert "Write settings like this: steps 8, guidance 1, seed 7." in told(refused)


async def test_a_family_that_makes_all_of_a_piece_at_once_is_not_previewed_and_ends_never_early(
    both: Plan,
) -> None:
    async with world(both) as w:
        for number, model in enumerate(("small", "ace"), start=1):
            command = {"prompt": "slow", "duration": 40, "model": model}
            await w.alice.slash(w.music, "generate", **command)
            job = await w.studio.job(number)
            order = await render_order.write(w.database, Path(), job)
            assert [bool(part.preview) for part in order.parts] == [model == "small"]
        with pytest.raises(Refusal, match="#2 cannot end early: ACE-Step"):
            await w.studio.stop(2, member(w.alice.id, w.guild.id))
        assert not (await w.studio.job(2)).stopping


@pytest.mark.parametrize(
    ("wish", "words"),
    [
        ({"takes": 2}, "Dumb makes no second take. Choose a model that does: small, ace,"),
        ({"lyrics": "la la"}, "Dumb sings no words. Choose a model that does: ace, ace-xl-base."),
        (
            {"parent": Parent(take=1, seconds=2)},
            "Dumb extends no piece. Choose a model that does: small, ace, ",
        ),
    ],
)
def test_what_a_model_cannot_do_is_refused_with_those_that_can(
    wish: dict[str, object], words: str
) -> None:
    with pytest.raises(Refusal) as refused:
        asked("dumb", **wish)
    assert words in refused.value.text


@pytest.mark.parametrize("model", [SMALL, ACE, BASE], ids=lambda model: str(model.name))
def test_every_option_is_held_to_the_bounds_of_its_model(model: object) -> None:
    known = card(str(getattr(model, "name")))  # noqa: B009
    for name, has in known.options.items():
        for value in (has.least, has.most, has.default):
            assert asked(known.name, options={name: value}).options[name] == value
        for value in (has.least - 0.01, has.most + 0.01, float("nan"), float("inf")):
            with pytest.raises(Refusal, match=f"`{name}` must be"):
                asked(known.name, options={name: value})
    assert asked(known.name).options == known.complete({})


def test_an_option_of_whole_numbers_takes_no_others() -> None:
    with pytest.raises(Refusal, match="`steps` must be a whole number"):
        asked("ace", options={"steps": 8.5})
    assert Ability.STOP_EARLY not in ACE.abilities


async def test_plans_mark_what_is_for_personal_use_only(plan: Plan) -> None:
    places = ["facebook/musicgen-small", "me/medium", "ACE-Step/Ace-Step1.5"]
    known = configured(EngineName.MUSICGEN, places)
    names = tuple(each.name for each in known)
    shop = replace(plan, models=names, cards=known, defaults=tiers.DEFAULTS)
    async with world(shop) as w:
        shown = card_of(await w.alice.slash(w.music, "plans"))
    assert "† for personal use only: CC-BY-NC 4.0 (no commercial use)" in shown
    assert "models small†, medium, ace" in shown
    assert "all models (small†)" in shown
    other = replace(shop, folder=plan.folder.with_name("other"))
    async with world(replace(other, models=names[1:], cards=known[1:])) as w:
        shown = card_of(await w.alice.slash(w.music, "plans"))
    assert "†" not in shown


async def test_a_studio_with_ace_step_alone_serves_everybody_and_charges_what_was_asked_for(
    plan: Plan,
) -> None:
    known = configured(EngineName.MUSICGEN, ["ACE-Step/Ace-Step1.5"])
    scripted = tuple(replace(each, sample_rate=None, channels=None) for each in known)
    alone = replace(plan, models=("ace",), cards=scripted, defaults=tiers.defaults(("ace",)))
    async with world(alone) as w:
        # Less than the model plays at least: what is charged is what was asked for.
        await w.gone(await w.generate("play", 5))
        usage = await w.services.accounts.usage(w.guild.id, w.alice.id)
        assert (usage.membership.tier.name, usage.used) == ("Free", 5)
        assert known[0].shortest > 5
        assert "Free tier allows up to 8 s" in told(await w.generate("play", 10))
