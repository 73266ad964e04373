"""Music in other formats is made one by one, by a process that nothing has to wait for."""

import asyncio
import os
import resource
import signal
import subprocess
import sys
import wave
from contextlib import suppress
from pathlib import Path

import pytest

from bot.app import Plan
from bot.engine.files.encoder import encoding
from bot.engine.files.encoding import ADDRESS_SPACE
from bot.engine.files.formats import Format, convert
from bot.engine.files.tags import Tags
from bot.tables import takes
from bot.values import Status
from tests.support.clock import until
from tests.support.processes import alive, children, program
from tests.support.shown import answered, attached, choices, told
from tests.support.world import world

TAGS = Tags(title="play", model="scripted", seed=1, piece=1)

KILLED = """
import asyncio, sys
from pathlib import Path
from bot.engine.files.encoder import encoding
from bot.engine.files.formats import Format
from bot.engine.files.tags import Tags

TAGS = Tags(title="play", model="scripted", seed=1, piece=1)

async def main():
    async with encoding({}) as encoder:
        for _ in range(1000):
            await encoder.encode(Path(sys.argv[1]), Path(sys.argv[1] + ".mp3"), Format.MP3, TAGS)
            print("made", flush=True)

asyncio.run(main())
"""


def noise(path: Path, seconds: int) -> Path:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(32_000)
        out.writeframes(os.urandom(2 * 32_000 * seconds))
    return path


@pytest.fixture
def music(tmp_path: Path) -> Path:
    """A minute of noise, over which an encoder can be disturbed."""
    return noise(tmp_path / "music.wav", 60)


@pytest.fixture
def sound(tmp_path: Path) -> Path:
    """Little, which is made soon by what gives way to all else."""
    return noise(tmp_path / "sound.wav", 3)


async def process() -> int:
    """Wait until an encoder of this test has a process, and return its number."""

    async def look() -> int | None:
        for child in children(os.getpid()):
            with suppress(OSError):  # it ended meanwhile
                if b"bot.engine.files.encoding" in Path(f"/proc/{child}/cmdline").read_bytes():
                    return child
        return None

    return await until(look)


async def killed_twice() -> None:
    """Kill an encoder's process, and the one that is started in its place."""
    first = await process()
    os.kill(first, signal.SIGKILL)

    async def second() -> bool:
        return await process() != first

    await until(second)
    os.kill(await process(), signal.SIGKILL)


@pytest.mark.parametrize("kind", [Format.FLAC, Format.MP3, Format.OGG])
@pytest.mark.parametrize("part", [(1, 1), (2, 4)])
async def test_it_writes_the_same_as_would_be_written_here(
    sound: Path, tmp_path: Path, kind: Format, part: tuple[int, int]
) -> None:
    convert(sound, tmp_path / f"here.{kind}", kind, TAGS, part)
    async with encoding({}) as encoder:
        await encoder.encode(sound, tmp_path / f"there.{kind}", kind, TAGS, part)
    here, there = (tmp_path / f"{place}.{kind}" for place in ("here", "there"))
    # Ogg has a random serial number in each page.
    assert there.stat().st_size == here.stat().st_size
    assert kind is Format.OGG or there.read_bytes() == here.read_bytes()


async def test_one_process_makes_all_at_the_lowest_priority_with_bounded_memory(
    sound: Path, tmp_path: Path
) -> None:
    async with encoding({}) as encoder:
        names = [tmp_path / f"{number}.mp3" for number in range(5)]
        making = [encoder.encode(sound, name, Format.MP3, TAGS) for name in names]
        await asyncio.gather(*making)
        assert all(name.exists() for name in names)
        child = await process()
        assert children(os.getpid()).count(child) == 1
        assert os.getpriority(os.PRIO_PROCESS, child) == 19
        session = Path(f"/proc/{child}/autogroup")
        assert not session.exists() or session.read_text().endswith(" nice 19\n")
        assert resource.prlimit(child, resource.RLIMIT_AS) == (ADDRESS_SPACE, ADDRESS_SPACE)
    assert not alive(child)


async def test_what_cannot_be_written_is_told_and_the_next_is_made(
    sound: Path, tmp_path: Path
) -> None:
    (tmp_path / "noise.wav").write_bytes(b"noise")
    async with encoding({}) as encoder:
        with pytest.raises(OSError, match="cannot be written as flac"):
            await encoder.encode(tmp_path / "noise.wav", tmp_path / "a.flac", Format.FLAC, TAGS)
        await encoder.encode(sound, tmp_path / "a.flac", Format.FLAC, TAGS)


