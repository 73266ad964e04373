"""Logging: one line per event, as text or as JSON, with the server, member and job it concerns."""

import logging
import re
import sys
from typing import Any

from pythonjsonlogger.json import JsonFormatter

from bot.values import Job

TEXT_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"

CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
"""What could end a line or steer a terminal."""


class OneLine(logging.Formatter):
    """Keeps a message on its line; a traceback follows, each of its lines marked by a bar."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        """Return the line, whatever the message quotes."""
        return CONTROL.sub(_escaped, super().formatMessage(record))

    def formatException(self, ei: Any) -> str:  # noqa: ANN401, N802
        """Return a traceback that cannot be taken for lines of the log."""
        text = super().formatException(ei)
        return "\n".join(f"  | {CONTROL.sub(_escaped, line)}" for line in text.split("\n"))


def start(level: str, *, as_json: bool) -> None:
    """Log to stderr from now on, from `level` up."""
    handler = logging.StreamHandler(sys.stderr)
    if as_json:
        fields = ["asctime", "levelname", "name", "message"]
        renamed = {"asctime": "time", "levelname": "level", "name": "logger"}
        handler.setFormatter(JsonFormatter(fields, rename_fields=renamed))
    else:
        handler.setFormatter(OneLine(TEXT_FORMAT))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


def change(
    log: logging.Logger, job: Job, what: str, level: int = logging.INFO, **facts: float | str
) -> None:
    """Log a change of a job's state, with its server, its member, its engine and more facts.

    Facts that are numbers are seconds.
    """
    told = [f"{name} {_told(fact)}" for name, fact in facts.items()]
    about = {"server": job.origin.guild_id, "member": job.origin.user_id, "engine": job.engine}
    known = {name: fact for name, fact in about.items() if fact is not None}
    line = "; ".join((", ".join(f"{name} {fact}" for name, fact in known.items()), *told))
    known["job"] = job.id
    log.log(level, "job %d %s (%s)", job.id, what, line, extra={**known, "state": what, **facts})


def _told(fact: float | str) -> str:
    return fact if isinstance(fact, str) else f"{fact:.1f} s"


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode()
