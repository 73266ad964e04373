"""The audit log as a file that spreadsheets open."""

import csv
from pathlib import Path
from typing import TextIO

from bot.tables import audit as log
from bot.tables.opening import reading

CSV_COLUMNS = ("id", "at", "actor_id", "actor", "action", "member_id", "subject", "before", "after")


async def audit(folder: Path, guild: int, out: TextIO) -> None:
    """Write a server's changes, oldest first, as CSV; raise OperatorError if there is no database.

    Cells that a spreadsheet would take for a formula begin with an apostrophe (OWASP, "CSV
    Injection").
    """
    writer = csv.writer(out, lineterminator="\n")
    async with reading(folder / "fantasia.db") as database:
        writer.writerow((*CSV_COLUMNS, "reason"))
        async for change in log.every(database, guild):
            at, by = change.at.isoformat(), change.actor
            known = (change.id, at, by.id, _cell(by.name), change.action, change.member_id or "")
            texts = (change.subject, change.before, change.after, change.reason)
            writer.writerow((*known, *(_cell(text or "") for text in texts)))


def _cell(text: str) -> str:
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
