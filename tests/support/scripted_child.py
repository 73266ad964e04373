"""An engine's process that misbehaves on demand: the first words of a prompt say how."""

import json
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from bot.engine.files import wav, waveform
from bot.engine.messages import (
    Alive,
    Cancel,
    Cancelled,
    Done,
    Failed,
    Finish,
    Loaded,
    Loading,
    Message,
    Previewed,
    Progress,
    Ready,
    Render,
    Took,
    command,
    encode,
)
from bot.values import Fault

SCRIPTED = (sys.executable, "-m", "tests.support.scripted_child")
"""The command of this engine."""

RATE = 8000


def say(message: Message) -> None:
    shout(encode(message))


def shout(line: bytes) -> None:
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()


def write(path: str, seconds: float) -> None:
    samples = np.sin(np.arange(int(seconds * RATE)) / 9)[None, :] * 0.5
    wav.write_pcm(Path(path), wav.pcm(samples), RATE)


def play(order: Render, seconds: float | None = None) -> None:
    say(Progress(id=order.id, done=1, total=2))
    write_takes(order, seconds)
    if order.prompt.startswith("draw") and order.picture:
        waveform.write(Path(order.picture), order.prompt, [waveform.strip(np.ones((1, 9)), 9)])
    say(Done(id=order.id))


def write_takes(order: Render, seconds: float | None = None) -> None:
    before = np.load(order.prefix) if order.prefix else None
    length = (0 if before is None else before.shape[1] / 50) + (seconds or order.seconds)
    for part in order.parts:
        write(part.audio, length)
        wav.write_codes(Path(part.codes), np.zeros((4, round(length * 50)), np.int16))
        say(Took(id=order.id, number=part.number, seconds=length))


def preview(order: Render) -> None:
    for part in order.parts:
        if part.preview:
            write(part.preview, 30)
    say(Previewed(id=order.id))


def once(order: Render) -> bool:
    """Whether this is the first time that this prompt is seen, over all processes."""
    marker = Path(order.parts[0].audio).parents[1] / f"seen-{order.id}"
    if marker.exists():
        return False
    marker.touch()
    return True


def tell(**fields: Any) -> None:
    """Say what no honest engine would."""
    shout(json.dumps(fields).encode() + b"\n")


def loaded(order: Render) -> dict[str, Any]:
    """Return what is said of an order's model once that is loaded, but its pace."""
    rate = 2 * RATE if order.prompt.startswith("swap another") else RATE
    return {
        "id": order.id,
        "model": order.model,
        "models": (order.model,),
        "precision": "float32",
        "slots": 1,
        "confirms": {**CONFIRMS, "sample_rate": rate},
    }


def lie(order: Render, how: str) -> None:
    """Announce, or leave, what cannot be true."""
    wav = Path(order.parts[0].audio)
    match how:
        case "too many steps":
            tell(type="progress", id=order.id, done=2**64, total=1)
        case "steps below nothing":
            tell(type="progress", id=order.id, done=-5, total=1)
        case "a take of nothing":
            tell(type="take", id=order.id, number=1, seconds=0)
        case "another model":
            tell(type="loading", id=order.id, model="other")
        case "unasked":
            tell(type="loaded", **loaded(order), pace=1)
        case "slower than time" | "faster than time":
            say(Loading(id=order.id, model=order.model))
            pace = 1e308 if how.startswith("slower") else -1e6
            tell(type="loaded", **loaded(order), pace=pace)
        case "a stranger's model":
            say(Loading(id=order.id, model=order.model))
            say(Loaded(**{**loaded(order), "models": (order.model, "other")}, pace=1.0))
        case "a beginning":
            say(Previewed(id=order.id))
        case "another beginning":
            preview(order)
            say(Previewed(id=order.id))
        case "no rate":
            write(order.parts[0].audio, order.seconds)
            header = bytearray(wav.read_bytes())
            header[24:28] = bytes(4)
            wav.write_bytes(header)
            say(Took(id=order.id, number=1, seconds=order.seconds))
        case "a header":
            write(order.parts[0].audio, order.seconds)
            wav.write_bytes(wav.read_bytes()[:100])
            say(Took(id=order.id, number=1, seconds=order.seconds))
        case "a folder" | "a pipe" | "a link":
            wav.parent.mkdir(exist_ok=True)
            if how == "a folder":
                (wav / "deep").mkdir(parents=True)
            elif how == "a pipe":
                os.mkfifo(wav)
            else:
                write(f"{wav}.part", order.seconds)
                wav.symlink_to(f"{wav}.part")
            say(Took(id=order.id, number=1, seconds=order.seconds))
        case "codes":
            write(order.parts[0].audio, order.seconds)
            Path(order.parts[0].codes).write_bytes(b"no codes")
            say(Took(id=order.id, number=1, seconds=order.seconds))
        case "whose fault it is":
            tell(type="failed", id=order.id, fault="crash", reason="The bot ended.")
        case "shorter than before":
            write(order.parts[0].audio, 1)
            say(Took(id=order.id, number=1, seconds=1))
        case "a picture":
            wav.parent.mkdir(exist_ok=True)
            Path(order.picture or "").symlink_to("/proc/self/environ")
            play(order)


