"""The command line: exit codes, and sentences instead of tracebacks."""

import asyncio
import os
import socket
import sqlite3
import subprocess
import sys
import wave
from pathlib import Path

import mutagen
import pytest
import soundfile

from bot import __version__
from bot.app import Plan, compose
from bot.cli.checks import data
from bot.cli.checks.check import Verdict
from bot.config import Config
from bot.values import Status, Wish
from tests.support.clock import until
from tests.support.command_line import TOKEN, bot, explained
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import GENEROUS, origin


def test_version_and_help(tmp_path: Path) -> None:
    assert bot(tmp_path, "--version").stdout.strip() == f"Fantasia {__version__}"
    text = bot(tmp_path, "--help").stdout
    for command in ("run", "demo", "generate", "fetch", "doctor"):
        assert command in text


@pytest.mark.parametrize(
    "arguments", [("sing",), ("generate",), ("generate", "x", "--duration", "long")]
)
def test_wrong_usage_is_code_two(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    assert bot(tmp_path, *arguments).returncode == 2


def test_generate_writes_a_wav_and_says_what_played_and_how_to_get_more(tmp_path: Path) -> None:
    done = bot(tmp_path, "generate", "mozart fantasia", "--duration", "2", "--seed", "5")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == ["mozart-fantasia.wav"]
    assert "python -m bot fetch facebook/musicgen-small" in done.stderr
    assert "Seed 5" in done.stderr
    with wave.open(str(tmp_path / "mozart-fantasia.wav")) as file:
        assert file.getparams()[:4] == (1, 2, 32000, 64000)


def test_several_takes_are_numbered_and_seeded_in_turn(tmp_path: Path) -> None:
    sketch = ("--engine", "sketch", "--duration", "1")
    bot(tmp_path, "generate", "x", *sketch, "--takes", "2", "--seed", "5", "--out", "a/x.wav")
    bot(tmp_path, "generate", "x", *sketch, "--seed", "6", "--out", "single.wav")
    second = music(tmp_path / "a" / "x-2.wav")
    assert music(tmp_path / "a" / "x-1.wav") != second
    assert music(tmp_path / "single.wav") == second


def music(path: Path) -> bytes:
    with wave.open(str(path)) as file:
        return bytes(file.readframes(file.getnframes()))


def test_generate_writes_the_format_that_the_files_name_says(tmp_path: Path) -> None:
    done = bot(tmp_path, "generate", "a waltz", "--duration", "2", "--seed", "7", "--out", "x.FLAC")
    assert done.stdout == "x.FLAC\n"
    with soundfile.SoundFile(tmp_path / "x.FLAC") as kept:
        assert (kept.format, kept.frames) == ("FLAC", 2 * kept.samplerate)
    assert mutagen.File(tmp_path / "x.FLAC")["title"] == ["a waltz"]


def test_generate_sings_what_a_file_says(tmp_path: Path, ace: Path) -> None:
    (tmp_path / "words.txt").write_text("\ufeff[verse]\r\nDer Regen  singt\n", "utf-8")
    given = ("--model", str(ace), "--engine", "musicgen", "--duration", "2", "--out", "song.flac")
    done = bot(tmp_path, "generate", "pop", *given, "--lyrics", "words.txt", "--language", "German")
    assert done.returncode == 0, done.stderr
    with soundfile.SoundFile(str(tmp_path / "song.flac")) as kept:
        assert (kept.samplerate, kept.channels, kept.frames) == (48_000, 2, 96_000)
    assert mutagen.File(tmp_path / "song.flac")["LYRICS"] == ["[verse]\nDer Regen singt"]


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("--duration", "0"), "1 to 120 s"),
        (("--takes", "6"), "1 to 5 takes"),
        (("--seed", "-1"), "The seed must be a whole number"),
        (("--out", "x.txt"), "must end in one of .wav, .flac, .mp3, .ogg"),
        (("--lyrics", "words.txt"), "Sketch engine (not MusicGen) sings no words."),
        (("--guidance", "99"), "`guidance` must be between 1 and 10"),
        (("--steps", "8"), "has no `steps`: it has `guidance`, `temperature`, `top_k`."),
        (("--out", "/proc/x.wav"), "cannot be written"),
        (("--engine", "musicgen"), "python -m bot fetch facebook/musicgen-small"),
    ],
)
def test_generate_explains_what_is_wrong(
    tmp_path: Path, arguments: tuple[str, ...], sentence: str
) -> None:
    (tmp_path / "words.txt").write_text("[verse]\nla\n")
    assert sentence in explained(bot(tmp_path, "generate", "x", *arguments))


