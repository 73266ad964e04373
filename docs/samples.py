"""Makes the README's samples by the sketch engine: `make samples`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from bot.engine.cards import SKETCH
from bot.engine.files.formats import Format, convert
from bot.engine.files.tags import Tags

SAMPLES = Path(__file__).parent / "samples"
SEEDS = {"mozart fantasia": 123, "warm lofi with rain": 7, "epic battle drums": 5}
SECONDS = 8


def main() -> None:
    """Make each, which is marked as the sketch engine's in its tags as in the README."""
    SAMPLES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as scratch:
        for number, (prompt, seed) in enumerate(SEEDS.items(), start=1):
            played = Path(scratch) / f"{number}.wav"
            wanted = ("--engine", "sketch", "--duration", f"{SECONDS}", "--seed", f"{seed}")
            command = (sys.executable, "-m", "bot", "generate", prompt, *wanted, "--out", played)
            subprocess.run(command, check=True, cwd=Path(__file__).parent.parent)
            tags = Tags(title=prompt, model=SKETCH.label, seed=seed, piece=number)
            target = SAMPLES / f"{prompt.replace(' ', '-')}.ogg"
            convert(played, target, Format.OGG, tags)
            print(target)


if __name__ == "__main__":
    main()
