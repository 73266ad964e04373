"""One line of the doctor's table."""

from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """Whether something is as it should be, worth knowing, or must be fixed."""

    GOOD = "good"
    NOTE = "note"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    what: str
    verdict: Verdict
    found: str
    remedy: str = ""


def good(what: str, found: str) -> Check:
    """Return a line for what is as it should be."""
    return Check(what, Verdict.GOOD, found)


def note(what: str, found: str, remedy: str) -> Check:
    """Return a line for what is worth knowing."""
    return Check(what, Verdict.NOTE, found, remedy)


def bad(what: str, found: str, remedy: str) -> Check:
    """Return a line for what must be fixed."""
    return Check(what, Verdict.BAD, found, remedy)
