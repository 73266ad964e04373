"""Setting up, and settings that cannot be read: a sentence each, and never a traceback."""

import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.command_line import bot, explained
from tests.support.processes import unprivileged

ROOT = Path(__file__).parent.parent

PYTHON = """#!/bin/sh
# Stands for Python, its venv and pip: two of them at work at once are noticed. What ends with HELD
# lasts until there is a file that says go.
case "$*" in
  "-c "*|"-m pip --version") exit 0 ;;
esac
mkdir busy || { echo "two at once: $*" >> log; exit 1; }
case "$*" in
  *"${HELD:-nothing}") touch held; while [ ! -e go ]; do sleep 0.02; done ;;
esac
case "$*" in
  "-m venv "*) mkdir -p .venv/bin; cp "$0" .venv/bin/python; echo venv >> log ;;
  *" -r "*)
    echo "install ${*##* -r }" >> log
    sed 's/^/Collecting /' "${*##* -r }"
    [ -e broken ] && { rmdir busy; exit 1; }
    echo "Installing collected packages: all of them"
    ;;
  *) echo "$*" >> log ;;
esac
rmdir busy
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose Python installs nothing."""
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copytree(ROOT / ".ci", tmp_path / ".ci")
    for lock in ROOT.glob("requirements*.lock"):
        (tmp_path / lock.name).touch()
    (tmp_path / "python").write_text(PYTHON)
    (tmp_path / "python").chmod(0o755)
    return tmp_path


