"""A copy of the database, taken while the bot runs, and put back."""

import errno
import os
import shutil
import sqlite3
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from bot.app import Plan, compose
from bot.cli.backup import Restored, Saved, backup, backup_with_music, restore
from bot.errors import OperatorError
from bot.retention.ownership import MARK
from bot.tables.opening import open_database
from bot.values import Status, Wish
from tests.support.clock import until
from tests.support.first_release import first_release
from tests.support.scripted_child import SCRIPTED
from tests.support.studio import member, origin
from tests.support.world import world

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)


async def lived(plan: Plan, target: Path) -> None:
    """Queue two jobs and take a backup between them, with the bot running."""
    late = replace(plan, command=(*SCRIPTED, "mute"))
    async with compose(late) as client:
        await client.services.studio.submit(origin(), Wish(prompt="play", seconds=2))
        await backup(plan.folder, target)
        await client.services.studio.submit(origin(), Wish(prompt="play", seconds=2))


def count(path: Path) -> int:
    connection = sqlite3.connect(path)
    (found,) = connection.execute("SELECT count(*) FROM jobs").fetchone()
    connection.close()
    return int(found)


async def test_a_backup_is_taken_while_the_bot_runs_and_put_back(
    plan: Plan, tmp_path: Path
) -> None:
    file = tmp_path / "monday.db"
    await lived(plan, file)
    assert count(file) == 1
    assert file.stat().st_mode & 0o777 == 0o600
    old = (await restore(plan.folder, file, NOW)).old
    assert old
    assert count(old) == 2
    async with compose(plan) as client:
        assert (await client.services.studio.job(1)).status in (Status.QUEUED, Status.RUNNING)
    assert [path.name for path in tmp_path.iterdir() if "part" in path.name] == []


