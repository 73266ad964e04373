"""Builds a target of the Dockerfile without a container engine, and tries what came of it.

As root, on Debian or Ubuntu with debootstrap and openssl, after `make test` set up .venv:

    .venv/bin/python -m deploy.try_image sketch

Where an engine would pull the base image, debootstrap makes a root folder. In it the Dockerfile's
own RUN and COPY steps are done, and then its ENTRYPOINT and CMD are run as its USER: in namespaces
of their own, with a root that cannot be written to but for the volume, and with a stand-in for
Discord on this machine. Packages come from where this machine's apt and pip take them.
"""

import argparse
import asyncio
import json
import os
import re
import shlex
import shutil
import signal
import ssl
import string
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from aiohttp import web

from tests.support.stand_in import TOKEN, StandIn

CONTEXT = Path(__file__).parent.parent
DOCKERFILE = CONTEXT / "deploy" / "Dockerfile"
DISCORD = ("discord.com", "gateway.discord.gg")
HEALTH_SECONDS = 60
STOP_SECONDS = 120
OPTIONS = re.compile(r"(?:--[a-z-]+=\S+\s+)*")


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a Dockerfile, without its comments and line breaks."""

    name: str
    text: str

    @property
    def words(self) -> list[str]:
        """What follows the instruction, in exec form or apart at spaces."""
        text = OPTIONS.sub("", self.text, count=1)
        return list(json.loads(text)) if text.startswith("[") else shlex.split(text)


def stages(dockerfile: str) -> dict[str, list[Step]]:
    """Return the instructions of each stage by its name; the first is always FROM."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile, flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    found: dict[str, list[Step]] = {}
    steps: list[Step] = []
    for name, _, rest in (line.partition(" ") for line in lines if line.strip()):
        if name == "FROM":
            steps = found[rest.split()[2]] = []
        steps.append(Step(name, rest.strip()))
    return found


def chain(dockerfile: str, target: str) -> list[Step]:
    """Return all instructions that make a target, from the one that names the base image."""
    found = stages(dockerfile)
    first, *steps = found[target]
    parent = first.words[0]
    return [*chain(dockerfile, parent), *steps] if parent in found else [first, *steps]


@dataclass(frozen=True, kw_only=True)
class Image:
    """A root folder, and what the instructions so far say of the programs in it."""

    root: Path
    environment: Mapping[str, str] = field(
        default_factory=lambda: {"PATH": "/usr/local/bin:/usr/bin:/usr/local/sbin:/usr/sbin:/bin"}
    )
    folder: str = "/"
    user: str = "0:0"
    volumes: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    arguments: tuple[str, ...] = ()
    health: tuple[str, ...] = ()
    stop: signal.Signals = signal.SIGTERM

    def after(self, step: Step) -> "Image":
        """Return the image that follows an instruction, which is carried out."""
        match step.name:
            case "RUN":
                with packages(self) as settings:
                    subprocess.run(inside(self, ["/bin/sh", "-c", step.text], settings), check=True)
            case "COPY":
                *sources, to = step.words
                for source in sources:
                    copy(CONTEXT / source, self.root / self.folder.strip("/") / to)
            case "ENV":
                known = string.Template(step.text).safe_substitute(self.environment)
                pairs = (word.split("=", 1) for word in shlex.split(known))
                added = dict(pair for pair in pairs)
                return replace(self, environment={**self.environment, **added})
            case "WORKDIR":
                (self.root / step.text.strip("/")).mkdir(parents=True, exist_ok=True)
                return replace(self, folder=step.text)
            case "USER":
                return replace(self, user=step.text)
            case "VOLUME":
                return replace(self, volumes=(*self.volumes, step.text))
            case "ENTRYPOINT":
                return replace(self, command=tuple(step.words))
            case "CMD":
                return replace(self, arguments=tuple(step.words))
            case "STOPSIGNAL":
                return replace(self, stop=signal.Signals[step.text])
            case "HEALTHCHECK":
                _, check = step.text.split("CMD ", 1)
                return replace(self, health=tuple(json.loads(check)))
            case "FROM" | "EXPOSE":
                pass
            case name:
                sys.exit(f"{name} is not known here.")
        return self


def copy(source: Path, to: Path) -> None:
    """Copy as COPY does: a folder's contents, a file under its own name."""
    if source.is_dir():
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(source, to, dirs_exist_ok=True, ignore=ignore)
    else:
        to.mkdir(parents=True, exist_ok=True)
        shutil.copy2(source, to)


