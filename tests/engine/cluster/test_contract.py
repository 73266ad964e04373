"""What an engine promises, wherever it runs: as a child of ours, or on a node of a cluster."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Mapping
from contextlib import AsyncExitStack, aclosing, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from msgspec.structs import replace

from bot import __version__
from bot.engine.children import EngineStart, Way
from bot.engine.children import start as start_here
from bot.engine.cluster import Cluster
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.engine.link import scratch
from bot.engine.messages import InterimReport, Previewed, Progress, Took
from bot.errors import EngineError, JobError
from bot.values import Fault
from tests.support import ray_cluster
from tests.support.clock import until
from tests.support.engines import seconds_of
from tests.support.orders import order
from tests.support.processes import alive
from tests.support.ray_cluster import Nodes
from tests.support.scripted_child import SCRIPTED

SKETCH = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch", "--pace", "0.1")
MUSICGEN = (
    *(sys.executable, "-m", "bot.engine.worker", "--engine", "musicgen", "--some"),
    *("--model", "facebook/musicgen-medium", "--model", "facebook/musicgen-small"),
    *("--device", "cpu", "--precision", "float32"),
)
COMMANDS = {"sketch": SKETCH, "scripted": SCRIPTED, "musicgen": MUSICGEN}
SILENCES = {"sketch": 30.0, "scripted": 2.0, "musicgen": 60.0}
"""Seconds: a real engine has steps, which last on a busy machine."""

SECRET = "a-token-of-discords"

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def nodes(token: None, home: Path) -> Iterator[Nodes]:  # noqa: ARG001  # in the environment
    """A cluster whose nodes were started without the secret."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HF_HOME", str(home))
        with ray_cluster.cluster() as nodes:
            nodes.add(3, engines=1)
            patch.setenv("DISCORD_TOKEN", SECRET)
            yield nodes


@pytest_asyncio.fixture(
    scope="module",
    loop_scope="module",
    params=["sketch", "scripted", "sketch over ray", "scripted over ray"],
)
async def start(request: pytest.FixtureRequest, nodes: Nodes) -> AsyncGenerator[EngineStart, None]:
    """What starts an engine, in each of the ways that there are."""
    kind, _, far = request.param.partition(" ")
    way = Way(command=COMMANDS[kind], silence=SILENCES[kind], umask=0o077)
    if not far:
        yield partial(start_here, way, engine_environment())
        return
    there = Cluster(nodes.address, way)
    async with aclosing(there.engines()) as source:
        yield await the_one(source)


# First, while no link of another test's takes what is there.