def die(how: str) -> None:
    print(f"about to {how}", file=sys.stderr, flush=True)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    os._exit(3)


slow: set[int] = set()
lingering: set[int] = set()
deaf: set[int] = set()
"""Those that no cancel ends."""
crossing: dict[int, Render] = {}
"""Those whose takes are announced as they are cancelled."""
long: dict[int, Render] = {}
awaited: dict[int, Render] = {}
"""Those whose beginning comes once the test makes a file that says so."""


def keep_slow() -> None:
    while True:
        for job in list(slow):
            say(Progress(id=job, done=1, total=10))
        for job, order in list(awaited.items()):
            if (Path(order.parts[0].audio).parents[1] / f"go-{job}").exists():
                del awaited[job]
                preview(order)
        time.sleep(0.1)


def live_on() -> None:
    while True:
        say(Alive(left=0.2))
        time.sleep(0.1)


def render(order: Render) -> None:
    how, _, when = order.prompt.partition(" ")
    if when == "once" and not once(order):
        how = "play"
    match how:
        case "crash" | "kill":
            die(how)
        case "deaf" if when == "alive":
            threading.Thread(target=live_on, daemon=True).start()
            deaf.add(order.id)
        case "deaf":
            slow.add(order.id)
            deaf.add(order.id)
        case "labour":
            for left in (2.0, 1.5, 1.0, 0.5):
                say(Alive(left=left))
                time.sleep(0.5)
            slow.add(order.id)
        case "hang":
            time.sleep(1000)
        case "expire":
            for _ in range(6):
                time.sleep(0.5)
                say(Alive(left=0.5))
            time.sleep(1000)
        case "flood":
            for done in range(50_000):
                say(Progress(id=order.id, done=done, total=50_000))
            play(order)
        case "garbage":
            shout(b"\xff\xfe no message at all\n")
        case "endless":
            shout(b"x" * 1_000_000)
        case "unready":
            say(ready())
        case "stranger":
            say(Took(id=order.id + 999, number=1, seconds=1))
            say(Failed(id=order.id + 999, fault=Fault.REQUEST, reason="not yours"))
            play(order)
        case "nofile":
            say(Took(id=order.id, number=1, seconds=order.seconds))
            say(Done(id=order.id))
        case "nowav":
            Path(order.parts[0].audio).parent.mkdir(exist_ok=True)
            Path(order.parts[0].audio).write_bytes(b"this is no music")
            say(Took(id=order.id, number=1, seconds=order.seconds))
            say(Done(id=order.id))
        case "wrongtake":
            say(Took(id=order.id, number=9, seconds=order.seconds))
        case "wronglength":
            write(order.parts[0].audio, order.seconds / 2)
            say(Took(id=order.id, number=1, seconds=order.seconds))
            say(Done(id=order.id))
        case "nothing":
            say(Done(id=order.id))
        case "backwards":
            for done in (9, 3, 0, 99):
                say(Progress(id=order.id, done=done, total=10))
            play(order)
        case "lie" if when and once(order):
            lie(order, when)
        case "lies":
            lie(order, when)
        case "fail":
            say(Failed(id=order.id, fault=Fault.REQUEST, reason="The engine has no violins."))
        case "quote":
            say(Failed(id=order.id, fault=Fault.REQUEST, reason=f"There is no {order.prompt}."))
        case "slow":
            slow.add(order.id)
        case "half":
            write(order.parts[0].audio, order.seconds)
            say(Took(id=order.id, number=1, seconds=order.seconds))
            slow.add(order.id)
        case "cross":
            crossing[order.id] = order
            slow.add(order.id)
        case "pause" | "second":
            time.sleep(1.0 if how == "second" else 0.8)
            play(order)
        case "linger":
            write(order.parts[0].audio, order.seconds)
            lingering.add(order.id)
            slow.add(order.id)
        case "roomy" if os.environ.get("SCRIPTED_MEMORY") == "small":
            say(Failed(id=order.id, fault=Fault.MEMORY, reason="The memory is too small."))
        case "hungry":
            say(Failed(id=order.id, fault=Fault.MEMORY, reason="The memory is too small."))
        case "glutton" if not order.one_by_one:
            say(Failed(id=order.id, fault=Fault.MEMORY, reason="The memory is too small."))
        case "full":
            say(Failed(id=order.id, fault=Fault.DISK, reason="[Errno 28] /secret/path"))
        case "overflow":
            say(Failed(id=order.id, fault=Fault.NUMBERS, reason="Try PRECISION=float32."))
        case "long" if order.seconds == 30:
            play(order)
        case "long":
            if "later" not in order.prompt or once(order):
                preview(order)
            else:
                awaited[order.id] = order
            long[order.id] = order
            slow.add(order.id)
        case "through":
            preview(order)
            play(order)
        case "switch":
            say(Loading(id=order.id, model=order.model))
            say(Loaded(**loaded(order), pace=0.01))
            slow.add(order.id)
        case "swap":
            say(Loading(id=order.id, model=order.model))
            time.sleep(1.5)
            say(Loaded(**loaded(order), pace=0.5))
            play(order)
        case _:
            play(order)


