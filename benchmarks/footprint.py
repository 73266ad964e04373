"""Memory of decoding a long piece's sound and of loading, each in a process of its own."""

import json
import os
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.report import Row

PRECISIONS = {"bfloat16": 2, "int8": 1}
"""Bytes of a weight."""


def rows() -> Iterator[Row]:
    """Measure everything and yield a row for each comparison."""
    long, short = (_asked("sound", str(seconds)) for seconds in (120, 10))
    grown = (long["peak"] - long["before"]) / 1e6, (short["peak"] - short["before"]) / 1e6
    yield Row(
        name="peak memory of decoding 120 s of codes against 10 s",
        ours=long["peak"] / 1e6,
        theirs=short["peak"] / 1e6,
        unit="MB",
        at_most=1.2,
        note=f"of which for the decoding {grown[0]:.0f} and {grown[1]:.0f} MB",
    )
    whole = _asked("whole", "120")
    yield Row(
        name="the same 120 s, in chunks against in one go",
        ours=(long["peak"] - long["before"]) / 1e6,
        theirs=(whole["peak"] - whole["before"]) / 1e6,
        unit="MB",
    )
    with tempfile.TemporaryDirectory() as folder:
        _asked("write", folder)
        for precision in PRECISIONS:
            found = _asked("load", precision, HF_HOME=folder, HF_HUB_OFFLINE="1")
            yield Row(
                name=f"peak private memory while loading against the weights in {precision}",
                ours=found["peak"] / 1e6,
                theirs=found["weights"] / 1e6,
                unit="MB",
                at_most=1.3,
            )
        found = _asked("audiocraft", HF_HOME=folder, HF_HUB_OFFLINE="1")
        yield Row(
            name="the same as audiocraft loads, against the weights in float32",
            ours=found["peak"] / 1e6,
            theirs=found["weights"] / 1e6,
            unit="MB",
        )


def _asked(*words: str, **environment: str) -> dict[str, float]:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "benchmarks.footprint", *words],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(done.stderr)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def _sound(seconds: int, *, chunked: bool) -> dict[str, float]:
    import torch

    from bot.engine.musicgen.codec import Codec, Sound
    from tests.support.random_codec import encodec

    codec = Codec(encodec(filters=64, width=128, bins=2048))
    codes = torch.randint(2048, (4, 50 * seconds))
    before = _private()
    with Peak() as peak:
        if chunked:
            sound = Sound(codec)
            while sound.due(codes.shape[-1], ended=True):
                sound.hear(codes)
            sound.samples()
        else:
            codec.whole(codes)
    return {"peak": peak.bytes, "before": before}


def _load(precision: str) -> dict[str, float]:
    import torch
    from audiocraft.models import MusicGen as _  # noqa: F401  # what importing takes is not loading

    from bot.engine.musicgen.model import MusicGen
    from bot.engine.settings import EngineSettings

    before = _private()
    with Peak() as peak:
        settings = EngineSettings(device="cpu", precision=precision, slots=1)
        engine: Any = MusicGen("facebook/musicgen-small", settings)
    loop = engine.loop
    conditioner = loop.provider.conditioners["description"]
    others = [conditioner, conditioner.t5, engine.codec.model]
    held = sum(weight.nbytes for module in others for weight in module.parameters())
    own = 24 * (12 * 1024**2 + 4 * 1024**2) + 4 * 2048 * 1024
    held += own * PRECISIONS[precision]
    held += loop.decoder.weights.embedding.nbytes
    assert isinstance(loop.decoder.weights.embedding, torch.Tensor)
    return {"peak": peak.bytes - before, "weights": held}


def _audiocraft() -> dict[str, float]:
    from audiocraft.models import MusicGen

    before = _private()
    with Peak() as peak:
        model: Any = MusicGen.get_pretrained("facebook/musicgen-small", device="cpu")
    conditioner = model.lm.condition_provider.conditioners["description"]
    modules = [model.lm, conditioner.t5, model.compression_model]
    held = sum(weight.nbytes for module in modules for weight in module.parameters())
    return {"peak": peak.bytes - before, "weights": held}


class Peak:
    """Watches how much memory this process alone holds, not counting mapped files."""

    def __enter__(self) -> "Peak":
        self.bytes = _private()
        self._over = threading.Event()
        self._watch = threading.Thread(target=self._look)
        self._watch.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._watch.join()

    def _look(self) -> None:
        while not self._over.wait(0.002):
            self.bytes = max(self.bytes, _private())


def _private() -> float:
    lines = Path("/proc/self/status").read_text().splitlines()
    return 1024.0 * int(next(line for line in lines if line.startswith("RssAnon")).split()[1])


def _answer(what: str, *words: str) -> dict[str, float]:
    match what:
        case "sound":
            return _sound(int(words[0]), chunked=True)
        case "whole":
            return _sound(int(words[0]), chunked=False)
        case "load":
            return _load(words[0])
        case "audiocraft":
            return _audiocraft()
    from tests.support.tiny_musicgen import write_full_size

    write_full_size(Path(words[0]))
    return {}


if __name__ == "__main__":
    print(json.dumps(_answer(*sys.argv[1:])))
