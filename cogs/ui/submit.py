"""From an interaction to a queued request and its status message: commands and buttons alike."""

import logging

from bot.client import Interaction, require_membership
from bot.discord_api import invitation
from bot.errors import Refusal, RefusalKind, StorageError
from bot.rules import quota
from bot.values import Job, Membership, Origin, Status, Wish
from cogs.ui import permissions, status_embeds, views

log = logging.getLogger(__name__)


class Queued(Refusal):
    """What a member wants was queued, and only cannot be shown."""


async def allowed(interaction: Interaction) -> tuple[Membership, int]:
    """Return the member's tier and the length of the longest piece they may request, in seconds."""
    return await interaction.client.services.accounts.allowed(
        interaction.guild_id or 0, interaction.user.id, permissions.presence(interaction)
    )


async def require_model(interaction: Interaction, model: str) -> None:
    """Raise Refusal where there is a model that the member's tier does not include.

    It is asked before a form opens that is for this model: nobody writes in vain.
    """
    services = interaction.client.services
    if model in services.studio.models:
        held, _ = await allowed(interaction)
        offers = await services.accounts.offers(permissions.guild_of(interaction))
        quota.check_model(held, model, offers)


async def queue(interaction: Interaction, wish: Wish) -> None:
    """Queue what a member wishes for, and reply with the status message."""
    await tell(interaction, await request(interaction, wish))


async def queue_chosen(interaction: Interaction, wish: Wish, done: str) -> None:
    """Queue what a member chose under a question, close that with what is `done`, and show it.

    A question queues once: what is chosen there again finds the job that was queued before.
    """
    question = interaction.message  # of a form it is the message that its button is under
    job = await request(interaction, wish, once=question.id if question else None)
    await interaction.response.edit_message(content=f"{done} as #{job.id}.", view=None)
    if job.shown is None:
        await tell(interaction, job)


async def request(interaction: Interaction, wish: Wish, *, once: int | None = None) -> Job:
    """Queue what a member wishes for, but `once` for a message with this id."""
    return await interaction.client.services.studio.submit(
        origin(interaction, once), wish, permissions.presence(interaction)
    )


async def tell(interaction: Interaction, job: Job) -> None:
    """Reply with the status message of what was queued, after an earlier answer if there is one."""
    services = interaction.client.services
    try:
        card = status_embeds.waiting(await services.standings.of_job(job.id))
        view = views.view(views.CANCEL.of(job.id))
        message: int | None
        if interaction.response.is_done():
            message = (await interaction.followup.send(embed=card, view=view, wait=True)).id
        else:
            reply = await interaction.response.send_message(embed=card, view=view)
            message = reply.message_id
        await services.outbox.shown(job, message, Status.QUEUED)
    except StorageError as error:  # the job is queued and charged all the same
        log.error("job %d: its status cannot be shown: %s", job.id, error)
        raise Queued(
            f"#{job.id} is queued and will be posted here, but the studio's database is busy, so "
            "its progress may not show here. Use `/queue` to follow or cancel it."
        ) from None


def origin(interaction: Interaction, once: int | None) -> Origin:
    """Return who asks and where, `once` by a message; raise Refusal where none could be posted."""
    if interaction.guild_id is None:
        raise Refusal("I only make music in servers. Use `/generate` in a server channel.")
    require_membership(interaction)
    require_permissions(interaction)
    assert interaction.channel_id is not None
    kind, parent = permissions.kind(interaction.channel)
    return Origin(
        guild_id=interaction.guild_id,
        channel_id=interaction.channel_id,
        user_id=interaction.user.id,
        user_name=interaction.user.display_name,
        application_id=interaction.application_id,
        token=interaction.token,
        channel_kind=kind,
        parent_id=parent,
        interaction_id=once or interaction.id,
    )


def require_permissions(interaction: Interaction) -> None:
    """Raise Refusal where no music could be posted."""
    if interaction.channel_id is None:
        raise Refusal("I do not know this kind of channel. Use another one.")
    # Asked before a job is taken on: without these its music could not be posted.
    needed = invitation.needed_in(interaction.channel)
    if names := invitation.lacking(interaction.app_permissions, needed):
        raise Refusal(
            f"I am missing permissions in this channel: {names}. Nothing was queued.",
            RefusalKind.PERMISSION,
            ask="Ask whoever manages the server to grant them.",
            change="you can grant them in the settings of this channel.",
        )
