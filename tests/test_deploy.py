"""What is in deploy/, and the guide to operating, agree with the code and with each other."""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from configparser import ConfigParser
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import yaml
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.app import FLUSH_SECONDS
from bot.config import CREDENTIAL, Config
from bot.engine.cards import EngineName
from bot.engine.environment import engine_environment
from deploy.try_image import Step, chain, stages
from tests.support.places import ROOT

DEPLOY = ROOT / "deploy"
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()
TARGETS = tuple(EngineName)
READ = {field.name.upper() for field in fields(Config)}
OTHERS = {"PATH", "HOME", "PYTHONUNBUFFERED"}
"""Keys that the bot does not read, but what runs it."""

LEAST_GRACE = Config().drain_seconds + FLUSH_SECONDS


def settings(target: str) -> dict[str, str]:
    """Return what ENV says, of all stages of a target."""
    told = " ".join(step.text for step in chain(DOCKERFILE, target) if step.name == "ENV")
    return dict(word.split("=", 1) for word in told.split())


def only(target: str, name: str) -> Step:
    """Return the last instruction of a name, which is the one that counts."""
    return [step for step in chain(DOCKERFILE, target) if step.name == name][-1]


def composition() -> dict[str, Any]:
    return dict(yaml.safe_load((DEPLOY / "compose.yaml").read_text()))


def unit() -> ConfigParser:
    found = ConfigParser(interpolation=None)
    found.optionxform = str  # type: ignore[assignment,method-assign]  # its keys have capitals
    found.read(DEPLOY / "fantasia.service")
    return found


