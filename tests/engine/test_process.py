"""The engine's process as the bot sees it, with the real worker and the sketch engine in it."""

import asyncio
import io
import os
import queue
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import aclosing, asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from msgspec.structs import replace

from bot.engine import messages, process, worker
from bot.engine.children import Way, start
from bot.engine.contract import Idle, Rendering
from bot.engine.conversation import Conversation
from bot.engine.environment import engine_environment
from bot.engine.messages import Done, Part, Progress, Ready, Render, Took
from bot.engine.sketch.engine import Sketch
from bot.errors import EngineError, JobError
from tests.support.clock import until
from tests.support.engines import of, seconds_of, steps
from tests.support.processes import Child, alive, program
from tests.support.scripted_child import SCRIPTED

T = TypeVar("T")

SKETCH = (sys.executable, "-m", "bot.engine.worker", "--engine", "sketch", "--pace")


def order(folder: Path, number: int = 1, seconds: int = 8, takes: int = 1) -> Render:
    return Render(
        id=number,
        prompt="mozart fantasia",
        seconds=seconds,
        model="sketch",
        parts=tuple(
            Part(
                number=take,
                seed=take,
                audio=str(folder / f"{number}-{take}.wav"),
                codes=str(folder / f"{number}-{take}.npy"),
            )
            for take in range(1, takes + 1)
        ),
        options={},
    )


@asynccontextmanager
async def engine(pace: float = 0) -> AsyncIterator[Conversation]:
    async with start(Way(command=[*SKETCH, str(pace)]), engine_environment()) as running:
        ready = await running.ready()
        assert (ready.models, ready.slots) == (("sketch",), 1)
        attending = asyncio.create_task(running.attend())
        yield running
        attending.cancel()


async def test_takes_arrive_in_order_with_their_files(tmp_path: Path) -> None:
    async with engine() as running, aclosing(running.render(order(tmp_path, takes=2))) as reports:
        said = [report async for report in reports]
    assert [report.number for report in said if isinstance(report, Took)] == [1, 2]
    assert seconds_of(tmp_path / "1-1.wav") == seconds_of(tmp_path / "1-2.wav") == 8


async def test_a_cancel_frees_the_engine_for_the_next(tmp_path: Path) -> None:
    async with engine(pace=60) as running:
        async with aclosing(running.render(order(tmp_path))) as reports:
            async for _ in reports:
                running.cancel(1)
        async with aclosing(running.render(order(tmp_path, number=2))) as reports:
            assert isinstance(await anext(reports), Progress)
            running.cancel(2)
    assert list(tmp_path.iterdir()) == []


async def test_a_waiting_render_is_cancelled_too(tmp_path: Path) -> None:
    async with engine(pace=60) as running:
        first = running.render(order(tmp_path))
        await anext(first)
        second = asyncio.create_task(anext(running.render(order(tmp_path, number=2)), None))
        await asyncio.sleep(0)
        running.cancel(2)
        assert await second is None
        running.cancel(1)
        assert [report async for report in first if isinstance(report, Took)] == []


async def test_finish_keeps_what_exists(tmp_path: Path) -> None:
    async with engine(pace=0.05) as running:
        said = []
        async with aclosing(running.render(order(tmp_path, seconds=60, takes=2))) as reports:
            async for report in reports:
                said.append(report)
                if isinstance(report, Progress) and report.done >= 3:
                    running.finish(1)
    took, _ = [report for report in said if isinstance(report, Took)]
    assert 1 <= took.seconds < 60
    assert seconds_of(tmp_path / "1-1.wav") == pytest.approx(took.seconds, abs=0.001)


async def test_a_finish_that_comes_too_early_waits_for_music(tmp_path: Path) -> None:
    async with engine(pace=0.05) as running:
        first = running.render(order(tmp_path))
        await anext(first)
        second = running.render(order(tmp_path, number=2, seconds=60, takes=2))
        ended = asyncio.create_task(_all(second))
        await asyncio.sleep(0)
        running.finish(2)
        assert [report.seconds for report in await _all(first) if isinstance(report, Took)] == [8]
        took, _ = [report for report in await ended if isinstance(report, Took)]
    assert 1 <= took.seconds < 60


async def _all(reports: AsyncIterator[T]) -> list[T]:
    return [report async for report in reports]