def test_a_prompt_is_neither_empty_nor_endless(tmp_path: Path) -> None:
    for prompt in (" ", "x" * 501):
        assert "1 to 500 characters" in explained(bot(tmp_path, "generate", prompt))


def test_run_without_a_token_says_where_it_goes(tmp_path: Path) -> None:
    assert "DISCORD_TOKEN is not set" in explained(bot(tmp_path, "run"))
    assert "DISCORD_TOKEN is not set" in explained(bot(tmp_path)), "run is the default"


def test_run_with_a_malformed_token_does_not_repeat_it(tmp_path: Path) -> None:
    text = explained(bot(tmp_path, "run", DISCORD_TOKEN="my-secret", ENGINE="sketch"))
    assert "DISCORD_TOKEN: found 9 characters" in text
    assert "my-secret" not in text


def test_run_with_an_engine_that_cannot_start_stops_with_a_sentence(tmp_path: Path) -> None:
    text = explained(
        bot(
            tmp_path,
            "run",
            DISCORD_TOKEN=TOKEN,
            ENGINE="musicgen",
            SKUS="1234567890123456789:Plus",
            PYTHONPATH=os.pathsep.join([str(silent(tmp_path)), str(Path.cwd())]),
        )
    )
    assert "SKUS sells tiers, and these include small: CC-BY-NC 4.0" in text
    assert "The engine cannot start" in text
    assert "python -m bot fetch facebook/musicgen-small" in text


def silent(folder: Path) -> Path:
    """Let Discord's names never resolve, so that the engine's failure comes first."""
    site = folder / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import asyncio\n"
        "async def wait(*_, **__): await asyncio.Event().wait()\n"
        "asyncio.BaseEventLoop.getaddrinfo = wait\n"
    )
    return site


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = bot(tmp_path, "generate", "x", "--takes", "9", LOG_LEVEL="debug")
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_fetch_without_the_hub_fails_with_a_sentence(tmp_path: Path) -> None:
    assert "facebook/musicgen-small" in explained(bot(tmp_path, "fetch"))