def inside(
    image: Image,
    command: Sequence[str],
    environment: Mapping[str, str] = {},
    *,
    hosts: Path = Path("/etc/hosts"),
    files: Mapping[Path, str] = {},
    sealed: bool = False,
) -> list[str]:
    """Return the command line that runs a command as the image's user, as process 1 in it.

    If `sealed`, all but its volumes and /tmp is read-only, and it has no capabilities.
    """
    root = shlex.quote(str(image.root))
    binds = {**files, hosts: "/etc/hosts", Path("/etc/resolv.conf"): "/etc/resolv.conf"}
    mounts = [f"mount --bind {root} {root}", f"cd {root}", "mount -t proc proc proc"]
    mounts += ["mount --rbind /dev dev"]
    for source, to in binds.items():
        mounts += [f"touch .{to}", f"mount --bind {shlex.quote(str(source))} .{to}"]
    if sealed:
        mounts += [f"mount --bind .{volume} .{volume}" for volume in image.volumes]
        mounts += ["mount -t tmpfs tmpfs tmp", f"mount -o remount,bind,ro {root}"]
    user, group = image.user.split(":")
    become = ["setpriv", f"--reuid={user}", f"--regid={group}", "--clear-groups"]
    if sealed:
        become += ["--no-new-privs", "--bounding-set=-all", "--inh-caps=-all"]
    settings = [f"{key}={value}" for key, value in {**image.environment, **environment}.items()]
    program = ["chroot", ".", *become, "env", "-i", f"--chdir={image.folder}", *settings, *command]
    script = " && ".join([*mounts, f"exec {shlex.join(program)}"])
    return ["unshare", "--mount", "--pid", "--fork", "--kill-child", "/bin/sh", "-c", script]


@contextmanager
def packages(image: Image) -> Iterator[dict[str, str]]:
    """Let apt and pip in a root use this machine's proxies, certificates and settings."""
    lent = image.root / "run" / "lent"
    lent.mkdir(exist_ok=True)
    pip = [sys.executable, "-m", "pip", "config", "list"]
    told = subprocess.run(pip, capture_output=True, text=True, check=True).stdout
    settings = {
        f"PIP_{name.replace('-', '_').upper()}": value
        for name, value in re.findall(r"^(?:global|:env:)\.([a-z-]+)='(.*)'$", told, re.MULTILINE)
        if name != "constraint"
    }
    settings |= {key: os.environ[key] for key in os.environ if key.lower().endswith("_proxy")}
    if certificate := settings.get("PIP_CERT"):
        shutil.copy(certificate, lent / "certificates.pem")
        settings["PIP_CERT"] = "/run/lent/certificates.pem"
    try:
        yield settings
    finally:
        shutil.rmtree(lent)


def bootstrap(base: str, folder: Path) -> Path:
    """Return a root for a base image such as debian:bookworm-slim, made once."""
    suite = base.removeprefix("debian:").removesuffix("-slim")
    root = folder / suite
    if root.exists():
        return root
    listed = ["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)"]
    told = subprocess.run([*listed, "Created-By: Packages"], capture_output=True, text=True)
    sources = sorted({line for line in told.stdout.splitlines() if f" {suite}" in line})
    mirror = next((line.split()[0] for line in sources if line.split()[1] == suite), None)
    if mirror is None:
        sys.exit(f"This machine's apt has no source of Debian {suite}.")
    part = root.with_suffix(".part")
    shutil.rmtree(part, ignore_errors=True)
    subprocess.run(["debootstrap", "--variant=minbase", suite, str(part), mirror], check=True)
    (part / "etc/apt/sources.list").write_text("".join(f"deb {line}\n" for line in sources))
    for settings in Path("/etc/apt/apt.conf.d").glob("*prox*"):
        shutil.copy(settings, part / "etc/apt/apt.conf.d")
    return part.rename(root)


def build(target: str, folder: Path) -> Image:
    """Carry out every instruction of a target, and say what each took."""
    first, *steps = chain(DOCKERFILE.read_text(), target)
    base = bootstrap(first.words[0], folder)
    root = folder / target
    shutil.rmtree(root, ignore_errors=True)
    subprocess.run(["cp", "--archive", str(base), str(root)], check=True)
    image, size = Image(root=root), megabytes(root)
    print(f"{size:6} MB          {first.name} {first.text}", flush=True)
    for step in steps:
        begun = time.monotonic()
        image = image.after(step)
        if step.name in ("RUN", "COPY"):
            took, now = time.monotonic() - begun, megabytes(root)
            print(f"{now - size:+6} MB {took:6.1f} s {step.name} {step.text[:90]}", flush=True)
            size = now
    print(f"{size:6} MB in all", flush=True)
    return image


def megabytes(root: Path) -> int:
    """Return what a root holds, in megabytes."""
    told = subprocess.run(["du", "-sxm", str(root)], capture_output=True, text=True, check=True)
    return int(told.stdout.split()[0])


class SecureStandIn(StandIn):
    """The stand-in for Discord under Discord's own names, by TLS."""

    scheme = "wss"
    heartbeat = 1000


