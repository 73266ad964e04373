"""Every command and button, with the longest names and the most of everything that there may be."""

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

import discord
import pytest
import simcord
from discord import app_commands, ui

from bot.admin.members import LONGEST_REASON, MOST_DAYS, MOST_GRANTED
from bot.admin.servers import LONGEST_WORD, MOST_CHANNELS, MOST_WORDS
from bot.admin.tiers import LONGEST_NAME, MOST_ROLES
from bot.app import Plan
from bot.client import NotAllowed
from bot.errors import Refusal
from bot.rules.bounds import HIGHEST_SEED, LONGEST_PROMPT
from bot.rules.tiers import LONGEST_MODEL, MOST_PER_DAY, MOST_STARS, MOST_TIERS, MOST_WAITING
from bot.values import Actor, Limits, Status
from tests.support import inside
from tests.support.limits import problems
from tests.support.shown import values
from tests.support.studio import GENEROUS
from tests.support.world import World, world

PIECES = 10**15 - 1000
"""The number of the first piece; commands take numbers up to 10**15."""

SKUS = {2**63 - 1 - number: f"tier{number}" for number in range(5)}
SINGER = "ace".ljust(LONGEST_MODEL, "-")
MODELS = ("scripted", SINGER, *(f"{number:02}".ljust(LONGEST_MODEL, "-") for number in range(18)))
LINK = f"https://{190 * 'x'}"
HALF = "\ud83d"
"""Of a character; nothing that Discord shows can be made of it."""

IDS = (0, 2**63, 2**64 - 1, 10**20 - 1)


def wide(characters: int, number: int = 0) -> str:
    """A text that is twice as long where Discord reads markup, and is written in two directions."""
    return f"{number:02}א".ljust(characters, "*")


TIERS = tuple(
    replace(
        GENEROUS,
        key="free" if not number else f"tier{number}",
        name=wide(LONGEST_NAME, number),
        price=wide(LONGEST_NAME),
        per_day=MOST_PER_DAY - 10 + number,
        waiting=MOST_WAITING,
        models=frozenset(MODELS),
        link=LINK,
    )
    for number in range(5)
)


@dataclass(kw_only=True)
class Extremes:
    """A server with the most of everything, and those who ask in it."""

    w: World
    member: simcord.MemberActor
    """Owns the bot, may do everything, and has asked for all that there is."""
    role: simcord.RoleHandle
    channels: list[simcord.ChannelHandle]
    delivered: int
    """The number of a piece."""


@pytest.fixture
def plan(plan: Plan) -> Plan:
    return replace(
        plan, models=MODELS, defaults=TIERS, skus=SKUS, limits=Limits(waiting_per_server=1000)
    )


@asynccontextmanager
async def extremes(plan: Plan) -> AsyncIterator[Extremes]:
    async with world(plan) as w:
        w.tolerated = (Refusal, NotAllowed)
        everything = discord.Permissions(administrator=True)
        roles = [w.guild.create_role(wide(100), permissions=everything)]
        roles += [w.guild.create_role(wide(100)) for _ in range(MOST_ROLES - 2)]
        await w.restart(replace(plan, owner_guild_id=w.guild.id))
        user = w.env.create_user(wide(32), global_name=wide(32))
        member = w.guild.add_member(user, roles=roles[:1], nick=wide(32))
        w.bot.owner_id = member.id
        for sku in SKUS:
            w.env.create_sku(wide(100), id=sku)
        x = Extremes(
            w=w,
            member=member,
            role=w.guild.create_role(wide(100)),
            channels=[w.guild.create_text_channel("x" * 100) for _ in range(MOST_CHANNELS)],
            delivered=PIECES,
        )
        await filled(x, [role.id for role in roles])
        yield x


