"""/song: the command that requests a song, with lyrics."""

from typing import Any

from discord import app_commands

from bot.client import Fantasia, Interaction
from bot.rules import bounds
from bot.rules.bounds import LONGEST_PROMPT, MOST_TAKES, USUAL_SONG_SECONDS
from bot.rules.lyrics import LONGEST_LYRICS, in_lines
from bot.studio import Studio
from bot.values import Wish
from cogs.ui import prompt_words, song_form, submit
from cogs.ui.request_options import durations, languages, singers, with_options


def command(studio: Studio) -> app_commands.Command[Any, ..., None]:
    """Make /song, with the options of the models that sing."""

    @app_commands.describe(
        style="What the music should be, such as: indie pop, warm female voice, piano",
        lyrics="What is sung, with / between lines; leave it out for a form with room for them",
        language="The language of the lyrics (default: the model finds out)",
        duration=f"Length in seconds, 1 to {studio.max_seconds} "
        f"(default {USUAL_SONG_SECONDS}, or less if your tier allows less)",
        takes="How many versions of that length (default 1)",
        model="The model that sings",
        seed="The same seed, words and settings make the same song again",
    )
    @app_commands.autocomplete(style=prompt_words.phrases)
    @app_commands.autocomplete(language=languages)
    @app_commands.autocomplete(duration=durations)
    @app_commands.autocomplete(model=singers)
    async def song(
        interaction: Interaction,
        style: app_commands.Range[str, 1, LONGEST_PROMPT] | None = None,
        lyrics: app_commands.Range[str, 1, LONGEST_LYRICS] | None = None,
        language: app_commands.Range[str, 1, 100] | None = None,
        duration: app_commands.Range[int, 1, studio.max_seconds] | None = None,
        takes: app_commands.Range[int, 1, MOST_TAKES] = 1,
        model: app_commands.Range[str, 1, 100] | None = None,
        seed: app_commands.Range[int, 0, bounds.HIGHEST_SEED] | None = None,
        **given: float | None,
    ) -> None:
        """Turn a style and lyrics into a song."""
        wish = Wish(
            prompt=style or "",
            seconds=duration,
            takes=takes,
            model=model,
            seed=seed,
            options={name: value for name, value in given.items() if value is not None},
            lyrics=in_lines(lyrics or ""),
            language=language,
        )
        if style and lyrics:
            await submit.queue(interaction, wish)
        else:
            await song_form.open_for(interaction, wish)

    return app_commands.command()(with_options(song, [each for each in studio.cards if each.sings]))


async def setup(bot: Fantasia) -> None:
    """Add /song; its form is among those of /generate's module."""
    bot.tree.add_command(command(bot.services.studio))