async def test_a_node_of_another_fantasia_is_left_out_in_words(
    nodes: Nodes, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    other = shutil.copytree(ray_cluster.ROOT / "bot", tmp_path / "bot") / "__init__.py"
    other.write_text(other.read_text().replace(__version__, "0.0.1"))
    nodes.add(4, engines=1, PYTHONPATH=str(tmp_path))
    nodes.add(5, engines=1, PYTHONPATH=str(tmp_path / "nothing"))
    async with aclosing(Cluster(nodes.address, Way(command=SCRIPTED)).engines()) as source:
        await anext(source)
        sentences = (
            f"127.0.0.4/cpu-0 is left out: it has Fantasia 0.0.1, and the bot has {__version__}.",
            "127.0.0.5/cpu-0 cannot start: ModuleNotFoundError: No module named 'bot'.",
        )
        await until(lambda: asyncio.sleep(0.1, all(each in caplog.text for each in sentences)))
    nodes.kill(4)
    nodes.kill(5)


async def test_each_gpu_of_a_node_has_an_engine_that_sees_it_alone_and_keeps_its_threads(
    nodes: Nodes,
) -> None:
    """Ray would have everything in it use one thread."""
    nodes.add(6, engines=0, gpus=2, OMP_NUM_THREADS="")
    names = {"127.0.0.6/gpu-0", "127.0.0.6/gpu-1"}
    async with aclosing(Cluster(nodes.address, Way(command=SCRIPTED)).engines()) as source:
        async for there in source:
            if names <= {*there}:
                break
        async with AsyncExitStack() as stack:
            started = [await stack.enter_async_context(there[name]()) for name in sorted(names)]
            for engine in started:
                await engine.ready()
            shown = [ray_cluster.environment(each).split("\0") for each in ray_cluster.engines()]
    seen = {pair for each in shown for pair in each if pair.startswith(("CUDA_V", "OMP_N"))}
    assert seen == {"CUDA_VISIBLE_DEVICES=0", "CUDA_VISIBLE_DEVICES=1"}
    nodes.kill(6)


@pytest.mark.parametrize("who", ["actor", "link"])
async def test_whoever_falls_silent_on_the_way_to_an_engine_is_replaced(
    nodes: Nodes, tmp_path: Path, who: str
) -> None:
    """Its connections stay as they were: only the silence tells."""
    there = Cluster(nodes.address, Way(command=SCRIPTED), pause=0.1, silence=10.0)
    async with aclosing(there.engines()) as source:
        start = await the_one(source)
        (silent,) = ray_cluster.actors() if who == "actor" else ray_cluster.links()
        async with start() as engine:
            await engine.ready()
            os.kill(silent, signal.SIGSTOP)
            with pytest.raises(EngineError, match=r"said nothing .*for 10 s"):
                await engine.attend()
        async with running(await the_one(source)) as engine:
            assert isinstance((await said(engine.render(order(tmp_path))))[-1], Took)
        assert not alive(silent)


async def the_one(source: AsyncIterator[Mapping[str, EngineStart]]) -> EngineStart:
    """Wait for the engine that stays."""
    async for engines in source:
        if start := engines.get("127.0.0.3/cpu-0"):
            return start
    raise AssertionError


@asynccontextmanager
async def running(start: EngineStart) -> AsyncIterator[Conversation]:
    """Run an engine; whoever waits for it is woken if it is lost."""
    async with start() as engine, asyncio.TaskGroup() as group:
        ready = await engine.ready()
        assert ready.models in (("sketch",), ("scripted",))
        attending = group.create_task(engine.attend())
        yield engine
        attending.cancel()


async def said(reports: AsyncIterator[InterimReport]) -> list[InterimReport]:
    return [report async for report in reports]


def files(folder: Path) -> set[str]:
    return {path.name for path in (folder / "audio").glob("*")}


BOTH = pytest.mark.parametrize("start", ["scripted", "scripted over ray"], indirect=True)


async def test_takes_come_with_their_files_and_then_a_picture(
    start: EngineStart, tmp_path: Path
) -> None:
    async with running(start) as engine:
        reports = await said(engine.render(order(tmp_path, takes=2)))
    took = [report for report in reports if isinstance(report, Took)]
    assert [(each.number, each.seconds) for each in took] == [(1, 2), (2, 2)]
    assert any(isinstance(report, Progress) for report in reports)
    parts = {f"1-{take}.{kind}" for take in (1, 2) for kind in ("wav", "npy")}
    assert files(tmp_path) == {*parts, "1-picture.png"}
    assert seconds_of(tmp_path / "audio/1-2.wav") == 2
    assert (tmp_path / "audio/1-picture.png").read_bytes().startswith(b"\x89PNG")
    assert {path.stat().st_mode & 0o777 for path in (tmp_path / "audio").iterdir()} == {0o600}


@BOTH
async def test_what_is_announced_is_there_by_then(start: EngineStart, tmp_path: Path) -> None:
    """The beginning of a long piece, and each take, of more than one chunk."""
    async with running(start) as engine:
        async for report in engine.render(order(tmp_path, "through", seconds=150)):
            match report:
                case Previewed():
                    assert seconds_of(tmp_path / "audio/1-1.preview.wav") == 30
                case Took():
                    assert seconds_of(tmp_path / "audio/1-1.wav") == 150
    assert "1-1.preview.wav" in files(tmp_path)


async def test_a_take_goes_on_from_the_codes_of_another(start: EngineStart, tmp_path: Path) -> None:
    async with running(start) as engine:
        await said(engine.render(order(tmp_path)))
        prefix = str(tmp_path / "audio/1-1.npy")
        await said(engine.render(order(tmp_path, number=2, prefix=prefix)))
    assert seconds_of(tmp_path / "audio/2-1.wav") == 4
    assert np.load(tmp_path / "audio/2-1.npy").size > np.load(prefix).size


async def test_a_cancelled_render_leaves_nothing_and_the_next_is_made(
    start: EngineStart, tmp_path: Path
) -> None:
    async with running(start) as engine:
        async with aclosing(engine.render(order(tmp_path, "slow", seconds=120))) as reports:
            assert isinstance(await anext(reports), Progress)
            engine.cancel(1)
            assert {*map(type, await said(reports))} <= {Progress}
        assert files(tmp_path) == set()
        await said(engine.render(order(tmp_path, number=2)))
    assert "2-1.wav" in files(tmp_path)


async def test_a_finished_render_ends_early(start: EngineStart, tmp_path: Path) -> None:
    async with running(start) as engine:
        reports = engine.render(order(tmp_path, "long", seconds=120))
        assert isinstance(await anext(reports), Progress | Previewed)
        await asyncio.sleep(0.3)
        engine.finish(1)
        took = [report for report in await said(reports) if isinstance(report, Took)]
    assert took[0].seconds < 120
    assert seconds_of(tmp_path / "audio/1-1.wav") == pytest.approx(took[0].seconds, abs=0.001)


@pytest.mark.parametrize("start", ["sketch", "sketch over ray", "scripted over ray"], indirect=True)
async def test_a_file_that_cannot_be_saved_fails_its_render_alone(
    start: EngineStart, tmp_path: Path
) -> None:
    (tmp_path / "audio/1-1.wav.part").mkdir(parents=True)  # in the way
    async with running(start) as engine:
        with pytest.raises(JobError, match="The music could not be saved") as refused:
            await said(engine.render(order(tmp_path)))
        assert refused.value.fault is Fault.DISK
        await said(engine.render(order(tmp_path, number=2)))
    assert "2-1.wav" in files(tmp_path)


@BOTH
@pytest.mark.parametrize(
    ("prompt", "lost"),
    [
        ("crash", "ended with code 3; its last words: about to crash"),
        ("kill", "ended with code -9"),
        ("garbage", "sent garbage"),
        ("endless", "sent garbage"),
        ("hang", "said nothing for 2 s"),
        ("deaf", "did not end a render that was cancelled"),
    ],
)
async def test_an_engine_that_is_lost_says_why_and_another_starts(
    start: EngineStart, tmp_path: Path, prompt: str, lost: str
) -> None:
    async with start() as engine:
        await engine.ready()
        rendering = asyncio.create_task(said(engine.render(order(tmp_path, prompt))))
        await asyncio.sleep(0)
        engine.cancel(1)
        with pytest.raises(EngineError, match=lost):
            await engine.attend()
        rendering.cancel()
    async with running(start) as engine:
        assert isinstance((await said(engine.render(order(tmp_path))))[-1], Took)


@pytest.mark.parametrize("start", ["scripted over ray"], indirect=True)
async def test_one_that_cannot_be_handed_an_order_says_why_at_once_and_another_starts(
    start: EngineStart, tmp_path: Path
) -> None:
    """Its node's disk is full, or somebody tidied up there; the engine itself knows of nothing."""
    async with start() as engine:
        await engine.ready()
        for folder in ray_cluster.opened(scratch.FOLDER_PREFIX):
            shutil.rmtree(folder)
        rendering = asyncio.create_task(said(engine.render(order(tmp_path))))
        with pytest.raises(EngineError, match=r"cannot be told anything .*No such file"):
            await engine.attend()
        rendering.cancel()
    async with running(start) as engine:
        assert isinstance((await said(engine.render(order(tmp_path))))[-1], Took)


@pytest.mark.parametrize("start", ["scripted over ray"], indirect=True)
async def test_what_an_actor_ran_that_dies_is_over_and_ray_begins_it_on_no_other(
    start: EngineStart,
) -> None:
    async with start() as engine:
        await engine.ready()
        (before,) = ray_cluster.engines()
        attending = asyncio.create_task(engine.attend())
        for actor in ray_cluster.actors():
            ray_cluster.kill(actor)

        async def over() -> bool:
            await asyncio.sleep(0.1)
            return attending.done() or bool({*ray_cluster.engines()} - {before})

        await until(over)
        assert {*ray_cluster.engines()} <= {before}
        with pytest.raises(EngineError, match=r"cannot be reached on 127\.0\.0\.3"):
            await attending

    async def another_starts() -> bool:
        with suppress(EngineError):  # while the actor starts again
            async with start() as engine:
                return bool(await engine.ready())
        await asyncio.sleep(0.1)
        return False

    await until(another_starts)


@BOTH
async def test_one_that_is_ended_at_once_leaves_the_way_open(
    start: EngineStart, caplog: pytest.LogCaptureFixture
) -> None:
    for _ in range(3):
        async with start():
            pass
    async with running(start):
        assert caplog.text == ""


@BOTH
async def test_nothing_is_written_once_it_has_ended(start: EngineStart, tmp_path: Path) -> None:
    """What it rendered may be rendered elsewhere by then."""
    async with running(start) as engine:
        rendering = asyncio.create_task(said(engine.render(order(tmp_path, takes=5, seconds=120))))
        await until(lambda: asyncio.sleep(0, files(tmp_path)))
    rendering.cancel()
    before = files(tmp_path)
    await asyncio.sleep(0.5)
    assert files(tmp_path) == before


@BOTH
@pytest.mark.parametrize("how", ["a folder", "a pipe", "a link"])
async def test_nothing_but_a_file_of_its_own_comes_from_an_engine(
    start: EngineStart, tmp_path: Path, how: str
) -> None:
    async with running(start) as engine:
        rendering = engine.render(order(tmp_path, f"lies {how}"))
        assert isinstance(await anext(rendering), Took)
    music = tmp_path / "audio/1-1.wav"
    assert music.is_symlink() or not music.is_file()


async def test_nothing_is_left_of_one(start: EngineStart, tmp_path: Path) -> None:
    async with running(start) as engine:
        rendering = asyncio.create_task(said(engine.render(order(tmp_path, "slow", seconds=120))))
        await asyncio.sleep(0.3)
        processes = [engine.pid] if engine.pid else ray_cluster.engines()
        folders = [] if engine.pid else ray_cluster.opened(scratch.FOLDER_PREFIX)
        assert len(processes) == 1
        assert len(folders) == len(ray_cluster.engines())
    rendering.cancel()
    # At once where it is a child; over a cluster it is only told to end, if the node is busy.
    await until(lambda: asyncio.sleep(0.1, not any(map(alive, processes))))
    await until(lambda: asyncio.sleep(0.1, not any(folder.exists() for folder in folders)))


@pytest.mark.parametrize("start", ["scripted over ray"], indirect=True)
async def test_a_node_knows_no_secret_of_discords(start: EngineStart) -> None:
    async with running(start):
        links = ray_cluster.links()
        (engine,) = ray_cluster.engines()
        for each in (*links, *ray_cluster.actors(), engine):
            assert SECRET not in ray_cluster.environment(each)
        assert len(links) == len(ray_cluster.actors()) == 1
        assert ray_cluster.TOKEN not in ray_cluster.environment(engine)


@pytest.mark.parametrize("start", ["musicgen over ray"], indirect=True)
async def test_musicgen_sounds_over_ray_as_it_does_here(start: EngineStart, tmp_path: Path) -> None:
    """To the byte; and of the models an engine has those that are on its machine."""
    near = partial(start_here, Way(command=MUSICGEN), engine_environment())
    asked = replace(order(tmp_path), model="small")
    music = []
    for each in (start, near):
        async with each() as engine:
            ready = await engine.ready()
            assert (ready.models, ready.unfit) == (("small", "medium"), ("medium",))
            attending = asyncio.create_task(engine.attend())
            assert isinstance((await said(engine.render(asked)))[-1], Took)
            attending.cancel()
        music.append((tmp_path / "audio/1-1.wav").read_bytes())
    assert music[0] == music[1]