def test_doctor_lists_a_mend_for_every_fault(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = bot(tmp_path, "doctor", COLUMNS="200")
    assert done.returncode == 0, done.stdout
    for check in ("Python", "Token", "Packages", "Device", "Weights", "Data folder", "Free disk"):
        assert check in done.stdout
    assert {"audiocraft", "diffusers", "torch"} <= set(done.stdout.split())
    assert "python -m bot fetch facebook/musicgen-small" in done.stdout
    done = bot(tmp_path, "doctor", COLUMNS="200", DISCORD_TOKEN="wrong")
    assert done.returncode == 1
    assert "DISCORD_TOKEN: found 5 characters" in done.stdout
    done = bot(tmp_path, "doctor", COLUMNS="200", DATA_DIR="file/data")
    assert done.returncode == 1
    assert "set DATA_DIR to a writable folder" in done.stdout


def test_doctor_looks_at_the_database_the_music_and_the_port(tmp_path: Path) -> None:
    kept = tmp_path / "data"
    (kept / "audio").mkdir(parents=True)
    (kept / "audio/1-1.wav").write_bytes(bytes(10**6))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = bot(tmp_path, "doctor", COLUMNS="200", METRICS_PORT=port, DATA_DIR=str(kept))
    assert f"127.0.0.1:{port} is not available" in done.stdout
    assert "0.0 GB in 1 file;" in done.stdout
    assert "none yet" in done.stdout
    (kept / "fantasia.db").write_bytes(b"no database at all" * 1000)
    done = bot(tmp_path, "doctor", COLUMNS="200", DATA_DIR=str(kept))
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert "python -m bot restore" in done.stdout


def test_doctor_sees_music_without_rows_and_rows_without_music(tmp_path: Path) -> None:
    asyncio.run(lived(tmp_path / "data"))
    audio = tmp_path / "data" / "audio"
    (audio / "1-1.wav").unlink()
    (audio / "77-1.wav").write_bytes(bytes(10))
    (tmp_path / "data" / "orphans").mkdir()
    (tmp_path / "data" / "orphans" / "5-1.wav").touch()
    done = bot(tmp_path, "doctor", COLUMNS="200")
    assert "1 file in audio, 1 in orphans" in done.stdout
    assert "files of 1 piece are gone: #1" in done.stdout
    assert done.returncode == 0


async def lived(folder: Path) -> None:
    """Make one piece."""
    plan = Plan(folder=folder, command=SCRIPTED, models=("scripted",), defaults=(GENEROUS,))
    async with compose(plan) as client:
        await client.services.studio.submit(origin(), Wish(prompt="play", seconds=2))

        async def rendered() -> bool:
            return (await client.services.studio.job(1)).status is Status.RENDERED

        await until(rendered)


def test_restore_says_what_music_is_missing(tmp_path: Path) -> None:
    asyncio.run(lived(tmp_path / "data"))
    saved = tmp_path / "monday.db"
    assert bot(tmp_path, "backup", str(saved)).returncode == 0
    audio = tmp_path / "data" / "audio"
    (audio / "1-1.wav").rename(audio / "77-1.wav")
    told = " ".join(bot(tmp_path, "restore", str(saved)).stderr.split())
    assert "The music of 1 piece (#1) in it is gone." in told
    assert "DATA_DIR/audio holds 1 file that it does not mention; nothing was removed." in told


def test_doctor_sees_who_else_can_read_the_token_and_who_holds_the_database(
    tmp_path: Path,
) -> None:
    asyncio.run(lived(tmp_path / "data"))
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    (tmp_path / "token").chmod(0o640)
    (tmp_path / ".env").write_text("ENGINE=sketch\nDISCORD_TOKEN_FILE=token\n")
    (tmp_path / ".env").chmod(0o644)
    connection = sqlite3.connect(tmp_path / "data" / "fantasia.db", isolation_level=None)
    connection.execute("BEGIN IMMEDIATE")
    done = bot(tmp_path, "doctor", COLUMNS="200")
    connection.close()
    for file in (".env", "token"):
        assert f"chmod 600 {file}" in done.stdout
        (tmp_path / file).chmod(0o600)
    assert "another program has been holding it" in done.stdout
    done = bot(tmp_path, "doctor", COLUMNS="200")
    assert "Secrets" not in done.stdout
    assert "another program has been holding it" not in done.stdout


def test_doctor_sees_a_disk_without_locks(tmp_path: Path) -> None:
    site = tmp_path / "site"
    site.mkdir()
    (site / "sitecustomize.py").write_text(
        "import errno, fcntl, os\n"
        "def flock(*_): raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))\n"
        "fcntl.flock = flock\n"
    )
    path = os.pathsep.join([str(site), str(Path.cwd())])
    done = bot(tmp_path, "doctor", COLUMNS="400", PYTHONPATH=path)
    assert done.returncode == 1
    assert "No locks available" in " ".join(done.stdout.split())
    assert "a folder on a local disk" in done.stdout


def test_doctor_sees_music_that_another_user_owns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "audio").mkdir()
    monkeypatch.setattr(os, "access", lambda *_: False)  # as for who is not root
    (check,) = data.music(Config(data_dir=tmp_path))
    assert (check.verdict, "chown -R" in check.remedy) == (Verdict.BAD, True)


def test_the_bots_process_starts_without_torch_or_audiocraft() -> None:
    script = (
        "import sys, bot.__main__, bot.app, bot.cli.generate, bot.cli.doctor\n"
        "assert not {'torch', 'audiocraft', 'transformers', 'ray'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", script], check=True)


def test_the_lock_files_name_no_registry_and_hash_everything() -> None:
    for lock in ("requirements.lock", "requirements-musicgen.lock", "requirements-cluster.lock"):
        text = Path(lock).read_text()
        assert "://" not in text
        for requirement in text.split("\n\n")[0].replace("\\\n", " ").splitlines():
            assert "--hash=sha256:" in requirement, requirement
