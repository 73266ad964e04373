"""What the bot needs on a server, and the link by which a server gives it."""

from collections.abc import Iterable

import discord

SCOPES = ("bot", "applications.commands")

IN_CHANNELS = ("view_channel", "send_messages", "attach_files", "embed_links")
IN_THREADS = ("view_channel", "send_messages_in_threads", "attach_files", "embed_links")

# The history is read where a message may have been sent before a crash: it is not sent twice.
ON_A_SERVER = tuple(dict.fromkeys((*IN_CHANNELS, *IN_THREADS, "read_message_history")))


def needed_in(channel: object) -> tuple[str, ...]:
    """Return what the bot needs to post music in a channel, or in a thread."""
    return IN_THREADS if isinstance(channel, discord.Thread) else IN_CHANNELS


def link(application: int) -> str:
    """Return the address that adds an application's bot to a server with all that it needs."""
    permissions = discord.Permissions(**dict.fromkeys(ON_A_SERVER, True))
    return discord.utils.oauth_url(application, permissions=permissions, scopes=SCOPES)


def lacking(held: discord.Permissions, needed: Iterable[str] = ON_A_SERVER) -> str:
    """Name the permissions that are needed and not held, by Discord's words; "" if none is."""
    missing = () if held.administrator else (name for name in needed if not getattr(held, name))
    words = ", ".join(name.replace("_", " ").title() for name in missing)
    return words.replace(" In ", " in ")
