"""`init`: .env as the example has it, with what the operator says."""

import stat
import subprocess
import sys
from pathlib import Path

import pytest
from dotenv import dotenv_values
from rich.console import Console

from bot.cli.init import EXAMPLE, explanation
from bot.cli.init import init as ask
from bot.config import Config
from bot.engine.cards import EngineName
from bot.errors import OperatorError
from tests.support.command_line import TOKEN, explained


def init(folder: Path, answers: str) -> subprocess.CompletedProcess[str]:
    """Run the command with these lines as what is typed."""
    return subprocess.run(
        [sys.executable, "-m", "bot", "init"],
        cwd=folder,
        env={"PATH": "", "PYTHONPATH": str(Path.cwd()), "HF_HOME": str(folder)},
        input=answers,
        capture_output=True,
        text=True,
        check=False,
    )


def test_init_asks_by_the_examples_words_and_writes_a_file_that_only_its_owner_reads(
    tmp_path: Path,
) -> None:
    done = init(tmp_path, f"my-secret\n{TOKEN}\nbagpipes\nsketch\n")
    assert done.returncode == 0, done.stderr
    assert "found 9 characters that are not a bot token" in " ".join(done.stderr.split())
    assert "my-secret" not in done.stderr
    example = EXAMPLE.read_text()
    for key in ("DISCORD_TOKEN", "ENGINE"):
        assert explanation(example, key) in done.stderr
    assert "select one of the available options" in done.stderr
    written = tmp_path / ".env"
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert [*tmp_path.iterdir()] == [written]
    found = {key: value or "" for key, value in dotenv_values(written).items()}
    assert Config.from_env(found) == Config(discord_token=TOKEN, engine=EngineName.SKETCH)
    comments = [line for line in example.splitlines()[1:] if line.startswith("#")]
    assert [line for line in written.read_text().splitlines() if line.startswith("#")] == comments


def test_init_replaces_no_file_unasked(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("MAX_SECONDS=9\n")
    assert ".env stays as it is." in explained(init(tmp_path, "n\n"))
    assert "run `python -m bot init` in a terminal" in explained(init(tmp_path, ""))
    assert "run `python -m bot init` in a terminal" in explained(init(tmp_path, f"y\n{TOKEN}\n"))
    assert (tmp_path / ".env").read_text() == "MAX_SECONDS=9\n"
    assert init(tmp_path, "y\n\nsketch\n").returncode == 0
    assert "DISCORD_TOKEN=\n" in (tmp_path / ".env").read_text()


def test_init_offers_the_weights_that_are_missing(tmp_path: Path) -> None:
    done = init(tmp_path, "\nmusicgen\nn\n")
    assert done.returncode == 0, done.stderr
    assert "Download the weights of facebook/musicgen-small now?" in done.stderr
    assert "`python -m bot fetch` does it later." in done.stderr


def test_a_file_that_cannot_be_written_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / ".env.part").mkdir()
    assert ".env cannot be written: " in explained(init(tmp_path, "\nsketch\n"))


def test_without_its_example_it_says_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.cli.init.EXAMPLE", tmp_path / "none")
    with pytest.raises(OperatorError, match="none cannot be read: No such file"):
        ask(Console(), tmp_path / ".env")