def test_the_child_ends_with_the_bot_even_while_it_works(tmp_path: Path) -> None:
    pipes = dict.fromkeys(("stdin", "stdout"), subprocess.PIPE)
    with program([*SKETCH, "60"], **pipes, stderr=subprocess.DEVNULL) as child:
        assert child.stdin
        assert child.stdout
        assert isinstance(messages.report(child.stdout.readline().encode()), Ready)
        child.stdin.write(messages.encode(order(tmp_path)).decode())
        child.stdin.flush()
        assert isinstance(messages.report(child.stdout.readline().encode()), Progress)
        child.stdin.close()
        assert child.wait() == 0


def test_a_child_that_cannot_read_an_order_ends_with_a_reason() -> None:
    child = subprocess.run([*SKETCH, "0"], input=b"no order\n", capture_output=True, check=False)
    assert child.returncode == 1
    assert b"cannot read what the bot sent" in child.stderr


@pytest.mark.parametrize(
    ("words", "last"),
    [
        ("x" * 3000 + "\\n" + "y" * 2000 + " the end\\n", "y" * 1000 + "…"),
        ("first" + "\\n" * 5000 + "not enough ü memory\\n \\n", "not enough ü memory"),
        ("99%" + "\\r" * 4095 + "100%\\rno newline at the end", "no newline at the end"),
    ],
)
async def test_the_last_words_of_a_child_are_a_whole_line(words: str, last: str) -> None:
    command = [sys.executable, "-c", f"import sys; sys.stderr.write('{words}'); sys.exit(7)"]
    async with start(Way(command=command), engine_environment()) as running:
        with pytest.raises(EngineError) as lost:
            await running.ready()
    assert str(lost.value) == f"ended with code 7; its last words: {last}"


async def test_a_child_that_has_said_all_may_be_silent(tmp_path: Path) -> None:
    """However long its words are waited for to be written down, as by a database that is locked."""
    async with start(Way(command=SCRIPTED, silence=1), engine_environment()) as running:
        await running.ready()
        attending = asyncio.create_task(running.attend())
        reports = running.render(order(tmp_path, seconds=2))
        await anext(reports)
        await asyncio.sleep(2.5)
        assert not attending.done()
        assert isinstance((await _all(reports))[-1], Took)
        attending.cancel()


async def test_a_child_that_shows_signs_of_life_is_lost_only_once_they_end(tmp_path: Path) -> None:
    async with start(Way(command=SCRIPTED, silence=2), engine_environment()) as running:
        await running.ready()
        attending = asyncio.create_task(running.attend())
        begun = time.monotonic()
        asked = replace(order(tmp_path), prompt="expire")
        rendering = asyncio.create_task(_all(running.render(asked)))
        with pytest.raises(EngineError, match="said nothing for 2 s"):
            await attending
        assert time.monotonic() - begun > 4
        rendering.cancel()


async def test_a_child_that_never_gets_ready_is_given_up() -> None:
    async with start(
        Way(command=[*SCRIPTED, "mute"], loading=0.1), engine_environment()
    ) as running:
        with pytest.raises(EngineError, match=r"was not ready after 0\.1 s"):
            await running.ready()


@pytest.mark.parametrize(
    ("then", "lost"), [("exit 7", "ended with code 7"), ("exec sleep 60 >&-", "closed its pipe")]
)
async def test_what_a_child_leaves_behind_keeps_nobody_from_starting_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, then: str, lost: str
) -> None:
    """A helper that no signal to the child's group reaches, and that holds its pipe."""
    for patience in ("DEATH_PATIENCE", "END_PATIENCE"):
        monkeypatch.setattr(process, patience, 0.5)
    note = tmp_path / "helper"
    helper = f"setsid sh -c 'echo $$ > {note}.new; mv {note}.new {note}; exec sleep 60' > /dev/null"
    command = ["sh", "-c", f"{helper} & while ! test -e {note}; do sleep 0.01; done; {then}"]
    async with start(Way(command=command), engine_environment()) as running:
        with pytest.raises(EngineError, match=lost):
            await running.ready()
    left = Child(note.read_text())
    assert alive(left)
    assert not alive(running.pid or 0)
    os.kill(left, signal.SIGKILL)
    await until(lambda: asyncio.sleep(0.01, not alive(left)))
    await asyncio.sleep(0.1)  # the event loop closes the pipe


class Over(Exception):
    """The end of a worker, which has none."""


LAST = 99


