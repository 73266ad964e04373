"""/generate: the command that requests music."""

from typing import Any

from discord import app_commands

from bot.client import Fantasia, Interaction
from bot.rules import bounds
from bot.rules.bounds import LONGEST_PROMPT, MOST_TAKES, USUAL_SECONDS
from bot.studio import Studio
from bot.values import Wish
from cogs.ui import prompt_words, submit
from cogs.ui.again import AgainButton, EditButton
from cogs.ui.buttons import CancelButton, PostAgainButton, StopButton
from cogs.ui.extending import EXTENSION, ExtendButton, ExtendSelect, OtherWordsButton
from cogs.ui.forms import BackButton, Forms
from cogs.ui.piece_card import TITLE, NameButton, StarButton, UnstarButton
from cogs.ui.request_form import REQUEST, GenerateButton
from cogs.ui.request_options import durations, models, with_options
from cogs.ui.result_buttons import DeleteButton, DeleteNowButton
from cogs.ui.saving import SaveButton, SaveSelect
from cogs.ui.song_form import SONG
from cogs.ui.take_buttons import TAKES

BUTTONS = (CancelButton, PostAgainButton, StopButton, AgainButton, EditButton, GenerateButton)
RESULTS = (
    *(ExtendButton, ExtendSelect, OtherWordsButton, SaveButton, SaveSelect),
    *(DeleteButton, DeleteNowButton, *TAKES),
)
PIECES = (StarButton, UnstarButton, NameButton)

FORMS = (REQUEST, SONG, EXTENSION, TITLE)


def command(studio: Studio) -> app_commands.Command[Any, ..., None]:
    """Make /generate with the operator's longest piece as the bound that Discord enforces.

    It takes the options that some model here has, within the bounds of all of those.
    """

    @app_commands.describe(
        prompt="What the music should be, such as: mozart fantasia",
        duration=f"Length in seconds, 1 to {studio.max_seconds} "
        f"(default {USUAL_SECONDS}, or less if your tier allows less)",
        takes="How many versions of that length (default 1)",
        model="The model that makes the music",
        seed="The same seed, prompt and settings make the same music again",
    )
    @app_commands.autocomplete(prompt=prompt_words.phrases)
    @app_commands.autocomplete(duration=durations)
    @app_commands.autocomplete(model=models)  # not choices: these are the same for all members
    async def generate(
        interaction: Interaction,
        prompt: app_commands.Range[str, 1, LONGEST_PROMPT],
        duration: app_commands.Range[int, 1, studio.max_seconds] | None = None,
        takes: app_commands.Range[int, 1, MOST_TAKES] = 1,
        model: app_commands.Range[str, 1, 100] | None = None,
        seed: app_commands.Range[int, 0, bounds.HIGHEST_SEED] | None = None,
        **given: float | None,
    ) -> None:
        """Turn words into music."""
        wish = Wish(
            prompt=prompt,
            seconds=duration,
            takes=takes,
            model=model,
            seed=seed,
            options={name: value for name, value in given.items() if value is not None},
        )
        await submit.queue(interaction, wish)

    return app_commands.command()(with_options(generate, studio.cards))


async def setup(bot: Fantasia) -> None:
    """Add /generate, its buttons and its forms to the bot."""
    bot.tree.add_command(command(bot.services.studio))
    # Presses of what was posted before this start find their class by these.
    bot.add_dynamic_items(*BUTTONS, BackButton, *RESULTS, *PIECES)
    await bot.add_cog(Forms(FORMS))
