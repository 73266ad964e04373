"""The bot's side of the engine: start the child, route its reports, notice when it is lost."""

import asyncio
import codecs
import logging
import os
import signal
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress

from bot.engine.cards import ModelCard, card
from bot.engine.messages import (
    Alive,
    Cancel,
    Cancelled,
    Command,
    Confirmation,
    Done,
    Failed,
    Finish,
    InterimReport,
    Loaded,
    Loading,
    Previewed,
    Progress,
    ProtocolError,
    Ready,
    Render,
    RenderReport,
    Report,
    Took,
    encode,
    report,
)
from bot.errors import EngineError, JobError, OperatorError
from bot.values import Fault

log = logging.getLogger(__name__)

LONGEST_MESSAGE_LINE = 65536

LONGEST_LAST_WORDS = 1000
"""How many characters of a child's own words are quoted."""


class Mailbox:
    """The child's reports on one render; unread progress is replaced by newer progress."""

    def __init__(self, order: Render, models: tuple[str, ...]) -> None:
        """Expect what an engine with these models may report on an order."""
        self.ended = False
        """Whether the last report has arrived."""
        self._models = models
        self._model = order.model
        self._due: set[object] = {Loading, *(part.number for part in order.parts)}
        self._due.update(Previewed for part in order.parts if part.preview)
        self._reports: deque[RenderReport] = deque()
        self._arrived = asyncio.Event()

    def put(self, report: RenderReport) -> None:
        """Keep a report for the reader; raise EngineError for one that cannot be true."""
        if self.ended:
            return
        self._check(report)
        self.ended = isinstance(report, Done | Failed | Cancelled)
        if self._reports and isinstance(self._reports[-1], Progress):
            self._reports.pop()
        self._reports.append(report)
        self._arrived.set()

    def _check(self, report: RenderReport) -> None:
        match report:
            case Took(number=number):
                self._take(number, f"take {number}")
            case Previewed():
                self._take(Previewed, "a preview")
            case Loading(model=self._model):
                self._take(Loading, "that it loads a model")
                self._due.add(Loaded)
            case Loaded(model=self._model, models=models) if self._model in models:
                self._take(Loaded, "that it loaded a model")
                if unknown := set(models) - set(self._models):
                    raise EngineError(f"announced {_quoted(unknown)}, which it does not have")
            case Loading(model=model) | Loaded(model=model):
                raise EngineError(f"announced {model} for a render with {self._model}")

    def _take(self, due: object, what: str) -> None:
        if due not in self._due:
            raise EngineError(f"announced {what}, which was not due")
        self._due.remove(due)

    async def get(self) -> RenderReport:
        """Return the oldest report, waiting for one if need be."""
        await self._arrived.wait()
        report = self._reports.popleft()
        if not self._reports:
            self._arrived.clear()
        return report