class Steady:
    """An engine that steps once a millisecond, until it comes to the last render."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now, self.cancelled_at = 100.0, 0
        self.inbox = queue.Queue[messages.Command]()
        monkeypatch.setattr(time, "monotonic", lambda: self.now)

    def ready(self) -> Ready:
        return Sketch().ready()

    def slots(self, _: str) -> int:
        return 2

    def expected(self) -> float:
        return 0.0

    def step(self) -> None:
        self.now += 0.001

    def render(self, order: Render, finishing: Callable[[], bool]) -> Rendering:
        del finishing
        if order.id == LAST:
            raise Over
        for done in range(1, 1050):
            if done == self.cancelled_at:
                self.inbox.put(messages.Cancel(id=1))
            yield Progress(id=order.id, done=done, total=1050)
        yield Took(id=order.id, number=1, seconds=order.seconds)
        yield Progress(id=order.id, done=1050, total=1050)
        if order.id == 2:
            raise JobError("The engine has no violins.")


def said(engine: Steady, *commands: messages.Command) -> list[messages.Report]:
    """Return what a worker says of renders."""
    out = io.BytesIO()
    for command in commands:
        engine.inbox.put(command)
    with pytest.raises(Over):
        worker.Worker(engine, engine.inbox, out).run()
    return [messages.report(line) for line in out.getvalue().splitlines()][1:]


def test_progress_is_said_ten_times_a_second_and_the_last_of_it_before_what_follows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    orders = [order(tmp_path, number) for number in (1, 2, LAST)]
    reports = said(Steady(monkeypatch), *orders)
    for asked, end in zip(orders, (Done, messages.Failed), strict=False):
        told = of(reports, asked)
        assert steps(told) == [(done, 1050) for done in (*range(1, 1050, 100), 1049, 1050)]
        assert told[-3] == Took(id=asked.id, number=1, seconds=asked.seconds)
        assert isinstance(told[-1], end)


def test_progress_that_was_kept_back_is_said_before_a_render_is_cancelled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = Steady(monkeypatch)
    engine.cancelled_at = 50
    orders = [order(tmp_path, number) for number in (1, 2, LAST)]
    told = of(said(engine, *orders), orders[0])
    assert [done for done, _ in steps(told)] == [1, 50]
    assert told[-1] == messages.Cancelled(id=1)


class Naps(queue.Queue[messages.Command]):
    """Notes for how long commands are waited for, and does not wait."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds: list[float] = []

    def get(self, block: bool = True, timeout: float | None = None) -> messages.Command:
        if timeout:
            self.seconds.append(timeout)
        return super().get(block, timeout=0)


@pytest.mark.parametrize(("waiting", "naps"), [({1, 2}, 5), ({1}, 0)])
def test_a_worker_naps_while_all_of_its_renders_wait_and_only_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, waiting: set[int], naps: int
) -> None:
    engine, steady = Steady(monkeypatch), Steady.render

    def render(self: Steady, order: Render, finishing: Callable[[], bool]) -> Rendering:
        if order.id in waiting:
            yield from [Idle()] * 5
        else:
            yield from steady(self, order, finishing)

    monkeypatch.setattr(Steady, "render", render)
    engine.inbox = inbox = Naps()
    said(engine, *(order(tmp_path, number) for number in (1, 2, LAST)))
    assert inbox.seconds == [worker.IDLE_PAUSE] * naps


def test_what_libraries_print_does_not_reach_the_channel() -> None:
    script = (
        "import os, sys; from bot.engine import worker; real = worker.load\n"
        "def load(options):\n"
        "    print('noise', flush=True); os.system('echo more noise'); return real(options)\n"
        "worker.load = load; worker.main(['--engine', 'sketch'])"
    )
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with program([sys.executable, "-c", script], **pipes) as child:
        assert child.stdout
        assert isinstance(messages.report(child.stdout.readline().encode()), Ready)
        rest, noise = child.communicate()
    assert rest == ""
    assert noise.split() == ["noise", "more", "noise"]


def test_the_token_is_kept_from_the_child(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DISCORD_TOKEN", "secret")
    assert "DISCORD_TOKEN" not in engine_environment()
    assert engine_environment()["PATH"] == os.environ["PATH"]


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b"{}", b"[]", b"\xff", b"null", b"[" * 5000, b'{"tag": "nonsense", "id": 1}'),
        *(b'{"tag": "done"}', b'{"tag": "done", "id": "1"}', b'{"tag": "done", "id": 1, "x": 2}'),
    ],
)
def test_what_is_no_message_is_refused(line: bytes) -> None:
    with pytest.raises(messages.ProtocolError):
        messages.report(line)


def test_every_message_survives_the_channel(tmp_path: Path) -> None:
    sent = order(tmp_path, takes=3)
    assert messages.command(messages.encode(sent)) == sent
    assert messages.report(messages.encode(Done(id=3))) == Done(id=3)