async def filled(x: Extremes, roles: list[int]) -> None:
    """Bring a server to its limits, by what its admins may do."""
    w, guild, member = x.w, x.w.guild.id, Actor(id=x.member.id, name=wide(32))
    async with w.database.transaction() as tx:
        await tx.execute("INSERT INTO sqlite_sequence VALUES ('jobs', ?)", (PIECES - 1,))
    for number in range(len(TIERS), MOST_TIERS - 1):
        await w.bot.services.tier_admin.add_tier(guild, member, tier_fields(number))
    names = [offer.tier.name for offer in await w.services.accounts.offers(guild)]
    for number, role in enumerate(roles):
        name = names[number % len(names)] if number < 100 else names[-1]
        await w.bot.services.tier_admin.map_role(
            guild, member, Actor(id=role, name=wide(100)), name
        )
    for number in range(MOST_WORDS - 1):
        word = f"{number:03}".ljust(LONGEST_WORD, "x")
        await w.bot.services.server_admin.add_word(guild, member, word)
    for channel in [w.music, *x.channels][: MOST_CHANNELS - 1]:
        named = Actor(id=channel.id, name="x" * 100)
        await w.bot.services.server_admin.allow_channel(guild, member, named)
    for _ in range(30):
        await w.bot.services.member_admin.grant(
            guild, member, member, MOST_GRANTED, wide(LONGEST_REASON), MOST_DAYS
        )
    for number in range(12):
        long = {} if number == 1 else {"duration": 1}
        asked = await x.member.slash(w.music, "generate", **GENERATE | long)
        assert not asked.ephemeral, asked.response
    for number in range(PIECES, PIECES + 12):
        await w.ended(number, Status.DELIVERED)
    await w.bot.services.operations.pause(wide(200))
    for _ in range(MOST_WAITING - 1):
        await x.member.slash(w.music, "generate", **GENERATE)


def tier_fields(number: int) -> dict[str, Any]:
    return {
        "name": wide(LONGEST_NAME, number),
        "price": wide(LONGEST_NAME),
        "longest": 120,
        "takes": 5,
        "per_day": MOST_PER_DAY - 100 - number,
        "waiting": MOST_WAITING,
        "stars": MOST_STARS,
        "models": " ".join(MODELS),
        "link": LINK,
    }


GENERATE: dict[str, Any] = {
    "prompt": wide(LONGEST_PROMPT),
    "duration": 120,
    "takes": 5,
    "seed": HIGHEST_SEED,
    "guidance": 9.999999,
    "temperature": 1.999999,
    "top_k": 2047,
}

Options = Callable[[Extremes], dict[str, Any]]
TIER = wide(LONGEST_NAME, 1)
WHY = {"reason": wide(LONGEST_REASON), "days": MOST_DAYS}

WALK: dict[str, Options] = {
    "generate": lambda _: GENERATE,
    "song": lambda _: {"style": GENERATE["prompt"], "lyrics": wide(4000), "model": SINGER},
    "queue": lambda _: {},
    "usage": lambda _: {},
    "plans": lambda _: {},
    "help": lambda _: {},
    "about": lambda _: {},
    "history": lambda x: {"member": x.member},
    "piece": lambda x: {"number": x.delivered},
    "resend": lambda x: {"number": x.delivered, "format": "flac"},
    "forget me": lambda _: {},
    "panel": lambda _: {},
    "setup": lambda _: {},
    "settings": lambda _: {},
    "quota show": lambda x: {"member": x.member},
    "quota grant": lambda x: {"member": x.member, "seconds": MOST_GRANTED, **WHY},
    "quota set": lambda x: {"member": x.member, "seconds-per-day": MOST_PER_DAY},
    "quota reset": lambda x: {"member": x.member},
    "quota revoke": lambda x: {"member": x.member},
    "quota clear": lambda x: {"member": x.member},
    "quota log": lambda x: {"member": x.member},
    "log": lambda _: {},
    "member list": lambda _: {},
    "member block": lambda x: {"member": x.w.alice, **WHY},
    "member unblock": lambda x: {"member": x.w.alice},
    "tier list": lambda _: {},
    "tier map": lambda x: {"role": x.role, "tier": TIER},
    "tier unmap": lambda x: {"role": str(x.role.id)},
    "tier give": lambda x: {"member": x.member, "tier": TIER, "days": MOST_DAYS},
    "tier take": lambda x: {"member": x.member},
    "tier add": lambda _: fields_of_commands(19),
    "tier edit": lambda _: {"tier": wide(LONGEST_NAME, 19), **fields_of_commands(20)},
    "tier remove": lambda _: {"tier": wide(LONGEST_NAME, 20)},
    "tier reset": lambda _: {},
    "channel allow": lambda x: {"channel": x.channels[-1]},
    "channel forget": lambda x: {"channel": str(x.channels[-1].id)},
    "channel list": lambda _: {},
    "words add": lambda _: {"word": "y" * LONGEST_WORD},
    "words remove": lambda _: {"word": "y" * LONGEST_WORD},
    "words list": lambda _: {},
    "studio server": lambda x: {
        "id": str(x.w.guild.id),
        "access": "allow",
        "max-seconds": 120,
        "waiting": 100_000,
        "seconds-per-day": 100_000_000,
    },
    "studio servers": lambda _: {},
    "studio engine pause": lambda _: {"name": "cpu-0"},
    "studio engine resume": lambda _: {"name": "cpu-0"},
    "studio stats": lambda _: {},
    "studio cancel": lambda x: {"id": x.delivered + 60},
    "studio resume": lambda _: {},
    "studio pause": lambda _: {"reason": wide(200)},
    "studio drain": lambda _: {},
}
"""What each command is asked at its longest; in this order, so that each finds what it needs."""


