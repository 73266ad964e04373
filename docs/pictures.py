"""Takes the README's pictures of the demo, in Chromium: `make pictures`."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

HERE = Path(__file__).parent
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEMO = (
    sys.executable,
    "-u",
    "-m",
    "bot",
    "demo",
    "--engine",
    "sketch",
    "--no-browser",
    "--pace",
    "0.25",
)
HINTS = {"generate": "Turn words into music", "history": "The pieces that were made for you"}
PATIENCE = 60_000
"""Milliseconds."""


def main() -> None:
    """Go through the demo as a member of the highest tier would."""
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        sys.exit("Chromium is not installed, so no pictures were taken (apt install chromium).")
    demo = subprocess.Popen(DEMO, stderr=subprocess.PIPE, text=True, cwd=HERE.parent)
    try:
        assert demo.stderr
        address = next(filter(None, (re.search(r"http://\S+", line) for line in demo.stderr)))[0]
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
            page = browser.new_page(viewport={"width": 1000, "height": 1200})
            page.set_default_timeout(PATIENCE)
            page.goto(address)
            play(page)
            browser.close()
    finally:
        demo.terminate()
        demo.communicate()


def play(page: Page) -> None:
    """Ask, look and take each picture."""
    command(page, "generate", prompt="mozart fantasia")
    done(page, 1)
    kept(page, "demo")
    be(page, "pro")
    command(page, "generate", prompt="warm lofi with rain", duration="8", takes="5")
    done(page, 2)
    kept(page, "takes")
    page.get_by_role("button", name="Edit", exact=True).last.click()
    page.get_by_text("Edit and resubmit").wait_for()
    kept(page, "edit")
    page.keyboard.press("Escape")
    command(page, "generate", prompt="a long orchestral journey", duration="90")
    page.get_by_role("button", name="Stop here").wait_for(timeout=PATIENCE)
    kept(page, "preview")
    page.get_by_role("button", name="Stop here").click()
    done(page, 3)
    command(page, "history")
    page.get_by_text("Pieces, newest first").wait_for(timeout=PATIENCE)
    kept(page, "history")


def be(page: Page, name: str) -> None:
    """Become another of the demo's members."""
    choice = page.locator("select").first
    labels = choice.evaluate("select => [...select.options].map(option => option.text)")
    choice.select_option(label=next(label for label in labels if name in label))
    page.wait_for_timeout(4000)


def command(page: Page, name: str, **options: str) -> None:
    """Type a command."""
    composer = page.locator("#channel-composer-input")
    expect(composer).to_be_enabled(timeout=PATIENCE)
    composer.press_sequentially(f"/{name}")
    page.get_by_text(HINTS[name]).last.wait_for()
    page.wait_for_timeout(500)
    page.keyboard.press("Enter")
    field = None
    for option, value in reversed(options.items()):
        field = page.locator(f"input[data-option={option}]")
        if not field.count():
            page.locator(".command-chip").click()
            page.locator(".command-popup, [role=listbox]").get_by_text(option).first.click()
        field.fill(value)
        page.wait_for_timeout(0 if option == "prompt" else 800)
    if field:  # before the completions come, of which Enter would take one
        field.press("Enter")
    else:
        page.wait_for_timeout(800)
        page.get_by_role("button", name="Send").click()  # Enter would take the first option


def done(page: Page, number: int) -> None:
    """Wait until a piece is there, and can be played."""
    expect(page.get_by_text(f"Piece #{number} · ")).to_be_visible(timeout=PATIENCE)
    page.wait_for_timeout(4000)


def kept(page: Page, name: str) -> None:
    """Take a picture of the newest that is shown."""
    page.mouse.move(500, 400)
    page.mouse.wheel(0, 9000)
    page.wait_for_timeout(1500)
    page.screenshot(path=HERE / f"{name}.png")


if __name__ == "__main__":
    main()
