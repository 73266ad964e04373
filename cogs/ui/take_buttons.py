"""One take of several: what can be done with it, and keeping it alone."""

from bot.client import Interaction, answer
from bot.errors import Refusal
from bot.rules.wording import counted
from cogs.ui import confirmations, embeds, permissions, views
from cogs.ui.buttons import PressableItem
from cogs.ui.views import NUMBER, TAKE


class TakeSelect(PressableItem, template=f"take:{NUMBER}"):
    """Shows what can be done with the take that is chosen."""

    async def press(self, interaction: Interaction) -> None:
        (chosen,) = self.chosen("([1-9])")
        viewer = permissions.viewer(interaction)
        job, takes = await interaction.client.services.pieces.takes(self.number, viewer)
        take = next((each for each in takes if each.number == int(chosen)), None)
        if take is None:
            raise Refusal(f"#{job.id} has no take {chosen} any more.")
        buttons = [views.EXTEND, views.SAVE]
        if len(takes) > 1 and (viewer.manager or viewer.user == job.origin.user_id):
            buttons.append(views.KEEP_TAKE)
        await answer(
            interaction,
            f"{embeds.named(job)}, take {chosen} · {embeds.lengths([take])} · seed {take.seed}",
            view=views.view(*(button.of(job.id, take.number) for button in buttons)),
        )


class KeepTakeButton(PressableItem, template=views.KEEP_TAKE.template):
    """Asks whether to keep one take only."""

    async def press(self, interaction: Interaction) -> None:
        """Say what is lost."""
        take = self.take
        job, others = await interaction.client.services.pieces.besides(
            self.number, take, permissions.viewer(interaction)
        )
        await confirmations.ask(
            interaction,
            f"Keep only take {take} of {embeds.named(job)}? The music of its "
            f"{counted(len(others), 'other take')} is removed for good, from my messages and from "
            "the studio, with the picture of all. What `/resend` posted of it goes too. Nothing is "
            "refunded.",
            "Keep only this one",
            f"keep-now:{job.id}:{take}",
        )


class KeepNowButton(PressableItem, template=f"keep-now:{NUMBER}:{TAKE}"):
    """Removes the other takes."""

    async def press(self, interaction: Interaction) -> None:
        """Remove them, and close the question."""
        take = self.take
        job = await interaction.client.services.archive.keep_only(
            self.number, take, permissions.viewer(interaction)
        )
        said = f"Only take {take} of #{job.id} is kept. Its message will show that in a moment."
        await interaction.response.edit_message(content=said, view=None)


TAKES = (TakeSelect, KeepTakeButton, KeepNowButton)
"""What answers below several takes."""
