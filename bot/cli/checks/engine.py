"""Whether the configured models can render here: their packages, the device, the weights."""

import importlib.metadata
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

from bot.cli import engine_choice
from bot.cli.checks.check import Check, bad, good, note
from bot.cli.engine_choice import SETUP
from bot.config import Config, DeviceSetting
from bot.engine import placement, weights
from bot.engine.environment import engine_environment
from bot.engine.placement import Placement
from bot.errors import OperatorError
from bot.rules.wording import counted

DEVICE_PROBE = """
import json, torch
from bot.engine.hardware.devices import unfit
from bot.engine.musicgen.precisions import native
gpu = torch.cuda.is_available()
p = torch.cuda.get_device_properties(0) if gpu else None
print(json.dumps([[p.name, p.total_memory, unfit()] if gpu else None, native()]))
"""

TOLD = ("audiocraft", "diffusers", "torch", "torchaudio", "transformers", "xformers")
"""Packages whose versions are told."""

SLOW_ON_A_CPU = (
    "two cores play MusicGen's small model in about real time; all others are slow without a GPU"
)


def models(config: Config) -> Iterator[Check]:
    """Check what the configured models need, whatever engine is configured."""
    if lacking := weights.lacking(config.wanted):
        found = f"the bot's are installed, {lacking}'s are not"
        yield note("Packages", found, f"run `{SETUP}`; ENGINE=sketch does not need them")
        return
    versions = (f"{each} {importlib.metadata.version(each)}" for each in TOLD if find_spec(each))
    yield good("Packages", ", ".join(versions))
    yield device(config)
    for model in config.wanted:
        yield _weights(model)


def engines(config: Config) -> Check:
    """Name the engines that the bot would start, and what each sees of this machine."""
    try:
        address, found = engine_choice.cluster(config), engine_choice.placements(config)
    except OperatorError as error:
        return bad("Engines", str(error), "correct ENGINES in .env")
    if address:
        return good("Engines", f"those of the cluster at {address}")
    told = "\n".join(f"{each.name}: {_seen(each)}" for each in found)
    if warning := engine_choice.unwise(config, found):
        return note("Engines", f"{told}\n{warning}", "set ENGINES=auto, or a smaller number")
    return good("Engines", told)


def _seen(placed: Placement) -> str:
    gpu, threads = map(placed.environment.get, (placement.VISIBLE, placement.THREADS))
    cores = threads and counted(int(threads), "CPU core")
    return ", ".join(filter(None, (gpu, cores))) or "all there is"


def device(config: Config) -> Check:
    """Ask torch, which takes seconds, what it would render on."""
    memory = f"{os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 1e9:.0f} GB of memory"
    # A process of its own, since no process but the engine's and this one may ever load torch.
    asked = subprocess.run(  # noqa: S603
        [sys.executable, "-c", DEVICE_PROBE],
        capture_output=True,
        text=True,
        check=False,
        env=engine_environment(),
    )
    if asked.returncode:
        words = (asked.stderr.strip() or "no message").splitlines()[-1]
        return bad("Device", f"torch fails: {words}", f"`{SETUP}`")
    gpu, kernels = json.loads(asked.stdout.splitlines()[-1])
    compiled = f"native kernels for {', '.join(kernels)}" if kernels else "no native kernels"
    cores = f"{os.cpu_count()} CPU cores, {memory}; {compiled}"
    if gpu and not gpu[2]:
        return good("Device", f"{gpu[0]}, {gpu[1] / 1e9:.0f} GB; {cores}")
    found = f"{gpu[2] if gpu else 'no CUDA GPU'}; {cores}"
    if config.device is DeviceSetting.CUDA:
        return bad("Device", found, "set DEVICE=auto")
    return note("Device", found, SLOW_ON_A_CPU)


def _weights(model: str) -> Check:
    if lacking := weights.lacking([model]):
        return bad("Weights", f"{model} needs {lacking}'s packages", f"run `{SETUP}`")
    if wrong := weights.of(model).wrong(model):
        remedy = "do what it says, or choose another model in MUSICGEN_MODEL or MODELS"
        return bad("Weights", wrong, remedy)
    if missing := weights.of(model).missing(model):
        found = f"not on disk: {', '.join(missing)}"
        return note("Weights", found, f"`python -m bot fetch {model}`")
    return good("Weights", f"{model} is on disk")