class EngineProcess:
    """A running child process that is ready to render."""

    def __init__(
        self,
        process: asyncio.subprocess.Process,
        silence: float,
        loading: float,
        cards: Sequence[ModelCard] = (),
    ) -> None:
        """Listen to a child, quiet at work for `silence` seconds at most, else `loading`.

        Its models must be what their `cards` say, or those by their names alone.
        """
        assert process.stdin
        assert process.stdout
        assert process.stderr
        self._process, self._stdin = process, process.stdin
        self._stdout, self._stderr = process.stdout, process.stderr
        self._silence, self._loading = silence, loading
        self._patience = silence
        self._models: tuple[str, ...] = ()
        self._cards = {card.name: card for card in cards}
        self._mailboxes: dict[int, Mailbox] = {}
        self._last_words = ""
        self._listening = asyncio.create_task(self._listen())

    @property
    def pid(self) -> int:
        """The child's process id."""
        return self._process.pid

    async def render(self, order: Render) -> AsyncGenerator[InterimReport, None]:
        """Yield what becomes of an order until it is done or cancelled.

        Raises JobError if this job cannot be rendered. The child's death is raised by `attend`.
        """
        mailbox, wrong = Mailbox(order, self._models), None
        self._mailboxes[order.id] = mailbox
        try:
            self._send(order)
            while not isinstance(said := await mailbox.get(), Done | Cancelled):
                if isinstance(said, Failed):
                    raise JobError(_quoted(said.reason), said.fault)
                if wrong:  # it may still write files: nothing is told before it has ended
                    continue
                if isinstance(said, Loaded) and (wrong := self._wrong(said.model, said.confirms)):
                    self.cancel(order.id)
                yield said
            if wrong:
                raise JobError(wrong)
        finally:
            del self._mailboxes[order.id]

    def cancel(self, job: int) -> None:
        """Stop a render and keep nothing."""
        self._send(Cancel(id=job))

    def finish(self, job: int) -> None:
        """Stop a render early and keep the music made so far, as soon as there is some."""
        self._send(Finish(id=job))

    async def ready(self) -> Ready:
        """Wait until the child has loaded; raise OperatorError if it says that it cannot."""
        try:
            async with asyncio.timeout(self._loading):
                said = await self._hear()
        except TimeoutError:
            raise EngineError(f"was not ready after {self._loading:g} s") from None
        match said:
            case Ready() as ready:
                if wrong := self._wrong(ready.models[0], ready.confirms):
                    raise OperatorError(wrong)
                self._models = ready.models
                return ready
            case Failed(fault=Fault.LOAD, reason=reason):
                raise OperatorError(_quoted(reason))
            case _:
                raise EngineError(f"said {_quoted(said)} before it was ready")

    async def attend(self) -> None:
        """Route reports until the child dies or falls silent, then raise EngineError."""
        while True:
            try:
                async with asyncio.timeout(self._patience):
                    said = await self._hear()
            except TimeoutError:
                # One that has nothing to do, or has said all, may be silent for ever.
                if any(not mailbox.ended for mailbox in self._mailboxes.values()):
                    raise EngineError(f"said nothing for {self._patience:g} s") from None
            else:
                if not isinstance(said, Alive):  # which says nothing of what is being loaded
                    self._patience = self._loading if isinstance(said, Loading) else self._silence
                    self._route(said)
            await asyncio.sleep(0)  # a flood of lines must not starve the event loop

    async def end(self) -> None:
        """Kill the child and wait until nothing of it is left."""
        with suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._listening.cancel()
        await asyncio.gather(self._listening, return_exceptions=True)
        await self._process.communicate()

    def _wrong(self, model: str, confirms: Confirmation) -> str | None:
        known = self._cards.get(model) or card(model)
        differ = known.differences(confirms.sample_rate, confirms.channels, confirms.options)
        if not differ:
            return None
        return (
            f"The model {model} is not what is known of it: {'; '.join(differ)}. Its weights may "
            "be others than its name says."
        )

    def _send(self, message: Command) -> None:
        # A dead child closes the pipe; `attend` reports that better than a broken pipe does.
        with suppress(OSError, RuntimeError):
            self._stdin.write(encode(message))

    def _route(self, said: Ready | RenderReport) -> None:
        if isinstance(said, Ready) or (isinstance(said, Failed) and said.fault is Fault.LOAD):
            raise EngineError(f"said {_quoted(said)} a second time")
        if mailbox := self._mailboxes.get(said.id):
            mailbox.put(said)

    async def _hear(self) -> Report:
        try:
            line = await self._stdout.readuntil()
            return report(line)
        except asyncio.IncompleteReadError:
            raise EngineError(await self._death()) from None
        except (ProtocolError, asyncio.LimitOverrunError) as error:
            raise EngineError(f"sent garbage ({error})") from error

    async def _listen(self) -> None:
        decoder, rest = codecs.getincrementaldecoder("utf-8")(errors="replace"), ""
        # Not line by line: a progress bar of a library is one line, longer than any limit.
        while chunk := await self._stderr.read(4096):
            *lines, rest = (rest + decoder.decode(chunk)).replace("\r", "\n").split("\n")
            self._note(*lines)
            if len(rest) > LONGEST_MESSAGE_LINE:
                self._note(rest)
                rest = ""
        self._note(rest)

    def _note(self, *lines: str) -> None:
        for line in filter(str.strip, lines):
            log.debug("engine: %s", line)
            self._last_words = _quoted(line.strip())

    async def _death(self) -> str:
        code = await self._process.wait()
        # What it said last may still be in the pipe, which a child of its own may hold open.
        await asyncio.wait({self._listening}, timeout=1)
        return f"ended with code {code}; its last words: {self._last_words or 'none'}"


def _quoted(words: object) -> str:
    """Return what a child said, cut to what a line or a message holds."""
    text = str(words)
    return text if len(text) <= LONGEST_LAST_WORDS else f"{text[:LONGEST_LAST_WORDS]}…"


@asynccontextmanager
async def start(
    command: Sequence[str],
    environment: Mapping[str, str],
    silence: float = 120,
    loading: float = 1800,
    umask: int = -1,
    cards: Sequence[ModelCard] = (),
) -> AsyncIterator[EngineProcess]:
    """Run the child for as long as the block.

    It may take `loading` seconds until it is ready and be quiet at work for `silence` seconds.
    `umask` takes permissions from the files that it makes; -1 leaves this process's. `cards` say
    what its models must turn out to be.
    """
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=LONGEST_MESSAGE_LINE,
        env=dict(environment),
        umask=umask,
        start_new_session=True,  # a Ctrl-C in the terminal is for the bot to handle
    )
    engine = EngineProcess(process, silence, loading, cards)
    try:
        yield engine
    finally:
        await asyncio.shield(engine.end())  # to its end, even if whoever runs it is cancelled