def fields_of_commands(number: int) -> dict[str, Any]:
    fields = tier_fields(number) | {"models": " ".join(MODELS)[:200].rpartition(" ")[0]}
    return {"seconds-per-day" if name == "per_day" else name: each for name, each in fields.items()}


def commands(w: World) -> dict[str, app_commands.Command[Any, ..., Any]]:
    """All commands that are registered, in every server or the owner's."""
    found = [*w.bot.tree.walk_commands(), *w.bot.tree.walk_commands(guild=w.bot.owner_guild)]
    return {each.qualified_name: each for each in found if isinstance(each, app_commands.Command)}


BUTTONS = (
    *("again", "edit", "extend", "save", "delete", "cancel", "stop", "post-again", "forget"),
    *("star", "unstar", "name", "delete-now", "generate"),
)
OF_TAKES = ("extend-take", "extend-words", "save-take", "keep-take", "keep-now")
SELECTS = {
    "take": ("1", "5"),
    "extend-by": ("1:5", "5:30"),
    "save-as": ("1:mp3", "5:flac", "1:text"),
    "queue:cancel": ("1",),
}
LISTS = {"plans": 4, "tiers": 4, "channels": 10, "words": 50, "log": 9, "members": 1}
LISTS |= {"history": 7, "queue": 5}
"""Lists and how many pages they have at least."""


async def wrong(x: Extremes, act: Awaitable[simcord.InteractionResult]) -> list[str]:
    """Return what is wrong with all that is sent because of an act."""
    requests = x.w.env.backend.http_requests
    before = len(requests)
    shown = await act
    new = requests[before:]
    found = [each for sent in new for each in problems(sent.method, sent.path, sent.json)]
    found += [str(sent.json) for sent in new if "went wrong" in json.dumps(sent.json)]
    return found if shown.acknowledged else [*found, "no answer"]


async def pressed(x: Extremes, custom_id: str, value: str = "") -> list[str]:
    """Press what may stand under any message, or choose from it."""
    item: ui.Item[Any] = ui.Button(label="Press", custom_id=custom_id)
    chosen: list[Any] = [value]
    if value == "role":
        item, chosen = ui.RoleSelect(custom_id=custom_id), [x.role]
    elif value == "channel":
        item, chosen = ui.ChannelSelect(custom_id=custom_id), x.channels[:1]
    elif value:
        options = [discord.SelectOption(label="Choose", value=value)]
        item = ui.Select(custom_id=custom_id, options=options)
    view = ui.View(timeout=None).add_item(item)
    message = await x.w.bot.get_partial_messageable(x.w.music.id).send("Press", view=view)
    if value:
        return await wrong(x, x.member.select(message, chosen))
    return await wrong(x, x.member.click(message, custom_id=custom_id))


def odd(command: app_commands.Command[Any, ..., Any], fields: dict[str, Any]) -> list[Any]:
    """Vary a command's texts, one at a time, by what people may type or programs send."""
    found = []
    for option in command.parameters:
        if option.type is discord.AppCommandOptionType.string and not option.choices:
            least, most = option.min_value or 1, option.max_value or 200
            texts = [HALF * int(least), wide(int(most)), *map(str, IDS)]
            fitting = [text for text in texts if least <= len(text) <= most]
            found += [fields | {option.display_name: text} for text in fitting]
    return found


async def test_everything_fits_at_the_largest_state_there_may_be(plan: Plan) -> None:
    async with extremes(plan) as x:
        known = commands(x.w)
        assert set(WALK) == set(known), "a command is not in the walk"
        found: dict[str, list[str]] = {}
        for name, options in WALK.items():
            if name != "studio drain":
                found[name] = await wrong(x, x.member.slash(x.w.music, name, **options(x)))
        for name, command in known.items():
            for fields in odd(command, WALK[name](x)):
                act = x.member.slash(x.w.music, name, **fields)
                found[f"{name} {fields}"] = await wrong(x, act)
        found |= await offered(x, known)
        found |= await walked(x)
        found["studio drain"] = await wrong(x, x.member.slash(x.w.music, "studio drain"))
        assert {name: wrongs for name, wrongs in found.items() if wrongs} == {}


