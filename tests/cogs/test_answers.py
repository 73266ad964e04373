"""What becomes of an answer to an error that cannot be given."""

import logging
from typing import Any
from unittest.mock import AsyncMock

import pytest

from bot.app import Plan
from bot.client import LONGEST_MESSAGE
from bot.errors import Refusal, StorageError
from bot.tables import audit
from bot.values import Status
from tests.support.world import world

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


BUSY = AsyncMock(side_effect=StorageError("It is held.", busy=True))


@pytest.mark.parametrize(("room", "step"), [("standings", "of_job"), ("outbox", "shown")])
async def test_what_was_queued_is_not_denied_for_what_fails_later(
    plan: Plan, monkeypatch: pytest.MonkeyPatch, room: str, step: str
) -> None:
    async with world(plan) as w:
        monkeypatch.setattr(getattr(w.services, room), step, BUSY)
        shown = await w.generate("play")
        told = [str(each.content) for each in (shown.response, *shown.followups) if each]
        assert "#1 is queued and will be posted here" in told[-1]
        assert not any("nothing was changed" in text for text in told)
        await w.ended(1, Status.DELIVERED)


async def test_a_cancellation_is_not_denied_for_what_fails_later(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        shown = await w.generate("slow")
        await w.ended(1, Status.RUNNING)
        assert shown.response
        monkeypatch.setattr(w.services.outbox, "shown", BUSY)
        pressed = await w.alice.click(shown.response.message, label="Cancel")
        assert pressed.followups == []
        await w.status(shown, "#1 was cancelled")


async def test_what_is_erased_by_halves_is_said_to_be(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        shown = await w.alice.slash(w.music, "forget me")
        assert shown.response
        with monkeypatch.context() as patched:
            patched.setattr(audit, "forgotten", BUSY)
            pressed = await w.alice.click(shown.response.message, label="Erase everything")
            assert "Not everything is erased yet" in str(pressed.followups[0].content)
        pressed = await w.alice.click(shown.response.message, label="Erase everything")
        assert "Erased: 0 pieces." in str(pressed.response and pressed.response.content)


async def test_an_answer_too_long_for_discord_is_cut(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with world(plan) as w:

        async def submit(*_: Any, **__: Any) -> None:
            raise Refusal("no " * 1000)

        monkeypatch.setattr(w.studio, "submit", submit)
        shown = await w.generate("play")
        assert shown.response
        assert len(str(shown.response.content).strip()) <= LONGEST_MESSAGE
