"""Wrong arguments: one sentence with what is accepted, and no names of Python things."""

import re
import socket
from pathlib import Path

import pytest

from bot.__main__ import COMMANDS
from bot.cli import arguments
from tests.support.command_line import PYTHONS, bot, explained

WRONG = {
    "--engine": ("foo", "it must be one of musicgen, sketch"),
    "--pace": ("abc", "it must be a number from 0 to 60"),
    "--data": ("~nobody-there/x", "there is no such home folder"),
    "--port": ("99999", "it must be a whole number from 0 to 65535"),
    "--prompt": ("\udcff", "is not valid UTF-8"),
    "--duration": ("long", "it must be a whole number"),
    "--out": ("~nobody-there/x", "there is no such home folder"),
    "--takes": ("1.5", "it must be a whole number"),
    "--seed": ("1_000", "it must be a whole number"),
    "--guidance": ("3,5", "it must be a number such as 4.5"),
    "--temperature": ("hot", "it must be a number such as 4.5"),
    "--top-k": ("all", "it must be a whole number"),
    "--steps": ("few", "it must be a whole number"),
    "--lyrics": ("/no/such/file", "/no/such/file cannot be read: No such file"),
    "--language": ("\udcff", "is not valid UTF-8"),
    "--model": ("foo", "it must be a repository such as facebook/musicgen-small, or a folder"),
    "--server": ("here", "it must be a server id"),
    "prompt": ("\udcff", "is not valid UTF-8"),
    "model": ("foo", "it must be a repository such as facebook/musicgen-small, or a folder"),
    "FILE": ("~nobody-there/x", "there is no such home folder"),
}
"""A wrong value of each argument, and what is said of it."""


def said(capsys: pytest.CaptureFixture[str], *given: str) -> str:
    """What is said of wrong arguments, which is one line and code 2."""
    with pytest.raises(SystemExit) as ended:
        arguments.parse(given)
    assert ended.value.code == 2
    text = capsys.readouterr().err
    assert text.count("\n") == 1
    assert not PYTHONS.search(text), text
    return text


def taken(capsys: pytest.CaptureFixture[str], command: str) -> list[str]:
    """Return the arguments of a command that take a value, as its help shows them."""
    with pytest.raises(SystemExit):
        arguments.parse([command, "--help"])
    placed, _, options = capsys.readouterr().out.partition("options:")
    return [
        *re.findall(r"^  (\w+) +\S", placed.partition("positional")[2], re.MULTILINE),
        *re.findall(r"^  (--[a-z-]+) [A-Z]", options, re.MULTILINE),
    ]


@pytest.mark.parametrize("command", COMMANDS)
def test_each_argument_says_what_it_accepts(
    capsys: pytest.CaptureFixture[str], command: str
) -> None:
    for name in taken(capsys, command):
        wrong, sentence = WRONG[name]
        text = said(capsys, command, *([name, wrong] if name.startswith("--") else [wrong]))
        assert text.startswith(f"python -m bot {command}: argument {name}: ")
        assert sentence in text
        if name.startswith("--"):
            assert "expected one argument" in said(capsys, command, name)


def test_every_command_that_there_is_takes_arguments(capsys: pytest.CaptureFixture[str]) -> None:
    walked = {name for command in COMMANDS for name in taken(capsys, command)}
    assert walked == {*WRONG}
    text = said(capsys, "sing")
    assert all(command in text for command in COMMANDS), "the choices"
    assert "--sing" in said(capsys, "doctor", "--sing")
    assert "FILE" in said(capsys, "backup")


def test_the_demo_says_before_it_starts_what_it_cannot_use(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    headless = ("demo", "--headless", "--engine", "sketch")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        told = explained(bot(tmp_path, "demo", "--port", port))
    assert told.splitlines()[-1] == f"--port {port} is not available: Address already in use."
    told = explained(bot(tmp_path, *headless, "--out", "file/x"))
    assert told == "--out file/x cannot be written: Not a directory.\n"
    assert "1 to 500 characters" in explained(bot(tmp_path, *headless, "--prompt", ""))


def test_a_refusal_reads_in_a_terminal_as_it_does_in_discord(tmp_path: Path) -> None:
    told = explained(bot(tmp_path, "demo", "--headless", "--engine", "sketch", "--duration", "60"))
    assert "You asked for 60 s" in told
    assert "get the role @" in told
    assert not re.search(r"\*\*|<[@t]", told)
