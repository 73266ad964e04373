"""README.md and docs/: what they name exists, and they leave nothing out."""

import re
import shlex
import sqlite3
import tomllib
from contextlib import closing, suppress
from dataclasses import fields
from importlib import metadata
from pathlib import Path

import pytest
from mutagen.oggvorbis import OggVorbis
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from bot import app
from bot.cli import arguments
from bot.config import Config
from bot.engine.cards import SKETCH
from bot.engine.environment import INHERITED
from bot.monitoring import metrics
from bot.retention.archive import FORGOTTEN_AFTER
from bot.tables.opening import schema_steps
from tests.support.places import ROOT

DOCS = ROOT / "docs"
GUIDE = (DOCS / "operating.md").read_text()
NOTICE = (DOCS / "privacy-notice.md").read_text()
PAGES = (
    "../README.md",
    *(
        "acestep.md",
        "cluster.md",
        "commands.md",
        "delivery.md",
        "gpu.md",
        "metrics.md",
        "musicgen.md",
    ),
    *("operating.md", "privacy-notice.md", "scaling.md", "terms.md", "tiers.md"),
)
"""Those that begin with their contents."""

LONGEST_README = 250
"""Lines."""
LARGEST_SAMPLES = 300_000
"""Bytes of all of them."""

SETTINGS = {field.name.upper() for field in fields(Config)}
UNITS = {"TimeoutStopSec", "LoadCredential", "Restart"}
NOT_OURS = {"ADDRESS", "OLDER"}
"""What a reader puts in place of it."""

STORED = {
    "jobs": "what you asked for",
    "interactions": "what you asked for",
    "draws": "how many seconds of music you used",
    "tallies": "how many seconds of music you used",
    "grants": "seconds that admins gave you",
    "members": "tiers and seconds that admins gave you, whether you are blocked",
    "takes": "the music, its picture and its codes",
    "unneeded": "the music, its picture and its codes",
    "posts": "the ids of the bot's messages about your pieces",
    "removals": "the ids of the bot's messages about your pieces",
    "repeats": "the ids of the bot's messages about your pieces",
    "audit": "what admins changed",
    "drafts": "what you typed into a form that was refused",
}
"""Where something about a member is stored, and how the notice says so."""

ABOUT_NOBODY = {
    *(
        "channels",
        "engines",
        "panels",
        "role_tiers",
        "servers",
        "settings",
        "speeds",
        "tiers",
        "uploads",
        "words",
    ),
}


