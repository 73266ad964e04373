"""Options by name: what rows had before each model had its own, and what rows have now."""

import sqlite3
from contextlib import closing
from pathlib import Path

from bot.tables import erasures, jobs
from bot.tables.opening import open_database, schema_steps
from bot.values import Wish
from tests.support.clock import Clock
from tests.support.studio import origin, rooms

BEFORE = 20
"""The schema in which every job had the three options of MusicGen, in columns of their own."""

CHOSEN = {
    1: {"guidance": 3.0, "temperature": 1.0, "top_k": 250},
    2: {"guidance": 4.5, "temperature": 0.8, "top_k": 90},
    3: {"guidance": 10.0, "temperature": 0.1, "top_k": 2048},
}


def written(path: Path) -> None:
    """Write a database as it was then, with a job for each of `CHOSEN`."""
    with closing(sqlite3.connect(path)) as connection:
        for step in schema_steps()[:BEFORE]:
            connection.executescript(step)
        for number, options in CHOSEN.items():
            connection.execute(
                """
                INSERT INTO jobs (
                    id, status, guild_id, channel_id, user_id, user_name, application_id, token,
                    prompt, seconds, takes, work, model, seed, guidance, temperature, top_k, tier,
                    allowance_seconds, day, created_at, charged_at, price
                ) VALUES (?, 'queued', 10, 100, 1, 'someone', 5, 't', 'play', 3, 1, 3, 'small', 7,
                    ?, ?, ?, 'Free', 8, '2026-11-23', 5, 5, 3)
                """,
                (number, *options.values()),
            )
        connection.execute(f"PRAGMA user_version = {BEFORE}")
        connection.commit()


async def test_jobs_of_the_schema_before_keep_the_options_that_they_were_asked_with(
    tmp_path: Path,
) -> None:
    written(tmp_path / "test.db")
    async with open_database(tmp_path / "test.db") as database:
        for number, options in CHOSEN.items():
            job = await jobs.find(database, number)
            assert job
            assert (job.request.options, job.request.lyrics) == (options, None)
            assert (job.request.prompt, job.request.model, job.request.seed) == ("play", "small", 7)
        columns = {row["name"] for row in await database.fetch("PRAGMA table_info(jobs)")}
        assert not columns & {"guidance", "temperature", "top_k"}


async def test_lyrics_and_options_are_kept_as_asked_for_and_the_words_are_erased(
    tmp_path: Path,
) -> None:
    async with open_database(tmp_path / "test.db") as database:
        wish = Wish(prompt="a song", options={"steps": 9}, lyrics="[verse] la la", language="fr")
        studio = rooms(database, tmp_path, Clock(), models=("ace",)).services.studio
        job = await studio.submit(origin(), wish)
        assert job.request.options == {"steps": 9, "guidance": 1}
        assert (job.request.lyrics, job.request.language) == ("[verse] la la", "fr")
        async with database.transaction() as tx:
            await erasures.forgotten(tx, [job.id], Clock()())
        (row,) = await database.fetch("SELECT * FROM jobs")
        assert (row["lyrics"], row["language"], row["prompt"]) == (None, None, "")