CONFIRMS: dict[str, Any] = {
    "sample_rate": RATE,
    "channels": 1,
    "options": {"guidance": 3, "temperature": 1, "top_k": 250},
}
READY: dict[str, Any] = {
    "models": tuple(os.environ.get("SCRIPTED_MODELS", "scripted").split()),
    "device": "cpu",
    "precision": "float32",
    "slots": int(os.environ.get("SCRIPTED_SLOTS", "1")),
    "pace": 0.25,
    "confirms": CONFIRMS,
    "unfit": tuple(os.environ.get("SCRIPTED_UNFIT", "").split()),
}


def ready() -> Ready:
    return msgspec.convert(READY, Ready)


def main() -> None:
    match sys.argv[1:]:
        case ["refuse"]:
            say(Failed(id=0, fault=Fault.LOAD, reason="The weights are upside down."))
            sys.exit(1)
        case ["stillborn"]:
            die("crash")
        case ["late"]:
            time.sleep(0.5)
        case ["mute"]:
            time.sleep(1000)
    if told := os.environ.get("SCRIPTED_READY"):
        tell(**{"type": "ready", **READY, **json.loads(told)})
    threading.Thread(target=keep_slow, daemon=True).start()
    say(ready())
    for line in sys.stdin.buffer:
        match command(line):
            case Render() as order:
                render(order)
            case Cancel(id=job):
                if job in deaf:
                    continue
                if job in lingering:
                    die("kill")
                if job in crossing:
                    write_takes(crossing[job])
                    time.sleep(1000 if "wait" in crossing[job].prompt else 0)
                slow.discard(job)
                say(Cancelled(id=job))
            case Finish(id=job):
                slow.discard(job)
                if job in long and "kill" in long[job].prompt:
                    die("kill")
                if job in long and job not in awaited:
                    play(long.pop(job), 33.5)
                else:
                    say(Done(id=job))


if __name__ == "__main__":
    main()