async def test_a_file_is_made_though_its_process_is_killed(music: Path, tmp_path: Path) -> None:
    async with encoding({}) as encoder:
        making = asyncio.create_task(encoder.encode(music, tmp_path / "a.mp3", Format.MP3, TAGS))
        os.kill(await process(), signal.SIGSEGV)
        await making
    assert (tmp_path / "a.mp3").stat().st_size > 100_000


async def test_a_process_that_is_killed_twice_is_told_and_started_again(
    music: Path, tmp_path: Path
) -> None:
    async with encoding({}) as encoder:
        making = asyncio.create_task(encoder.encode(music, tmp_path / "a.mp3", Format.MP3, TAGS))
        await killed_twice()
        with pytest.raises(OSError, match="was killed"):
            await making
        await encoder.encode(music, tmp_path / "a.flac", Format.FLAC, TAGS)


async def test_what_nobody_waits_for_is_not_made(music: Path, tmp_path: Path) -> None:
    async with encoding({}) as encoder:
        making = asyncio.create_task(encoder.encode(music, tmp_path / "a.mp3", Format.MP3, TAGS))
        child = await process()
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        assert not alive(child)
        await encoder.encode(music, tmp_path / "a.flac", Format.FLAC, TAGS)


async def test_a_bot_that_ends_while_something_is_made_ends_without_an_error(
    music: Path, tmp_path: Path
) -> None:
    async with encoding({}) as encoder:
        making = asyncio.create_task(encoder.encode(music, tmp_path / "a.mp3", Format.MP3, TAGS))
        made_by = await process()
        await asyncio.sleep(0.05)
    assert not alive(made_by)
    with pytest.raises(OSError, match="was killed"):
        await making


async def test_the_process_ends_with_a_bot_that_is_killed(music: Path) -> None:
    with program([sys.executable, "-c", KILLED, music], stdout=subprocess.PIPE) as bot:
        assert bot.stdout
        assert await asyncio.to_thread(bot.stdout.readline) == "made\n"
        (child,) = children(bot.pid)
        bot.kill()

    async def ended() -> bool:
        return not alive(child)

    await until(ended)


async def test_a_copy_whose_making_is_killed_leaves_no_file(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("play")
        job = await w.ended(1, Status.DELIVERED)
        (take,) = await takes.of(w.database, 1)

        async def copied() -> None:
            async with w.bot.services.copies.copy(job, take, Format.MP3):
                pytest.fail("a copy was made")

        async with w.bot.services.copies.copy(job, take, Format.FLAC):
            pass  # it starts its process
        os.kill(await process(), signal.SIGSTOP)
        copying = asyncio.create_task(copied())

        async def begun() -> bool:
            return any((plan.folder / "copies").glob("*"))

        await until(begun)
        await killed_twice()
        with pytest.raises(OSError, match="was killed"):
            await copying
        assert not list((plan.folder / "copies").glob("*"))


async def test_a_member_saves_one_at_a_time_and_a_studio_a_few(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("play")
        chooser = await w.alice.click(await w.result(), label="Save as")
        assert chooser.response
        message = chooser.response.message
        async with w.bot.services.copies.saving(w.alice.id):
            assert "still being made" in told(await w.alice.select(message, ["1:mp3"]))
            again = await w.alice.slash(w.music, "resend", number=1, format="mp3")
            assert "still being made" in told(again)
        assert await attached(await w.alice.select(message, ["1:mp3"]))
        chooser = await w.alice.click(await w.result(), label="Save as")
        message = answered(chooser).message
        async with (
            w.bot.services.copies.saving(1),
            w.bot.services.copies.saving(2),
            w.bot.services.copies.saving(3),
            w.bot.services.copies.saving(4),
            w.bot.services.copies.saving(5),
        ):
            assert "Too many members are saving" in told(await w.alice.select(message, ["1:mp3"]))


async def test_who_would_wait_for_longer_than_discord_is_told(
    plan: Plan, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.retention.copies.LONGEST_SAVING", 0.0)
    async with world(plan) as w:
        await w.generate("play")
        chooser = await w.alice.click(await w.result(), label="Save as")
        assert chooser.response
        saved = await w.alice.select(chooser.response.message, ["1:mp3"])
        said = [each.content for each in saved.followups]
        assert ["too busy to make that" in each for each in said] == [True]
        assert await choices(chooser) == ["WAV", "FLAC", "MP3", "OGG"], "it is asked again"
