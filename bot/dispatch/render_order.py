"""The order that the engine gets for a job, and the checks on the files that it leaves."""

import logging
import shutil
import wave
from collections.abc import Iterable
from pathlib import Path

from bot.dispatch.deadlines import TAKE_BY_TAKE
from bot.engine.cards import Ability, card
from bot.engine.files import wav
from bot.engine.files.regular import opened
from bot.engine.messages import PREVIEW_SECONDS, Part, Render
from bot.errors import EngineError, JobError
from bot.retention import disk
from bot.tables import takes
from bot.tables.database import Reader
from bot.values import Job

log = logging.getLogger(__name__)

LEEWAY = 0.001
"""How far two equal lengths may differ, in seconds."""

NUMPY, PNG = b"\x93NUMPY", b"\x89PNG\r\n\x1a\n"
"""The first bytes of the files of codes and pictures."""


async def write(reader: Reader, folder: Path, job: Job) -> Render:
    """Return the order for a job; raise JobError if the take it extends is gone."""
    request = job.request
    return Render(
        id=job.id,
        prompt=request.prompt,
        seconds=min(request.seconds, PREVIEW_SECONDS) if job.stopping else request.seconds,
        model=request.model,
        parts=tuple(_part(folder, job, number) for number in range(1, request.takes + 1)),
        options=dict(request.options),
        lyrics=request.lyrics,
        language=request.language,
        prefix=await _prefix(reader, folder, job),
        picture=str(folder / disk.picture(job)),
        one_by_one=job.care == TAKE_BY_TAKE,
    )


def discard(folder: Path, jobs: Iterable[Job]) -> None:
    """Remove all the files that an engine may have left of these jobs."""
    for name in (name for job in jobs for name in disk.files_of(job)):
        try:
            (folder / name).unlink(missing_ok=True)
        # The engine is not trusted: it may have left a folder in a file's place.
        except IsADirectoryError:
            shutil.rmtree(folder / name, ignore_errors=True)
        except OSError as error:
            log.error("%s cannot be removed: %s", name, error)


def verify(folder: Path, job: Job, number: int, announced: float) -> str | None:
    """Return the name of a take's codes, if it has any.

    Raises EngineError if its files are not what the engine reported, or are impossible.
    """
    before, longest = job.request.before, job.request.length
    length = _length(folder / disk.take_file(job, number, "wav"))
    # What is charged follows from the length, so it is read from the file and not believed.
    if not before < length <= longest + LEEWAY or abs(length - announced) > LEEWAY:
        raise EngineError(
            f"announced {announced:g} s of {longest:g} s; the file holds {length:g} s"
            + (f", and extends {before:g} s" if before else "")
        )
    codes = disk.take_file(job, number, "npy")
    return codes if _begins(folder / codes, NUMPY, "codes") else None


def verify_previews(folder: Path, job: Job) -> None:
    """Raise EngineError if a job's previews are not what they should be."""
    for number in range(1, job.request.takes + 1):
        length = _length(folder / disk.take_file(job, number, "preview.wav"))
        if not 0 < length <= PREVIEW_SECONDS + LEEWAY:
            raise EngineError(f"announced a preview of {length:g} s")


def verify_picture(folder: Path, job: Job) -> str | None:
    """Return the name of a job's picture, if it has one; raise EngineError if it is not a PNG."""
    return disk.picture(job) if _begins(folder / disk.picture(job), PNG, "a picture") else None


def _length(path: Path) -> float:
    try:
        with opened(path) as sound:
            return wav.seconds(sound)
    except (OSError, EOFError, ValueError, wave.Error) as error:
        raise EngineError(f"announced a take whose file cannot be read ({error})") from error


def _begins(path: Path, magic: bytes, what: str) -> bool:
    """Whether a file exists; raise EngineError if it is of another kind."""
    try:
        with opened(path) as found:
            kind = found.read(len(magic))
    except FileNotFoundError:
        return False
    except OSError as error:
        raise EngineError(f"left {what} that cannot be read ({error})") from error
    if kind != magic:
        raise EngineError(f"left {what} in a file of another kind")
    return True


def _part(folder: Path, job: Job, number: int) -> Part:
    heard_early = Ability.PREVIEW in card(job.request.model).abilities and not job.stopping
    preview = heard_early and job.request.length > PREVIEW_SECONDS and not job.request.before
    return Part(
        number=number,
        seed=job.request.seed + number - 1,
        audio=str(folder / disk.take_file(job, number, "wav")),
        codes=str(folder / disk.take_file(job, number, "npy")),
        preview=str(folder / disk.take_file(job, number, "preview.wav")) if preview else None,
    )


async def _prefix(reader: Reader, folder: Path, job: Job) -> str | None:
    if job.request.parent_take is None:
        return None
    parent = await takes.find(reader, job.request.parent_take)
    if parent is None or parent.codes is None or not (folder / parent.codes).exists():
        raise JobError("The piece that it should continue was deleted meanwhile.")
    return str(folder / parent.codes)
