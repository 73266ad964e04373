"""The demo: as a command without a page, and as a page in a real browser."""

import asyncio
import itertools
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request
import wave
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import simcord
from playwright.sync_api import Page, expect, sync_playwright

from bot.app import Plan
from bot.cli.demo.pages import opened
from bot.cli.demo.stage import OWNERS_SERVER, PATIENCE, staged
from bot.rules.tiers import DEFAULTS
from tests.support import inside
from tests.support.ports import free_port
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

LONGEST = 250_000
"""Milliseconds, no measure of speed: what never comes fails with a word of what it was."""


def test_headless_writes_what_the_channel_received(tmp_path: Path) -> None:
    out = tmp_path / "out"
    done = subprocess.run(
        [
            *(*DEMO, "--headless", "--prompt", "mozart fantasia", "--duration", "3"),
            *("--pace", "0", "--out", out, "--data", tmp_path / "data"),
        ],
        env={**os.environ, "SERVERS": "123456789012345678"},
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
        page.set_default_timeout(LONGEST)
        expect.set_options(timeout=LONGEST)
        page.goto(address)
        yield page
        browser.close()
        demo.terminate()
        demo.communicate()


def test_it_tells_its_pages_serves_metrics_and_ends_with_a_word(tmp_path: Path) -> None:
    port = free_port()
    screenless = {key: value for key, value in os.environ.items() if "DISPLAY" not in key}
    command = [*DEMO, "--pace", "0", "--port", str(port), "--data", str(tmp_path)]
    with program(command, stderr=subprocess.PIPE, env=screenless) as demo:
        assert demo.stderr
        told = "".join(
            itertools.takewhile(lambda line: "open the addresses" not in line, demo.stderr)
        )
        pages = re.findall(r"  (#.+?)  +(http://127\.0\.0\.1:\d+/#\S+)", told)
        assert [name for name, _ in pages] == [
            *("#music of Fantasia", "#ideas of Fantasia", "#lobby of Second server"),
        ]
        assert all(f":{port}/#" in address for _, address in pages)
        assert f"ssh -L {port}:127.0.0.1:{port} " in told
        metrics = re.findall(r"metrics +(http://\S+)", told)[-1]
        with urllib.request.urlopen(metrics) as answer:
            assert "fantasia_build_info" in answer.read().decode()
        seen = [at_a_glance(address) for _, address in pages]
        assert [each["channel"]["name"] for each in seen] == ["music", "ideas", "lobby"]
        demo.send_signal(signal.SIGINT)
        assert demo.communicate()[1].splitlines()[-1] == "The demo has ended."
        assert demo.returncode == 0


def at_a_glance(address: str) -> dict[str, Any]:
    """Return what a browser is given that opens a page."""
    place, _, capability = address.partition("#")
    headers = {"X-Simcord-Capability": capability}
    asked = urllib.request.Request(f"{place}api/pages", b"{}", headers)
    with urllib.request.urlopen(asked) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


@pytest.fixture
def simulated(plan: Plan) -> Plan:
    return replace(plan, defaults=DEFAULTS, owner_guild_id=OWNERS_SERVER)


async def test_a_start_may_take_as_long_as_it_takes(
    simulated: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = inside.patience(monkeypatch, simcord.Env)
    async with staged(simulated):
        assert set(given) == {PATIENCE}


async def test_a_refusal_is_no_error_of_the_bots_but_a_fault_is(simulated: Plan) -> None:
    async with staged(simulated) as stage:
        visitor, lobby = stage.member("visitor"), stage.rooms[-1]
        shown = await visitor.slash(stage.music, "generate", prompt="play", duration=60)
        assert shown.response
        assert "You asked for 60 s" in shown.response.content
        shown = await visitor.slash(stage.music, "history", member=stage.member("pro"))
        assert shown.response
        assert "Manage Server" in shown.response.content
        shown = await lobby.members[0].slash(lobby.channel, "studio stats")
        assert shown.response
        assert shown.response.embeds
        assert stage.env.errors == []
        studio = stage.bot.services.studio
        with pytest.MonkeyPatch.context() as broken:
            broken.setattr(type(studio), "submit", None)
            await visitor.slash(stage.music, "generate", prompt="play", duration=8)
        assert len(stage.env.errors) == 1


async def test_what_could_not_be_shown_at_once_is_shown_a_little_later(
    simulated: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with staged(simulated) as stage, opened(stage, free_port()) as pages:
        page, shown = pages[-1], asyncio.Event()
        real, failures = page.refresh, iter((TimeoutError(), simcord.SetupError()))

        async def refresh() -> None:
            if failure := next(failures, None):
                raise failure
            await real()
            shown.set()

        monkeypatch.setattr(page, "refresh", refresh)
        stage.changed.set()
        await shown.wait()


def type_command(page: Page, prompt: str) -> None:
    composer = page.locator("#channel-composer-input")
    expect(composer).to_be_visible()  # until there is a channel it takes no keys
    composer.press_sequentially("/generate")
    page.get_by_text("Turn words into music").first.wait_for()
    page.keyboard.press("Enter")
    option = page.locator("input[data-option=prompt]")
    option.fill(prompt)
    # While it asks for completions the page takes no click; and Enter would choose one of them.
    expect(page.get_by_role("option", name=prompt, exact=True)).to_be_visible()
    page.get_by_role("button", name="Send", exact=True).click()


def test_a_person_types_the_command_sees_it_move_and_hears_the_piece(page: Page) -> None:
    type_command(page, "mozart fantasia")
    # It waits only while the first piece of the demo is being made.
    expect(page.get_by_text(re.compile("(Queued as|Rendering) #2"))).to_be_visible()
    expect(page.get_by_text("Piece #2 · 8 s")).to_be_visible()
    audio = page.locator("audio").last
    audio.wait_for(state="attached")
    expect(audio).to_have_js_property("readyState", 4)
    assert abs(audio.evaluate("audio => audio.duration") - 8) <= 0.05
    play = page.get_by_role("button", name="Play mozart-fantasia-2.wav")
    while not audio.evaluate("audio => audio.currentTime"):
        # Again, as a person would: what plays is drawn anew where a message goes meanwhile.
        if play.count():
            play.click()
        page.wait_for_timeout(250)

    type_command(page, "a piece to cancel")
    page.get_by_role("button", name="Cancel", exact=True).click()
    expect(page.get_by_text("#3 was cancelled")).to_be_visible()
