"""What a start removes from the data folder, what it leaves, and the numbers it goes on from."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from bot.app import Plan, compose
from bot.cli.backup import backup
from bot.retention.ownership import MARK
from bot.tables import takes
from bot.values import Status, Wish
from tests.support.clock import until
from tests.support.processes import children
from tests.support.studio import member, origin
from tests.support.world import World, world


def audio(plan: Plan) -> set[str]:
    return {file.name for file in (plan.folder / "audio").iterdir()}


async def made(w: World, number: int) -> None:
    await w.generate("draw it")
    await w.ended(number, Status.DELIVERED)


async def started(plan: Plan) -> None:
    """Start and stop a bot."""
    async with compose(plan):
        pass


async def test_what_unfinished_jobs_left_goes_and_all_else_stays(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    folder = plan.folder / "audio"
    async with world(plan) as w:
        await made(w, 1)
        await w.generate("slow")
        await w.ended(2, Status.RUNNING)
        await w.studio.cancel(2, member(w.alice.id, w.guild.id))
        await w.generate("slow")
        kept = audio(plan)
        foreign = {"77-1.wav", "1-9.npy", "3-up.mp3", "3-2.wav", "notes.txt"}
        for name in ("2-1.wav", "2-1.wav.part", "2-picture.png", "3-1.npy", *foreign):
            (folder / name).write_bytes(b"x" * 10)
        await w.restart(plan)
        assert audio(plan) == kept | foreign
    assert "5 files (0 MB) not in the database, left alone" in caplog.text


async def test_folders_and_links_break_no_start_and_are_not_followed(
    plan: Plan, tmp_path: Path
) -> None:
    music = tmp_path / "Music"
    music.mkdir()
    (music / "1-1.wav").write_bytes(b"somebody's own")
    plan.folder.mkdir()
    for place in ("audio", "copies"):
        folder = plan.folder / place
        folder.mkdir()
        (folder / "lost+found").mkdir()
        (folder / "tmplink").symlink_to(music)
    (plan.folder / "audio" / "77-1.wav").symlink_to(music / "1-1.wav")
    async with world(plan) as w:
        await made(w, 1)
        await w.restart(plan)
    assert (music / "1-1.wav").read_bytes() == b"somebody's own"
    assert {"lost+found", "tmplink"} <= audio(plan)
    assert {"lost+found", "tmplink"} <= {each.name for each in (plan.folder / "copies").iterdir()}


async def test_an_audio_folder_that_is_a_link_costs_nobodys_files(
    plan: Plan, tmp_path: Path
) -> None:
    music = tmp_path / "Music"
    music.mkdir()
    (music / "mine.flac").write_bytes(b"mine")
    plan.folder.mkdir()
    (plan.folder / "audio").symlink_to(music)
    await started(plan)
    assert [file.name for file in music.iterdir()] == ["mine.flac"]


def set_aside(folder: Path, _: Path) -> None:
    """As who wants to begin from nothing, or whose database is damaged."""
    for file in folder.glob("fantasia.db*"):
        file.unlink()


def older(folder: Path, saved: Path) -> None:
    """As who copies a backup there by hand."""
    set_aside(folder, saved)
    shutil.copyfile(saved, folder / "fantasia.db")


@pytest.mark.parametrize("swap", [set_aside, older])
@pytest.mark.parametrize("marked", [True, False], ids=["", "by an older release"])
async def test_a_swapped_database_costs_no_music_and_gives_no_number_twice(
    plan: Plan, tmp_path: Path, swap: Callable[[Path, Path], None], *, marked: bool
) -> None:
    async with world(plan) as w:
        await made(w, 1)
        await w.studio.submit(
            origin(), Wish(prompt="slow", seconds=2)
        )  # never ends before the backup
        await backup(plan.folder, tmp_path / "old.db")
        await w.studio.cancel(2, member())
        await made(w, 3)
    (plan.folder / "audio" / "2-1.wav").write_bytes(b"made after the backup")
    music = {
        file.name: file.read_bytes() for file in (plan.folder / "audio").iterdir() if file.is_file()
    }
    if not marked:
        (plan.folder / MARK).unlink()
    swap(plan.folder, tmp_path / "old.db")
    async with compose(plan) as client:
        job = await client.services.studio.submit(origin(), Wish(prompt="slow", seconds=2))
    assert job.id > 3
    left = [*(plan.folder / "audio").iterdir()]
    if (plan.folder / "orphans").exists():
        left += [*(plan.folder / "orphans").iterdir()]
    assert music.items() <= {file.name: file.read_bytes() for file in left}.items()


async def test_a_number_whose_piece_left_no_file_is_not_given_again_either(plan: Plan) -> None:
    async with compose(plan) as client:
        for _ in range(4):
            await client.services.studio.submit(origin(), Wish(prompt="slow", seconds=2))
    await started(plan)  # the folder is marked at each start
    set_aside(plan.folder, plan.folder)
    async with compose(plan) as client:
        assert (
            await client.services.studio.submit(origin(), Wish(prompt="slow", seconds=2))
        ).id > 4


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"database": "x", "given": "many"}', "\xff"])
async def test_a_mark_that_cannot_be_read_breaks_no_start(plan: Plan, text: str) -> None:
    await started(plan)
    (plan.folder / MARK).write_text(text, encoding="latin-1")
    await started(plan)
    assert '"given":0' in (plan.folder / MARK).read_text()


async def test_a_mark_that_cannot_be_written_breaks_no_start(
    plan: Plan, caplog: pytest.LogCaptureFixture
) -> None:
    (plan.folder / MARK).mkdir(parents=True)
    await started(plan)
    assert f"{plan.folder / MARK} cannot be written: Is a directory" in caplog.text


async def test_a_database_keeps_its_name(plan: Plan) -> None:
    await started(plan)
    marked = (plan.folder / MARK).read_text()
    await started(plan)
    assert (plan.folder / MARK).read_text() == marked


async def test_what_was_to_go_when_the_bot_died_goes_at_the_next_start(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, 1)
        async with w.database.transaction() as tx:
            await tx.execute("INSERT INTO unneeded SELECT audio FROM takes")
            await tx.execute("UPDATE takes SET audio = NULL")
        await w.restart(plan)
        assert "1-1.wav" not in audio(plan)
        assert await w.database.fetch("SELECT * FROM unneeded") == []


async def test_a_file_that_cannot_be_removed_holds_up_no_other(plan: Plan) -> None:
    async with world(plan) as w:
        await made(w, 1)
        await made(w, 2)
        (plan.folder / "audio" / "1-1.wav").unlink()
        (plan.folder / "audio" / "1-1.wav").mkdir()
        for number in (1, 2):
            await w.bot.services.archive.delete(number, member(w.alice.id, w.guild.id))
        assert audio(plan) == {"1-1.wav"}
        left = await w.database.fetch("SELECT name FROM unneeded")
        assert [row["name"] for row in left] == ["audio/1-1.wav"]


@pytest.mark.parametrize("end", ["cancel", "fail"])
async def test_no_row_names_the_files_of_what_was_not_made(plan: Plan, end: str) -> None:
    """Else `doctor` and `restore` would call them lost."""
    async with world(plan) as w:
        await w.alice.slash(w.music, "generate", prompt="half", duration=8, takes=2)
        for attempt in (1, 2):

            async def took(attempt: int = attempt) -> bool:
                found = await takes.files(w.database)
                return bool(found) and (await w.studio.job(1)).attempts == attempt

            await until(took)
            if end == "cancel":
                await w.studio.cancel(1, member(w.alice.id, w.guild.id))
                break
            for engine in children(os.getpid()):
                os.kill(engine, signal.SIGKILL)
        await w.ended(1, Status.CANCELLED if end == "cancel" else Status.FAILED)

        async def gone() -> bool:
            return not audio(plan)

        await until(gone)
        assert await takes.files(w.database) == set()
