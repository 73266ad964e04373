"""What becomes of an answer to an error that cannot be given."""

import logging
from typing import Any

import pytest

from bot.client import LONGEST_TEXT
from bot.composition import Plan
from bot.errors import Refusal, StorageError
from tests.conftest import world

CALLBACK = "/interactions/*/*/callback"


def logged(caplog: pytest.LogCaptureFixture) -> list[tuple[str, bool]]:
    return [
        (record.levelname, bool(record.exc_info))
        for record in caplog.records
        if record.levelno >= logging.WARNING
    ]


@pytest.mark.parametrize(
    ("cause", "lines"),
    [
        (Refusal("No."), [("WARNING", False)]),
        (StorageError("no room"), [("ERROR", False), ("WARNING", False)]),
        (KeyError("violins"), [("ERROR", True), ("WARNING", False)]),
    ],
    ids=repr,
)
@pytest.mark.parametrize(("status", "code"), [(404, 10062), (403, 0), (503, 0)])
async def test_an_error_that_cannot_be_told_is_logged_once(
    plan: Plan,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
    cause: Exception,
    lines: list[tuple[str, bool]],
    status: int,
    code: int,
) -> None:
    async with world(plan) as w:

        async def submit(*_: Any, **__: Any) -> None:
            raise cause

        monkeypatch.setattr(w.studio, "submit", submit)
        w.env.inject_error("POST", CALLBACK, status=status, code=code, times=None)
        w.tolerated = (Exception,)
        await w.generate("play")
        assert logged(caplog) == lines


async def test_an_answer_too_long_for_discord_is_cut(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:

        async def submit(*_: Any, **__: Any) -> None:
            raise Refusal("no " * 1000)

        monkeypatch.setattr(w.studio, "submit", submit)
        shown = await w.generate("play")
        assert shown.response
        assert len(str(shown.response.content).strip()) <= LONGEST_TEXT
