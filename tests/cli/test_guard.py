"""What runs as the same user, the engine above all, does not learn the token."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.config import Config, Switch
from bot.engine.environment import engine_environment
from bot.errors import OperatorError
from tests.support.processes import unprivileged

ROOT = Path(__file__).parents[2]
TOKEN = "MTA5OTk5OTk5OTk5OTk5OTk5OQ.GabcdE." + "x" * 38

SPY = """
import os, sys
found = []
for file in (f"/proc/{os.getppid()}/environ", "/proc/self/environ"):
    try:
        found.append(sys.argv[1].encode() in open(file, "rb").read())
    except PermissionError:
        found.append(None)
try:
    open(f"/proc/{os.getppid()}/mem", "rb").close()
    found.append(True)
except PermissionError:
    found.append(None)
print(found, file=sys.stderr)
sys.exit(7)
"""
"""An engine that looks for the token in the bot's process and its own, and for the bot's memory."""

BOT = """
import asyncio, sys
from bot import __main__; from bot.cli import engine_choice as engines
from bot.cli.engine_choice import Choice
from bot.engine.cards import SKETCH
command = sys.executable, "-c", *sys.argv[1:3]
choice = Choice(cards=(SKETCH,), command=command)
engines.usable = lambda *_: choice
sys.exit(__main__.main(["generate", "x", "--out", sys.argv[3]]))
"""


def spied(out: Path, **environment: str) -> str:
    """Let the command line start that engine, without privileges; return what it says."""
    command = [sys.executable, "-c", BOT, SPY, TOKEN, str(out)]
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **environment}
    done = subprocess.run([*unprivileged(), *command], env=env, capture_output=True, text=True)
    assert done.returncode == 1
    return done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this guard")
def test_the_engine_finds_the_token_neither_in_the_bots_process_nor_in_its_own(
    tmp_path: Path,
) -> None:
    assert "[None, False, None]" in spied(tmp_path / "x.wav", DISCORD_TOKEN=TOKEN)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has this guard")
def test_a_debugger_may_look_where_the_operator_lets_it(tmp_path: Path) -> None:
    told = spied(tmp_path / "x.wav", DISCORD_TOKEN=TOKEN, DEBUGGABLE="on")
    assert "[True, False, True]" in told


def test_the_engine_gets_of_the_environment_what_it_needs_and_nothing_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    needed = {
        "PATH": "/bin",
        "HOME": "/home/x",
        "LANG": "C.UTF-8",
        "LC_ALL": "C",
        "HF_HOME": "/hf",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "0",
        "NVIDIA_VISIBLE_DEVICES": "all",
        "CC": "/usr/bin/gcc",
        "OMP_NUM_THREADS": "2",
        "MKL_NUM_THREADS": "2",
        "TORCH_HOME": "/torch",
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True",
        "LD_LIBRARY_PATH": "/lib",
        "TMPDIR": "/tmp",
    }
    secrets = {
        "DISCORD_TOKEN": TOKEN,
        "DISCORD_TOKEN_FILE": "/run/token",
        "CREDENTIALS_DIRECTORY": "/run/credentials",
        "HF_TOKEN": "hf_x",
        "HF_HUB_TOKEN": "hf_x",
        "HUGGING_FACE_HUB_TOKEN": "hf_x",
        "AWS_SECRET_ACCESS_KEY": "x",
        "HTTPS_PROXY": "http://user:word@proxy",
        "SSH_AUTH_SOCK": "/run/ssh",
    }
    for key in os.environ:
        monkeypatch.delenv(key)
    for key, value in (needed | secrets).items():
        monkeypatch.setenv(key, value)
    assert engine_environment() == needed


def test_the_token_may_come_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "discord_token"
    file.write_text(f"{TOKEN}\n")
    assert Config.from_env({"DISCORD_TOKEN_FILE": str(file)}).discord_token == TOKEN
    assert Config.from_env({"CREDENTIALS_DIRECTORY": str(tmp_path)}).discord_token == TOKEN
    other = TOKEN.replace("x", "y")
    given = {"DISCORD_TOKEN": other, "DISCORD_TOKEN_FILE": str(file)}
    assert Config.from_env(given).discord_token == other
    assert Config.from_env({"CREDENTIALS_DIRECTORY": "/nowhere"}).discord_token is None
    assert Config.from_env({}).debuggable is Switch.OFF


def test_a_file_that_holds_no_token_is_named_and_not_told(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_bytes(b"my-secret \xff")
    for path, sentence in (
        (file, "DISCORD_TOKEN_FILE: in"),
        (tmp_path / "none", "cannot be read: No such file"),
        (tmp_path, "cannot be read: Is a directory"),
    ):
        with pytest.raises(OperatorError) as told:
            Config.from_env({"DISCORD_TOKEN_FILE": str(path)})
        assert sentence in str(told.value)
        assert str(path) in str(told.value)
        assert "my-secret" not in str(told.value)