def set_up(checkout: Path, target: str = "setup", **environment: str) -> subprocess.Popen[str]:
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ENGINE")}
    return subprocess.Popen(
        ["make", target, f"PYTHON={checkout / 'python'}"],
        cwd=checkout,
        env={**inherited, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


LOCKS = {
    "bot": "requirements.lock",
    **{kind: f"requirements-{kind}.lock" for kind in ("cluster", "demo", "dev", "musicgen")},
}
ONCE = ["venv", "install requirements.lock", "install requirements-musicgen.lock"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize("held", [".venv", "requirements.lock", "requirements-musicgen.lock"])
def test_two_set_ups_in_one_checkout_wait_for_each_other(checkout: Path, held: str) -> None:
    first = set_up(checkout, HELD=held)
    while not (checkout / "held").exists():
        time.sleep(0.02)
    second = set_up(checkout)
    assert second.stdout
    while "Another set-up is at work in this folder" not in (line := second.stdout.readline()):
        assert line, "the other set-up has ended"
    (checkout / "go").touch()
    told = [each.communicate()[0] for each in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], told
    assert (checkout / "log").read_text().splitlines() == ONCE


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_lock_file_that_changed_is_installed_again_and_nothing_else(checkout: Path) -> None:
    for _ in range(2):
        set_up(checkout).communicate()
    for path in checkout.rglob("*"):
        an_hour_ago = path.stat().st_mtime - 3600  # a disk may tell whole seconds apart alone
        os.utime(path, (an_hour_ago, an_hour_ago))
    (checkout / "requirements-musicgen.lock").touch()
    set_up(checkout).communicate()
    assert (checkout / "log").read_text().splitlines() == [*ONCE, ONCE[-1]]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
@pytest.mark.parametrize(
    ("settings", "environment", "installed"),
    [
        (None, {}, ONCE),
        ("ENGINE=\n", {}, ONCE),
        ("#ENGINE=sketch\nENGINE=musicgen\n", {}, ONCE),
        ("ENGINE=sketch\n", {}, ONCE[:2]),
        ("ENGINE=musicgen\n export ENGINE = 'Sketch' # at first\n", {}, ONCE[:2]),
        ("ENGINE=sketch\n", {"ENGINE": "musicgen"}, ONCE),
        (None, {"ENGINE": "sketch"}, ONCE[:2]),
        (None, {"CLUSTER": "1"}, [*ONCE, "install requirements-cluster.lock"]),
        ("ENGINES=Ray\n", {}, [*ONCE, "install requirements-cluster.lock"]),
        ("ENGINES=ray\n", {"ENGINES": "2"}, ONCE),
    ],
)
def test_setup_and_run_install_what_the_engine_needs(
    checkout: Path, settings: str | None, environment: dict[str, str], installed: list[str]
) -> None:
    if settings is not None:
        (checkout / ".env").write_text(settings)
    done = set_up(checkout, "run", **environment)
    told = done.communicate()[0]
    assert done.returncode == 0, told
    set_up(checkout, "setup", **environment).communicate()  # does nothing more
    assert (checkout / "log").read_text().splitlines() == [*installed, "-m bot run"]


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_set_up_says_how_far_it_is_and_fails_if_pip_does(checkout: Path) -> None:
    lock = "".join(f"package{number}==1.0\n" for number in range(1, 13))
    (checkout / "requirements-demo.lock").write_text(lock)
    told = set_up(checkout, "demo").communicate()[0].splitlines()
    assert [line for line in told if line.startswith("  ")] == [
        "  10 of 12: package10",
        "  Unpacking ...",
    ]
    (checkout / "broken").touch()
    (checkout / "requirements-demo.lock").write_text(lock)
    broken = set_up(checkout, "demo")
    assert "10 of 12: package10" in broken.communicate()[0]
    assert broken.returncode != 0
    assert not (checkout / ".venv/.demo").stat().st_mtime > (checkout / "broken").stat().st_mtime


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_demo_is_told_its_engine_and_port(checkout: Path) -> None:
    set_up(checkout, "demo", ENGINE="sketch", PORT="8000").communicate()
    log = (checkout / "log").read_text().splitlines()
    assert log[-1] == "-m bot demo --engine sketch --port 8000"


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_a_demo_installs_no_tools_and_no_musicgen(checkout: Path) -> None:
    set_up(checkout, "demo").communicate()
    demo = ["venv", "install requirements-demo.lock", "-m bot demo"]
    assert (checkout / "log").read_text().splitlines() == demo


def test_what_runs_is_locked_without_what_tests_it_and_in_the_same_versions() -> None:
    locked = {
        kind: set(re.findall(r"^([a-z0-9-]+==\S+)", (ROOT / file).read_text(), re.MULTILINE))
        for kind, file in LOCKS.items()
    }
    assert locked["bot"] < locked["demo"] < locked["dev"]
    assert locked["bot"] < locked["musicgen"]
    assert locked["bot"] < locked["cluster"]
    names = {kind: {each.split("==")[0] for each in found} for kind, found in locked.items()}
    assert not names["bot"] & {"simcord", "pytest", "playwright", "torch"}
    assert not names["demo"] & {"pytest", "playwright", "mypy", "torch"}
    shared = names["dev"] & names["musicgen"]
    assert {each for each in locked["dev"] if each.split("==")[0] in shared} == {
        each for each in locked["musicgen"] if each.split("==")[0] in shared
    }


@pytest.mark.skipif(not shutil.which("make"), reason="make is not installed")
def test_without_flock_a_set_up_says_that_nobody_else_should_be_at_it(checkout: Path) -> None:
    tools = checkout / "tools"
    tools.mkdir()
    needed = "awk bash cp grep make mkdir rm rmdir sed sh sleep touch"
    for name in needed.split():
        (tools / name).symlink_to(str(shutil.which(name)))
    done = set_up(checkout, PATH=str(tools))
    told = done.communicate()[0]
    assert done.returncode == 0, told
    assert "flock is not installed here: do not run two set-ups" in told
    assert (checkout / "log").read_text().splitlines() == ONCE


COMMANDS = [
    ("run",),
    ("demo", "--headless", "--prompt", "x"),
    ("generate", "x"),
    ("fetch",),
    ("audit", "--server", "123456789012345678"),
    ("backup", "x.db"),
    ("restore", "x.db"),
    ("doctor",),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda arguments: arguments[0])
def test_settings_in_another_encoding_are_a_sentence(
    tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_bytes("ENGINE=sketch\n# caf\xe9\n".encode("latin-1"))
    told = sentence(bot(tmp_path, *arguments, COLUMNS="300"))
    assert f"{tmp_path / '.env'} is not UTF-8" in told
    assert "save it as UTF-8" in told


def sentence(done: subprocess.CompletedProcess[str]) -> str:
    return explained(done) + done.stdout


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "latin-1"])
def test_settings_in_any_other_encoding_are_named(tmp_path: Path, encoding: str) -> None:
    (tmp_path / ".env").write_bytes("# Prélude\nENGINE=sketch\n".encode(encoding))
    assert "save it as UTF-8" in sentence(bot(tmp_path, "run", COLUMNS="300"))


def test_settings_that_cannot_be_read_are_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / ".env"
    file.write_text("ENGINE=sketch\n")
    file.chmod(0)
    for arguments in (["doctor"], ["generate", "x"]):
        command = [*unprivileged(), sys.executable, "-m", "bot", *arguments]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "COLUMNS": "300"}
        done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
        assert f"{file} cannot be read: Permission denied" in sentence(done)


NAMELESS = """
import pwd
def nobody(uid): raise KeyError(f"getpwuid(): uid not found: {uid}")
pwd.getpwuid = nobody
"""
"""As in a container that runs under a number which has no name."""


def nameless(folder: Path, *arguments: str, **environment: str) -> str:
    site = folder / "site"
    site.mkdir(exist_ok=True)
    (site / "sitecustomize.py").write_text(NAMELESS)
    command = [sys.executable, "-m", "bot", *arguments]
    env = {"PATH": os.environ["PATH"], "COLUMNS": "300", **environment}
    env["PYTHONPATH"] = os.pathsep.join([str(site), str(ROOT)])
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return sentence(done)


def test_a_home_folder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    for arguments in (["doctor"], ["audit", "--server", "123456789012345678"]):
        told = nameless(tmp_path, *arguments, DATA_DIR="~/x")
        assert "DATA_DIR: found '~/x', but there is no such home folder: set HOME" in told


def test_weights_want_a_home_folder_and_say_so(tmp_path: Path) -> None:
    for arguments in (["generate", "x", "--engine", "musicgen"], ["fetch"], ["doctor"]):
        told = nameless(tmp_path, *arguments, DATA_DIR=str(tmp_path))
        assert "MusicGen's libraries need a home folder for their files: set HOME" in told


def test_a_prompt_in_another_encoding_is_a_sentence(tmp_path: Path) -> None:
    for command in (["generate"], ["demo", "--headless", "--prompt"]):
        done = subprocess.run(
            [sys.executable.encode(), "-m", "bot", *command, "caf\xe9".encode("latin-1")],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
        )
        assert done.returncode == 2
        assert b"is not valid UTF-8" in done.stderr
        assert b"Traceback" not in done.stderr