def certified(folder: Path) -> tuple[Path, ssl.SSLContext]:
    """Return a certificate for Discord's names, and what proves by it to be Discord."""
    key, certificate = folder / "key.pem", folder / "certificate.pem"
    names = ",".join(f"DNS:{name}" for name in DISCORD)
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=stand-in"]
    made += ["-keyout", str(key), "-out", str(certificate), "-addext", f"subjectAltName={names}"]
    subprocess.run(made, check=True, capture_output=True)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    return certificate, context


@asynccontextmanager
async def discord(folder: Path) -> AsyncIterator[tuple[StandIn, Path, Path]]:
    """Stand in for Discord on this machine; yield also the hosts and the certificate for it."""
    hosts = folder / "hosts"
    hosts.write_text(f"127.0.0.1 localhost {' '.join(DISCORD)}\n")
    certificate, context = certified(folder)
    standing = SecureStandIn()
    standing.place = DISCORD[1]
    runner = web.AppRunner(standing.application(), access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 443, ssl_context=context).start()
        yield standing, hosts, certificate
    finally:
        await runner.cleanup()


async def serve(image: Image, folder: Path, settings: Mapping[str, str]) -> None:
    """Run what the image runs until it is healthy and connected, and stop it as an engine does."""
    async with discord(folder) as (standing, hosts, certificate):
        settings = {**settings, "DISCORD_TOKEN": TOKEN, "SSL_CERT_FILE": "/run/certificate.pem"}
        files = {certificate: "/run/certificate.pem"}
        command = [*image.command, *image.arguments]
        line = inside(image, command, settings, hosts=hosts, files=files, sealed=True)
        began = time.monotonic()
        running = await asyncio.create_subprocess_exec(*line)
        first = first_process(running.pid)
        try:
            await asyncio.wait_for(standing.ready.wait(), HEALTH_SECONDS)
            while '"discord": true' not in (told := await health(image)):
                await asyncio.sleep(0.5)
                assert time.monotonic() - began < HEALTH_SECONDS, told
            print(f"after {time.monotonic() - began:.1f} s: {told}", flush=True)
            began = time.monotonic()
            os.kill(first, image.stop)
            code = await asyncio.wait_for(running.wait(), STOP_SECONDS)
            print(f"{image.stop.name}: ended with {code} after {time.monotonic() - began:.1f} s")
            assert code == 0
        finally:
            if running.returncode is None:
                os.kill(first, signal.SIGKILL)
    assert "(failed)" in await health(image), "the health check passes without the bot"


async def health(image: Image) -> str:
    """Return what the image's health check says."""
    line = inside(image, image.health, sealed=True)
    check = await asyncio.create_subprocess_exec(*line, stdout=-1, stderr=-2)
    told = (await check.communicate())[0].decode().strip()
    return told if check.returncode == 0 else f"{told} (failed)"


def first_process(unsharing: int) -> int:
    """Return the process that is number 1 in its namespace, once there is one."""
    children = Path(f"/proc/{unsharing}/task/{unsharing}/children")
    while not (found := children.read_text().split()):
        time.sleep(0.05)
    return int(found[0])


def weights(image: Image) -> dict[str, str]:
    """Put small random weights into the volume; return what has MusicGen take them from there."""
    hub = Path(image.volumes[0]) / "hub"
    made = image.root / hub.relative_to("/")
    subprocess.run([sys.executable, "-m", "tests.support.tiny_musicgen", str(made)], check=True)
    subprocess.run(["chown", "--recursive", image.user, str(made)], check=True)
    return {"HF_HOME": str(hub), "HF_HUB_OFFLINE": "1"}


def compose(image: Image, settings: Mapping[str, str]) -> None:
    """Make music as the image's user, in its volume, with the engine of the image."""
    made = f"{image.volumes[0]}/fantasia.wav"
    engine = image.environment["ENGINE"]
    wish = ["generate", "mozart fantasia", "--duration", "8", "--engine", engine, "--out", made]
    began = time.monotonic()
    subprocess.run(inside(image, [*image.command, *wish], settings, sealed=True), check=True)
    size = (image.root / made.strip("/")).stat().st_size
    print(f"{size} bytes of music after {time.monotonic() - began:.1f} s", flush=True)


def main() -> None:
    """Build a target, and try it."""
    parser = argparse.ArgumentParser(description="Build and try an image without an engine.")
    parser.add_argument("target", choices=["sketch", "musicgen"])
    parser.add_argument("--at", type=Path, default=Path("/var/tmp/fantasia-image"), metavar="DIR")
    options = parser.parse_args()
    folder = options.at.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    image = build(options.target, folder)
    settings = weights(image) if options.target == "musicgen" else {}
    compose(image, settings)
    asyncio.run(serve(image, folder, settings))


if __name__ == "__main__":
    main()
