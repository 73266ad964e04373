"""Takes the pictures in docs/ from the demo, in Chromium: `make pictures`."""

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

import discord
from playwright.async_api import Browser, async_playwright, expect
from simcord.preview import Preview

from bot.cli.demo.pages import PlayableWavs
from bot.cli.demo.stage import staged
from tests.support.scenes import Scene, plan, scenes

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
WIDTH, HEIGHT = 540, 1600
"""The page's pixels, of which a message or a form is cut out."""

PACE = 0.3
"""Seconds of work per second of music, so that a preview stands until it was taken."""

PATIENCE = 60_000
"""Milliseconds for music to be decoded."""

PAUSE = 500
"""Milliseconds in which a page comes to rest."""


async def main() -> None:
    """Take each picture, and store beside it what is to be read there."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed, so no pictures were taken (apt install chromium).")
    with tempfile.TemporaryDirectory() as folder:
        async with async_playwright() as playwright, staged(plan(Path(folder), PACE)) as stage:
            browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            music, *_ = stage.rooms
            viewers = sorted(music.members, key=lambda member: member.name != "pro")
            page = stage.env.preview(
                music.channel, viewers=viewers, layout="channel", width=WIDTH, height=HEIGHT
            )
            async with page:  # which stands still, unlike the demo's own
                page._media_worker = PlayableWavs()
                async for scene in scenes(stage):
                    await _take(browser, page, scene)
            await browser.close()


async def _take(browser: Browser, preview: Preview, scene: Scene) -> None:
    await preview.show(scene.shown)
    page = await browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
    await page.goto(preview.url)
    found = page.locator(_selector(scene))
    await found.wait_for()
    await expect(found.get_by_text("Loading media")).to_have_count(0, timeout=PATIENCE)
    await page.wait_for_timeout(PAUSE)
    await found.screenshot(path=scene.picture)
    await page.close()
    scene.stored.write_text(scene.text)
    print(scene.picture)


def _selector(scene: Scene) -> str:
    if isinstance(scene.shown, discord.Message):
        number = scene.shown.id
    elif scene.shown.modal is not None:
        return ".modal-dialog"
    else:
        assert scene.shown.response
        number = scene.shown.response.id
    return f'.channel-message[data-message-id="{number}"]'


if __name__ == "__main__":
    asyncio.run(main())
