"""The pictures in docs/ show what the bot says now."""

import re
from pathlib import Path

from bot.cli.demo.stage import staged
from tests.support.places import ROOT
from tests.support.scenes import DOCS, plan, scenes

STALE = "take the pictures anew: .venv/bin/python -m docs.pictures"


async def test_what_is_to_be_read_in_each_picture_is_what_the_bot_says_there(
    tmp_path: Path,
) -> None:
    async with staged(plan(tmp_path)) as stage:
        found = {scene.stored: scene.text async for scene in scenes(stage)}
    assert {path: path.read_text() for path in sorted(DOCS.glob("*.txt"))} == found, STALE


def test_every_picture_is_shown_and_no_other() -> None:
    pages = [ROOT / "README.md", *DOCS.glob("*.md")]
    shown = {
        (page.parent / link).resolve()
        for page in pages
        for link in re.findall(r"[(\"]([\w/]+\.png)[)\"]", page.read_text())
    }
    assert shown == {text.with_suffix(".png") for text in DOCS.glob("*.txt")}
