"""What members read in what the bot shows them."""

from typing import Any

import discord
import simcord


def answered(shown: simcord.InteractionResult) -> simcord.ResponseMessage:
    """The message that answers a command, a press or a choice."""
    assert shown.response
    return shown.response


def embed(shown: simcord.InteractionResult) -> discord.Embed:
    """The one embed of an answer."""
    (embed,) = answered(shown).embeds
    return embed


def described(shown: simcord.InteractionResult) -> str:
    """What the one embed of an answer says below its title."""
    return embed(shown).description or ""


def told(shown: simcord.InteractionResult) -> str:
    """What a reply says that only its reader sees."""
    assert shown.ephemeral
    return str(answered(shown).content)


def card(shown: simcord.InteractionResult) -> str:
    """All that an answer's embed says to its reader alone."""
    assert shown.ephemeral
    all_of_it = embed(shown)
    fields = [f"{field.name}: {field.value}" for field in all_of_it.fields]
    texts = [all_of_it.title, all_of_it.description, *fields, all_of_it.footer.text]
    return "\n".join(filter(None, texts))


async def choices(shown: simcord.InteractionResult) -> list[str]:
    row, *_ = answered(shown).components
    return [option["label"] for option in row["components"][0]["options"]]


async def attached(shown: simcord.InteractionResult) -> list[discord.Attachment]:
    messages = [shown.response, *shown.followups]
    return [file for each in messages if each for file in each.attachments]


def fields(form: simcord.InteractionResult) -> dict[str, dict[str, Any]]:
    """The controls of a modal by their custom ids."""
    assert form.modal
    return {
        label["component"]["custom_id"]: label["component"] for label in form.modal["components"]
    }


def values(form: simcord.InteractionResult) -> dict[str, Any]:
    """What a modal is filled in with, by custom id; of a select the list of what is chosen."""
    return {
        name: _chosen(field) if "options" in field else field.get("value", "")
        for name, field in fields(form).items()
    }


def _chosen(field: dict[str, Any]) -> list[str]:
    return [option["value"] for option in field["options"] if option.get("default")]