async def test_a_running_bot_is_not_restored_under_its_feet(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    await lived(plan, file)
    async with compose(plan):
        with pytest.raises(OperatorError, match="already using"):
            await restore(plan.folder, file, NOW)
    assert count(plan.folder / "fantasia.db") == 2


async def test_a_backup_overwrites_no_file(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    file.write_text("precious")
    await lived(plan, tmp_path / "other.db")
    with pytest.raises(OperatorError, match="not overwritten"):
        await backup(plan.folder, file)
    assert file.read_text() == "precious"


async def test_what_cannot_be_written_is_explained(plan: Plan, tmp_path: Path) -> None:
    await lived(plan, tmp_path / "monday.db")
    with pytest.raises(OperatorError, match="cannot be written"):
        await backup(plan.folder, tmp_path / "nowhere" / "monday.db")
    with pytest.raises(OperatorError, match="There is no database"):
        await backup(tmp_path / "nowhere", tmp_path / "tuesday.db")
    assert not (tmp_path / "tuesday.db").exists()


async def test_what_is_no_sound_backup_changes_nothing(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    await lived(plan, file)
    newer = tmp_path / "newer.db"
    newer.write_bytes(file.read_bytes())
    connection = sqlite3.connect(newer)
    connection.execute("PRAGMA user_version = 999")
    connection.close()
    torn = tmp_path / "torn.db"
    torn.write_bytes(file.read_bytes()[:-6000])
    before = (plan.folder / "fantasia.db").read_bytes()
    for bad, sentence in (
        (newer, "newer Fantasia"),
        (torn, "cannot be used"),
        (tmp_path / "none", "There is no file"),
    ):
        with pytest.raises(OperatorError, match=sentence):
            await restore(plan.folder, bad, NOW)
    assert (plan.folder / "fantasia.db").read_bytes() == before


async def test_a_damaged_database_is_refused_and_left_as_it_is(plan: Plan, tmp_path: Path) -> None:
    file = tmp_path / "monday.db"
    await lived(plan, file)
    spoilt = bytearray(file.read_bytes())
    spoilt[3 * 4096 : 9 * 4096] = b"\x55" * (6 * 4096)
    file.write_bytes(spoilt)
    with pytest.raises(OperatorError, match=r"cannot be used: .* Nothing was changed"):
        async with open_database(file):
            pass
    assert file.read_bytes() == spoilt
    assert not file.with_name("monday.db-wal").exists()


async def test_what_the_bot_writes_is_its_owners_alone(plan: Plan) -> None:
    plan.folder.mkdir(mode=0o755)
    async with compose(plan) as client:
        job = await client.services.studio.submit(origin(), Wish(prompt="play", seconds=2))

        async def rendered() -> bool:
            return (await client.services.studio.job(job.id)).status is Status.RENDERED

        await until(rendered)
        assert list((plan.folder / "audio").glob("*.wav"))
        for path in (plan.folder, *plan.folder.rglob("*")):
            assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path


async def test_a_restore_says_what_music_it_does_not_find_and_takes_none_away(
    plan: Plan, tmp_path: Path
) -> None:
    async with world(plan) as w:
        for number in (1, 2):
            await w.generate("play")
            await w.ended(number, Status.DELIVERED)
        await backup(plan.folder, tmp_path / "monday.db")
        await w.bot.services.archive.delete(1, member(w.alice.id, w.guild.id))
        await w.generate("play")
        await w.ended(3, Status.DELIVERED)
        await w.generate("fail")
        await w.ended(4, Status.FAILED)
    music = {file.name for file in (plan.folder / "audio").iterdir()}
    done = await restore(plan.folder, tmp_path / "monday.db", NOW)
    assert (done.lost, done.unnamed) == ((1,), 2)
    async with compose(plan) as client:
        assert (
            await client.services.studio.submit(origin(), Wish(prompt="slow", seconds=2))
        ).id > 4
    assert music <= {file.name for file in (plan.folder / "audio").iterdir()}
    assert done.old
    again = await restore(plan.folder, done.old, NOW)
    assert (again.lost, again.unnamed) == ((), 0)
    assert again.old != done.old


async def test_a_backup_of_an_older_release_is_restored(plan: Plan, tmp_path: Path) -> None:
    first_release(tmp_path / "old.db")
    plan.folder.mkdir()
    assert await restore(plan.folder, tmp_path / "old.db", NOW) == Restored(
        old=None, lost=(), unnamed=0
    )
    assert {file.name for file in plan.folder.iterdir()} == {"fantasia.db", "lock", MARK}
    async with compose(plan) as client:
        assert (await client.services.studio.job(4)).status is Status.DELIVERED


async def two_pieces(plan: Plan, target: Path) -> Saved:
    """Make two pieces, delete the file of the first, and take a backup while the bot runs."""
    async with world(plan) as w:
        for number in (1, 2):
            await w.generate("play")
            await w.ended(number, Status.DELIVERED)
        (plan.folder / "audio" / "1-1.wav").unlink()
        return await backup_with_music(plan.folder, target)


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (folder / "audio").iterdir()}


@pytest.mark.parametrize("disks", ["one", "two"])
async def test_a_backup_with_the_music_moves_a_bot_to_another_house(
    plan: Plan, tmp_path: Path, disks: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def apart(*_: object, **__: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    if disks == "two":
        monkeypatch.setattr(os, "link", apart)
    saved = await two_pieces(plan, tmp_path / "monday")
    music = contents(plan.folder)
    assert contents(tmp_path / "monday") == music
    assert saved == Saved(files=len(music), lost=(1,))
    for path in (tmp_path / "monday", *(tmp_path / "monday").rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    new = replace(plan, folder=tmp_path / "new")
    done = await restore(new.folder, tmp_path / "monday", NOW)
    assert done == Restored(old=None, lost=(1,), unnamed=0, returned=len(music))
    assert contents(new.folder) == music
    async with compose(new) as client:
        job = await client.services.studio.job(2)
        owner = member(job.origin.user_id, job.origin.guild_id)
        _, (take,) = await client.services.pieces.takes(2, owner)
        assert await client.services.copies.read(str(take.audio)) == music["2-1.wav"]
    assert [path.name for path in tmp_path.rglob("*.part")] == []


async def test_what_else_has_the_name_of_a_piece_is_set_aside_when_music_returns(
    plan: Plan, tmp_path: Path
) -> None:
    await two_pieces(plan, tmp_path / "monday")
    music = contents(plan.folder)
    place = plan.folder / "audio" / "2-1.wav"
    place.unlink()
    place.write_bytes(b"another's")
    await restore(plan.folder, tmp_path / "monday", NOW)
    assert contents(plan.folder) == music
    assert (plan.folder / "orphans" / "2-1.wav").read_bytes() == b"another's"


async def test_a_backup_takes_no_link_for_music_and_leaves_nothing_half_done(
    plan: Plan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await two_pieces(plan, tmp_path / "monday")
    secret = tmp_path / "secret"
    secret.write_text("precious")
    (plan.folder / "audio" / "1-1.wav").symlink_to(secret)
    saved = await backup_with_music(plan.folder, tmp_path / "tuesday")
    assert saved.lost == (1,)
    assert "1-1.wav" not in contents(tmp_path / "tuesday")
    with pytest.raises(OperatorError, match="not overwritten"):
        await backup_with_music(plan.folder, tmp_path / "tuesday")

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "link", full)
    monkeypatch.setattr(shutil, "copyfileobj", full)
    with pytest.raises(OperatorError, match=r"cannot be written: .*No space left"):
        await backup_with_music(plan.folder, tmp_path / "wednesday")
    assert not list(tmp_path.glob("wednesday*"))
