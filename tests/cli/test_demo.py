"""The demo: as a command without a page, and as a page in a real browser."""

import re
import shutil
import subprocess
import sys
import wave
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect, sync_playwright

from tests.support.processes import program

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DEMO = (sys.executable, "-u", "-m", "bot", "demo", "--engine", "sketch", "--no-browser")


def test_headless_writes_what_the_channel_received(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [
            *(*DEMO, "--headless", "--prompt", "mozart fantasia", "--duration", "3"),
            *("--pace", "0", "--out", out, "--data", tmp_path / "data"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    names = ("mozart-fantasia-1.wav", "mozart-fantasia-1.png", "transcript.txt")
    assert done.stdout.split() == [str(out / name) for name in names]
    with wave.open(str(out / "mozart-fantasia-1.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 32000, 96000)
    transcript = (out / "transcript.txt").read_text()
    for told in ("/generate prompt: mozart fantasia", "Queued as #1", "for visitor"):
        assert told in transcript
    assert (tmp_path / "data" / "fantasia.db").exists()


def test_headless_fails_with_the_bots_own_sentence(tmp_path: Path) -> None:
    done = subprocess.run(
        [*DEMO, "--headless", "--duration", "9999", "--out", tmp_path / "out"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "1 to 120 s" in done.stderr


@pytest.fixture
def page() -> Iterator[Page]:
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: the demo's page was not tried in a browser")
    running = program([*DEMO, "--pace", "1"], stderr=subprocess.PIPE)
    with running as demo, sync_playwright() as playwright:
        assert demo.stderr
        address = next(filter(None, (re.search(r"http://\S+", line) for line in demo.stderr)))[0]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page()
        page.goto(address)
        yield page
        browser.close()
        demo.terminate()
        demo.communicate()


def type_command(page: Page, prompt: str) -> None:
    composer = page.locator("#channel-composer-input")
    expect(composer).to_be_enabled(timeout=60_000)
    composer.press_sequentially("/generate")
    page.get_by_text("Turn words into music").first.wait_for()
    page.keyboard.press("Enter")
    option = page.locator("input[data-option=prompt]")
    option.fill(prompt)
    option.press("Enter")


def test_a_person_types_the_command_sees_it_move_and_hears_the_piece(page: Page) -> None:
    type_command(page, "mozart fantasia")
    expect(page.get_by_text("Queued as #1")).to_be_visible(timeout=60_000)
    expect(page.get_by_text("Piece #1 · 8 s")).to_be_visible(timeout=60_000)
    audio = page.locator("audio").first
    audio.wait_for(state="attached", timeout=60_000)
    expect(audio).to_have_js_property("readyState", 4, timeout=60_000)
    assert abs(audio.evaluate("audio => audio.duration") - 8) <= 0.05
    page.get_by_role("button", name="Play").first.click()
    expect(audio).not_to_have_js_property("currentTime", 0, timeout=60_000)

    type_command(page, "a piece to cancel")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("#2 was cancelled")).to_be_visible(timeout=60_000)