def known(key: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether somebody reads this key: the bot, its engine's libraries, or what runs it."""
    monkeypatch.setenv(key, "x")
    return key in READ or key in engine_environment() or key in OTHERS


def test_each_engine_has_an_image_and_every_image_an_engine() -> None:
    assert list(stages(DOCKERFILE)) == ["base", *sorted(TARGETS, reverse=True)]
    assert {target: settings(target)["ENGINE"] for target in TARGETS} == {
        target: target for target in TARGETS
    }


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_runs_the_bot_as_nobody_else_and_writes_to_its_volume_alone(target: str) -> None:
    steps = chain(DOCKERFILE, target)
    assert steps[-1] == Step("USER", "10001:10001")
    assert any("useradd --uid 10001 " in step.text for step in steps)
    volume = only(target, "VOLUME").text
    assert settings(target)["DATA_DIR"] == volume
    written = [
        settings(target)[key] for key in ("HOME", "NUMBA_CACHE_DIR") if key in settings(target)
    ]
    assert all(place.startswith(f"{volume}/") for place in written)
    command = [*only(target, "ENTRYPOINT").words, *only(target, "CMD").words]
    assert command == ["python", "-m", "bot", "run"]
    assert only(target, "STOPSIGNAL").text == "SIGTERM"


@pytest.mark.parametrize("target", TARGETS)
def test_what_an_image_sets_is_read_and_right(target: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = settings(target)
    assert [key for key in found if not known(key, monkeypatch)] == []
    config = Config.from_env({key: value for key, value in found.items() if key in READ})
    assert str(config.metrics_port) == only(target, "EXPOSE").text


@pytest.mark.parametrize("target", TARGETS)
def test_an_image_has_all_that_the_bot_is_and_installs_by_hashes(target: str) -> None:
    copied = [
        word
        for step in chain(DOCKERFILE, target)
        if step.name == "COPY"
        for word in step.words[:-1]
    ]
    assert {"bot", "cogs"} <= set(copied)
    passed = {
        line[1:]
        for line in (DEPLOY / "Dockerfile.dockerignore").read_text().split()
        if line[0] == "!"
    }
    assert set(copied) <= passed
    assert all((ROOT / name).exists() for name in passed)
    installs = [step.text for step in chain(DOCKERFILE, target) if "pip install" in step.text]
    assert len(installs) == (2 if target == "musicgen" else 1)
    assert all("--require-hashes --no-deps" in text for text in installs)
    assert only(target, "ENTRYPOINT").words[0] == "python"
    assert settings(target)["PATH"].startswith(f"{only(target, 'WORKDIR').text}/.venv/bin:")


async def health(port: int) -> int | None:
    words = only("sketch", "HEALTHCHECK").text.split("CMD ", 1)[1]
    program, *arguments = json.loads(words)
    assert program == "python"
    checking = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, cwd=ROOT, env={"METRICS_PORT": str(port)}, stdout=-3, stderr=-3
    )
    return await checking.wait()


async def test_the_health_check_fails_where_the_bot_is_not_well() -> None:
    status = 200

    async def healthz(_: web.Request) -> web.Response:
        return web.Response(status=status)

    app = web.Application()
    app.router.add_get("/healthz", healthz)
    async with TestServer(app, host="127.0.0.1") as server:
        assert server.port
        assert await health(server.port) == 0
        status = 503
        assert await health(server.port) == 1
    assert await health(server.port) == 1


def test_the_composition_agrees_with_the_images() -> None:
    services = composition()["services"]
    assert set(services) == {"sketch", "cpu", "gpu"}
    for name, service in services.items():
        target = service["build"]["target"]
        assert (ROOT / "deploy" / service["build"]["context"]).resolve() == ROOT
        assert (ROOT / service["build"]["dockerfile"]).is_file()
        assert service["image"] == f"fantasia:{target}"
        assert service["profiles"] == [name]
        assert service["volumes"] == [f"data:{only(target, 'VOLUME').text}"]
        port = only(target, "EXPOSE").text
        assert service["ports"] == [f"127.0.0.1:{port}:{port}"]
        config = Config.from_env(service["environment"])
        assert (config.engine, str(config.metrics_port)) == (target, port)
        assert str(config.data_dir) == settings(target)["DATA_DIR"]
        assert set(service["environment"]) <= READ
        assert "init" not in service  # it would show the engine the token
    assert "devices" in services["gpu"]["deploy"]["resources"]["reservations"]


def test_nobody_is_cut_off_before_the_bot_has_ended_by_itself() -> None:
    for service in composition()["services"].values():
        minutes = re.fullmatch(r"(\d+)m", service["stop_grace_period"])
        assert minutes
        assert int(minutes[1]) * 60 > LEAST_GRACE
    assert int(unit()["Service"]["TimeoutStopSec"]) > LEAST_GRACE


def test_the_unit_leaves_ended_what_was_drained_and_hands_over_the_token() -> None:
    service = unit()["Service"]
    assert service["Restart"] == "on-failure"
    assert service["LoadCredential"].split(":")[0] == CREDENTIAL
    assert service["ExecStart"] == f"{service['WorkingDirectory']}/.venv/bin/python -m bot run"
    assert service["KillMode"] == "mixed"


def test_systemd_finds_the_unit_sound(tmp_path: Path) -> None:
    verify = shutil.which("systemd-analyze")
    if verify is None:
        pytest.skip("there is no systemd here")
    folder = tmp_path / "fantasia"
    program = folder / ".venv/bin/python"
    program.parent.mkdir(parents=True)
    program.symlink_to(sys.executable)
    file = tmp_path / "fantasia.service"
    text = (DEPLOY / "fantasia.service").read_text()
    file.write_text(text.replace("/opt/fantasia", str(folder)).replace("User=fantasia", ""))
    done = subprocess.run([verify, "verify", file], capture_output=True, text=True, check=False)
    assert (done.returncode, "fantasia.service" in done.stderr) == (0, False), done.stderr


def test_the_workflow_builds_every_image_and_publishes_none() -> None:
    text = (ROOT / ".github" / "workflows" / "image.yml").read_text()
    job = yaml.safe_load(text)["jobs"]["image"]
    assert job["strategy"]["matrix"]["target"] == sorted(TARGETS, reverse=True)
    told = " ".join(step.get("run", "") for step in job["steps"])
    assert "docker build --file deploy/Dockerfile --target ${{ matrix.target }}" in told
    assert all(f"--profile {name}" in told for name in composition()["services"])
    assert "push" not in told
