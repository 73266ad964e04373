"""The engine without Discord: one request from the command line to files of music."""

import asyncio
import tempfile
from contextlib import aclosing
from pathlib import Path

from rich.console import Console
from rich.progress import Progress as Bar

from bot.cli.engine_choice import Choice
from bot.cli.resources import require_folder
from bot.engine.children import Way, start
from bot.engine.environment import engine_environment
from bot.engine.files.formats import Format, convert
from bot.engine.files.tags import Tags
from bot.engine.messages import Part, Progress, Render
from bot.errors import EngineError, JobError, OperatorError
from bot.values import Request


async def generate(choice: Choice, request: Request, out: Path, console: Console) -> list[Path]:
    """Render a request to `out` and return the files, numbered if there are several.

    Raises OperatorError with the sentence for the terminal if that fails.
    """
    paths, kind = files(out, request.takes), _format(out)
    require_folder(out.parent, f"--out {out}")  # before a model is loaded for nothing
    try:
        with tempfile.TemporaryDirectory() as scratch:
            made = paths if kind is Format.WAV else files(Path(scratch, "take.wav"), request.takes)
            order = _order(request, made, Path(scratch))
            await _render(choice, order, console)
            for part, path in zip(order.parts, paths, strict=True):
                if kind is not Format.WAV:
                    convert(Path(part.audio), path, kind, Tags.of(order, part))
    except* OSError as failed:
        raise OperatorError(f"--out {out}: {failed.exceptions[0]}.") from failed
    except* JobError as refused:
        raise OperatorError(str(refused.exceptions[0])) from refused
    except* EngineError as lost:
        raise OperatorError(f"The engine {lost.exceptions[0]}.") from lost
    return paths


def files(out: Path, takes: int) -> list[Path]:
    """Return where the takes go: `out` itself, or FILE-1.wav, FILE-2.wav and so on."""
    if takes == 1:
        return [out]
    return [out.with_name(f"{out.stem}-{number}{out.suffix}") for number in range(1, takes + 1)]


async def _render(choice: Choice, order: Render, console: Console) -> None:
    with Bar(console=console) as bar:
        loading = bar.add_task(f"Loading {choice.model}", total=None)
        way = Way(command=choice.command, cards=choice.cards)
        async with start(way, engine_environment()) as engine:
            await engine.ready()
            bar.remove_task(loading)
            rendering = bar.add_task("Rendering")
            async with asyncio.TaskGroup() as group:
                attending = group.create_task(engine.attend())
                async with aclosing(engine.render(order)) as reports:
                    async for said in reports:
                        if isinstance(said, Progress):
                            bar.update(rendering, completed=said.done, total=said.total)
                attending.cancel()


def _order(request: Request, paths: list[Path], scratch: Path) -> Render:
    return Render(
        id=1,
        prompt=request.prompt,
        seconds=request.seconds,
        model=request.model,
        parts=tuple(
            Part(
                number=number,
                seed=request.seed + number - 1,
                audio=str(path.absolute()),
                codes=str(scratch / f"{number}.npy"),
            )
            for number, path in enumerate(paths, start=1)
        ),
        options=dict(request.options),
        lyrics=request.lyrics,
        language=request.language,
    )


def _format(out: Path) -> Format:
    try:
        return Format(out.suffix.lower().removeprefix("."))
    except ValueError:
        kinds = ", ".join(f".{kind}" for kind in Format)
        raise OperatorError(f"--out {out}: the file's name must end in one of {kinds}.") from None