async def offered(
    x: Extremes, known: Mapping[str, app_commands.Command[Any, ..., Any]]
) -> dict[str, list[str]]:
    """Type into every option that completes."""
    found, requests = {}, x.w.env.backend.http_requests
    for name, command in known.items():
        for option in command.parameters:
            for typed in ("", "*", "x", "0", HALF, wide(100), "9" * 20) * option.autocomplete:
                before = len(requests)
                number = option.type is discord.AppCommandOptionType.integer
                if number and typed and not typed.isdecimal():
                    continue
                choices = await x.member.autocomplete(x.w.music, name, option.display_name, typed)
                (sent,) = (each for each in requests[before:] if each.path.endswith("/callback"))
                found[f"{name} {option.name} {typed}"] = problems(sent.method, sent.path, sent.json)
                assert choices or typed, (name, option.name)
    return found


async def walked(x: Extremes) -> dict[str, list[str]]:
    """Turn every page, and press everything for pieces that are there and that are not."""
    acts: list[tuple[str, str]] = []
    for name, pages in LISTS.items():
        subject = x.member.id if name == "history" else 0
        acts += [(f"page:{name}:{subject}:{page}", "") for page in (*range(pages), 10**6 - 1)]
        acts += [(f"page:{name}:{number}:0", "") for number in IDS]
    acts += [("page:servers:0:0", ""), ("page:tables:0:0", "")]
    for number in (x.delivered + 1, x.delivered + 60, 10**18 - 1):
        acts += [(f"{name}:{number}:{take}", "") for name in OF_TAKES for take in (1, 5)]
        acts += [(f"{name}:{number}" if name != "generate" else name, "") for name in BUTTONS]
        for name, choices in SELECTS.items():
            acts += [(name if ":" in name else f"{name}:{number}", each) for each in choices]
    acts += [
        ("queue:cancel", str(10**15 - 1)),
        (f"forget:{2**64 - 1}", ""),
        (f"forget:{IDS[1]}", ""),
        (f"grant:{x.member.id}:{wide(32)}", "1"),
        (f"grant:{x.w.alice.id}:alice", "1"),
        (f"revoke:2:{x.member.id}:{wide(32)}", ""),
        (f"reset-usage:{x.member.id}:{wide(32)}", ""),
        *((f"setup{each}", "") for each in ("", ":back", ":panel", ":done")),
        *((f"setup:{each}", "free") for each in ("everybody", f"role:{x.role.id}")),
        (f"setup:role:{2**64 - 1}", "free"),
        ("setup:role", "role"),
        ("setup:where", "channel"),
        ("remove-tier:plus", ""),
        ("reset-tiers", ""),
        ("form-back", ""),
        (f"page:history:{x.member.id}:0:{wide(50)}", ""),
    ]
    for pattern in inside.cached(x.w.bot)._view_store._dynamic_items:
        assert any(pattern.fullmatch(custom_id) for custom_id, _ in acts), (
            f"{pattern} is not pressed"
        )
    return {f"{each} {value}": await pressed(x, each, value) for each, value in acts}


async def test_a_form_takes_the_most_that_fits_in_it(plan: Plan) -> None:
    async with world(replace(plan, models=("scripted",))) as w:
        w.tolerated = (Refusal,)
        await w.alice.slash(w.music, "generate", **{**GENERATE, "duration": 1})
        result = await w.result()
        for change in (
            {},
            {"prompt": HALF},
            {"prompt": HALF + wide(499)},
            {"seconds": "9" * 12, "settings": ""},
            {"takes": "٣"},
            {"settings": wide(100)},
            {"settings": f"seed {HALF}"},
            {"settings": f"seed {9 * '9'}{9 * '9'}"},
            {"settings": "guidance 99999999.999"},
        ):
            form = await w.bob.click(result, label="Edit")
            shown = await w.bob.submit_modal(form, values(form) | change)
            assert shown.response
            assert "went wrong" not in shown.response.content, change
        assert w.refused() == []


async def test_a_refusal_with_more_models_than_fit_is_a_whole_sentence(plan: Plan) -> None:
    names = tuple(f"{number:02}".ljust(LONGEST_MODEL, "-") for number in range(99))
    async with world(replace(plan, models=("scripted", *names))) as w:
        asked = await w.alice.slash(w.music, "generate", prompt="play", duration=2, model="none")
        assert asked.response
        assert "Available: scripted, 00--" in str(asked.response.content)
        assert str(asked.response.content).endswith("more.")
