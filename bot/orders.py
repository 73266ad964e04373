"""What the engine is told of a job, and where its files lie."""

import logging
import shutil
import wave
from collections.abc import Iterable
from pathlib import Path

from bot import takes
from bot.database import Database
from bot.engine import audio
from bot.engine.messages import PREVIEW, Part, Render
from bot.errors import EngineError, JobError
from bot.models import Job

log = logging.getLogger(__name__)


async def write(source: Database, folder: Path, job: Job, *, one_by_one: bool) -> Render:
    """Return the order for a job; raise JobError if what it goes on from is gone."""
    request = job.request
    return Render(
        id=job.id,
        prompt=request.prompt,
        seconds=min(request.seconds, PREVIEW) if job.stopping else request.seconds,
        model=request.model,
        parts=tuple(_part(folder, job, number) for number in range(1, request.takes + 1)),
        guidance=request.guidance,
        temperature=request.temperature,
        top_k=request.top_k,
        prefix=await _prefix(source, folder, job),
        picture=str(folder / picture(job)),
        one_by_one=one_by_one,
    )


def file(job: Job, number: int, kind: str) -> str:
    """Return the name of a take's file within the data folder."""
    return f"audio/{job.id}-{number}.{kind}"


def picture(job: Job) -> str:
    """Return the name of a job's picture within the data folder."""
    return f"audio/{job.id}-picture.png"


def files(job: Job) -> list[str]:
    """Return the names of all that an engine may leave of a job within the data folder."""
    kinds = ("wav", "npy", "preview.wav")
    names = [
        file(job, number, kind) for number in range(1, job.request.takes + 1) for kind in kinds
    ]
    return [f"{name}{half}" for name in (*names, picture(job)) for half in ("", audio.HALF)]


def discard(folder: Path, jobs: Iterable[Job]) -> None:
    """Remove all that an engine may have left of these jobs."""
    for name in (name for job in jobs for name in files(job)):
        try:
            (folder / name).unlink(missing_ok=True)
        except IsADirectoryError:
            shutil.rmtree(folder / name, ignore_errors=True)
        except OSError as error:
            log.error("%s cannot be removed: %s", name, error)


def verify(path: Path, announced: float, longest: float) -> None:
    """Raise EngineError if a take's file is not as many seconds as the engine said, or too many."""
    try:
        length = audio.seconds(path)
    except (OSError, EOFError, wave.Error) as error:
        raise EngineError(f"announced a take whose file cannot be read ({error})") from error
    if not 0 < length <= longest + 0.001 or abs(length - announced) > 0.001:
        raise EngineError(
            f"announced {announced:g} s of {longest:g} s; the file holds {length:g} s"
        )


def _part(folder: Path, job: Job, number: int) -> Part:
    preview = job.request.length > PREVIEW and not job.request.before and not job.stopping
    return Part(
        number=number,
        seed=job.request.seed + number - 1,
        audio=str(folder / file(job, number, "wav")),
        codes=str(folder / file(job, number, "npy")),
        preview=str(folder / file(job, number, "preview.wav")) if preview else None,
    )


async def _prefix(source: Database, folder: Path, job: Job) -> str | None:
    if job.request.parent_take is None:
        return None
    parent = await takes.find(source, job.request.parent_take)
    if parent is None or parent.codes is None or not (folder / parent.codes).exists():
        raise JobError("The piece that it should continue was deleted meanwhile.")
    return str(folder / parent.codes)
