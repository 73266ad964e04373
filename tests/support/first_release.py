"""A database as the first release wrote it."""

import sqlite3
from importlib import resources
from pathlib import Path

from bot.values import Status


def first_release(path: Path) -> None:
    """Write a database as the first release did, with a job of every status."""
    schema = resources.files("bot.tables.migrations").joinpath("0001_jobs.sql").read_text()
    charged = ("queued", "running", "rendered", "delivered")
    with sqlite3.connect(path) as connection:
        connection.executescript(schema)
        for number, status in enumerate(Status, start=1):
            connection.execute(
                """
                INSERT INTO jobs (
                    id, status, guild_id, channel_id, user_id, user_name, application_id, token,
                    prompt, seconds, takes, model, seed, guidance, temperature, top_k, tier,
                    allowance_seconds, day, created_at, ended_at
                ) VALUES (?, ?, 10, 100, 1, 'someone', 5, 't', 'play', 3, 1,
                    'facebook/musicgen-small', 7, 3, 1, 250, 'Free', 8, '2026-11-23', 1795435200,
                    1795435300)
                """,
                (number, status),
            )
            connection.execute(
                "INSERT INTO takes (job_id, number, seed, charged_seconds) VALUES (?, 1, 7, ?)",
                (number, 3 if status in charged else 0),
            )
        connection.execute(
            "INSERT INTO posts (job_id, part, kind, nonce, due_at) VALUES (3, 0, 'result', 'n', 0)"
        )
        connection.execute("PRAGMA user_version = 1")
    connection.close()
