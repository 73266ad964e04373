"""What members press and choose below messages, and what they made up to be pressed."""

from typing import Any

import discord
import simcord
from discord import ui

from bot.client import NotAllowed
from bot.errors import Refusal
from bot.values import Status
from cogs.ui.views import view
from tests.support.clock import until
from tests.support.shown import answered, told
from tests.support.world import World


def chosen(custom_id: str, value: str) -> ui.Select[Any]:
    option = discord.SelectOption(label="Choose", value=value)
    return ui.Select(custom_id=custom_id, options=[option])


async def forged(
    w: World,
    member: simcord.MemberActor,
    room: simcord.ChannelHandle,
    custom_id: str,
    value: str = "",
) -> str:
    """Press a button that the bot never put there, or choose a value, and return its answer."""
    w.tolerated = (Refusal, NotAllowed)
    button: ui.Button[Any] = ui.Button(label="Press", custom_id=custom_id)
    item = chosen(custom_id, value) if value else button
    message = await w.bot.get_partial_messageable(room.id).send("Press", view=view(item))
    if value:
        return told(await member.select(message, values=[value]))
    return told(await member.click(message, label="Press"))


async def first(w: World, prompt: str = "play a waltz", **options: Any) -> discord.Message:
    """A result of alice's, to press buttons under."""
    await w.alice.slash(w.music, "generate", prompt=prompt, **{"duration": 2, **options})
    message = await w.result()
    await w.ended(1, Status.DELIVERED)  # until that is noted, it is still being posted
    return message


async def choose(
    who: simcord.MemberActor, shown: simcord.InteractionResult, label: str
) -> simcord.InteractionResult:
    row, *_ = answered(shown).components
    options = row["components"][0]["options"]
    (value,) = [option["value"] for option in options if option["label"] == label]
    return await who.select(answered(shown).message, values=[value])


async def delete(who: simcord.MemberActor, message: discord.Message) -> simcord.InteractionResult:
    """Press Delete, and Delete once more in the question; return that."""
    question = await who.click(message, label="Delete")
    await who.click(answered(question).message, label="Delete")
    return question


async def button(w: World, custom_id: str) -> discord.Message:
    """Wait until a message has this button."""

    async def look() -> discord.Message | None:
        for message in w.messages():
            for row in message.components:
                assert isinstance(row, discord.ActionRow)
                if any(getattr(child, "custom_id", "") == custom_id for child in row.children):
                    return message
        return None

    return await until(look)


async def press_again(w: World, number: int = 1) -> simcord.InteractionResult:
    return await w.alice.click(await button(w, f"post-again:{number}"), label="Post again")