def commands(text: str) -> list[str]:
    """Return the lines of a page's blocks for the shell, without their comments."""
    blocks = re.findall(r"```sh\n(.*?)```", text, re.DOTALL)
    lines = [line.split("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [part.strip() for line in lines for part in line.split("&&") if part.strip()]


def anchor(heading: str) -> str:
    return re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-")


def headings(text: str, level: str = "#+") -> list[str]:
    """Return the anchors of a page's headings."""
    return [anchor(found) for found in re.findall(rf"^{level} (.+)$", text, re.MULTILINE)]


def links(text: str) -> list[str]:
    """Return where a page's links and pictures lead, but for other people's sites."""
    found = re.findall(r"\]\(([^)]+)\)|src=\"([^\"]+)", text)
    return [link for pair in found for link in pair if link and not link.startswith("https://")]


@pytest.mark.parametrize("page", PAGES)
def test_the_contents_at_the_top_name_every_chapter_and_every_link_leads_somewhere(
    page: str,
) -> None:
    text = (DOCS / page).read_text()
    contents, _, _ = text.partition("\n## ")
    chapters = headings(text, "##")
    assert [link for link in re.findall(r"\(#([^)]+)\)", contents) if link in chapters] == chapters
    for link in links(text):
        place, _, part = link.partition("#")
        target = (DOCS / page).parent / place if place else DOCS / page
        assert target.exists(), link
        assert not part or part in headings(target.read_text()), link


def test_the_readme_is_short_and_every_document_is_in_the_list() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= LONGEST_README
    listed = set(links((DOCS / "README.md").read_text()))
    assert {page.name for page in DOCS.glob("*.md")} - listed == {"README.md"}
    assert all((DOCS / link).exists() for link in listed)


def test_the_samples_are_small_linked_and_marked_as_the_sketch_engines() -> None:
    samples = sorted((DOCS / "samples").iterdir())
    linked = [link for link in links((ROOT / "README.md").read_text()) if "samples/" in link]
    assert sorted(linked) == [f"docs/samples/{sample.name}" for sample in samples]
    assert sum(sample.stat().st_size for sample in samples) < LARGEST_SAMPLES
    assert all(OggVorbis(sample)["MODEL"] == [SKETCH.label] for sample in samples)


def test_the_bots_commands_in_the_guide_are_commands() -> None:
    found = set()
    for line in commands(GUIDE):
        _, is_python, rest = line.partition("python -m bot ")
        _, is_composed, composed = line.partition("run --rm gpu ")
        words = shlex.split(rest if is_python else composed)
        if is_python or is_composed:
            found.add(arguments.parse(words).command)
    assert {"backup", "doctor", "fetch", "restore"} <= found


def test_the_targets_and_files_in_the_guide_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    lines = commands(GUIDE)
    asked = {word for line in lines for word in re.findall(r"\bmake ([a-z]+)", line)}
    assert asked == {"run", "setup"} & targets
    named = set(re.findall(r"(?:^|[\s`(])((?:\.\./)?deploy/[\w.]+)", GUIDE))
    assert all((DOCS / name).exists() or (ROOT / name).exists() for name in named), named
    assert "deploy/compose.yaml" in named


def test_the_settings_in_the_guide_are_settings() -> None:
    named = set(re.findall(r"`([A-Z]+(?:_[A-Z]+)+)(?:=[^`]*)?`", GUIDE))
    # Some are those of libraries, which engines inherit.
    assert {name for name in named - SETTINGS if not INHERITED.fullmatch(name)} == set()
    assert set(re.findall(r"\b([A-Z]{4,})\b", "\n".join(commands(GUIDE)))) <= NOT_OURS


def needed(*wanted: str) -> set[str]:
    """Return the packages that are installed for some requirements, with those of theirs."""
    found, left = set[str](), [Requirement(each) for each in wanted]
    while left:
        each = left.pop()
        name = canonicalize_name(each.name)
        with suppress(metadata.PackageNotFoundError):  # `make lock` leaves some out
            if name not in found and (each.marker is None or each.marker.evaluate({"extra": ""})):
                left += map(Requirement, metadata.requires(name) or ())
                found.add(name)
    return found


def test_the_page_of_ace_step_lists_the_packages_that_it_adds_with_their_licences() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    added = needed(*extras["acestep"]) - needed(*project["dependencies"], *extras["musicgen"])
    _, _, chapter = (DOCS / "acestep.md").read_text().partition("## What was added")
    rows = re.findall(r"^\| (.+) \| (\S+) \|$", chapter, re.MULTILINE)[1:]
    listed = {name: licence for names, licence in rows for name in names.split(", ")}
    assert listed.keys() == added
    for name, licence in listed.items():
        said = metadata.metadata(name)
        texts = [*(said.get_all("License") or ()), *(said.get_all("License-Expression") or ())]
        assert licence.partition("-")[0] in " ".join(texts), name


def test_the_metrics_in_the_guide_are_metrics() -> None:
    source = Path(metrics.__file__).read_text()
    for name in re.findall(r"`fantasia_(\w+)`", GUIDE):
        assert f'("{name}"' in source or f'"fantasia_{name}"' in source, name


def test_the_notice_names_all_that_is_stored_of_a_member() -> None:
    with closing(sqlite3.connect(":memory:")) as database:
        database.executescript("\n".join(schema_steps()))
        rows = database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
    tables = {name for (name,) in rows if not name.startswith("sqlite_")}
    assert tables == {*STORED, *ABOUT_NOBODY}
    assert [words for words in STORED.values() if words not in NOTICE] == []


def test_the_periods_in_the_guide_and_the_notice_are_those_of_the_code() -> None:
    config = Config()
    assert f"[{config.keep_days}] days, or less if room is needed" in NOTICE
    assert config.keep_words_days is None
    days = f"forgotten after {FORGOTTEN_AFTER.days} days"
    assert days in NOTICE
    assert days in GUIDE
    assert app.FLUSH_SECONDS == 30  # "the half minute for posting"
