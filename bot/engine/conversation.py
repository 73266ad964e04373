"""What the bot and an engine say to each other, whatever the way between them."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Iterator, Sequence
from typing import Protocol

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

LONGEST_LAST_WORDS = 1000
"""How many characters of a child's own words are quoted."""


class Transport(Protocol):
    """The way to an engine's process and back, a line at a time."""

    @property
    def pid(self) -> int | None:
        """The process id, None if it is of another machine."""

    def send(self, line: bytes) -> None:
        """Send a line, without waiting; what is sent to a process that is gone is lost."""

    async def hear(self) -> bytes:
        """Return the next line, whole; raise EngineError once none will come, and say why."""


class Mailbox:
    """The child's reports on one render; unread progress is replaced by newer progress."""

    def __init__(self, order: Render, models: tuple[str, ...]) -> None:
        """Expect what an engine with these models may report on an order."""
        self.ended = False
        """Whether the last report has arrived."""
        self.due: float | None = None
        """When that must be, by the event loop's clock: its render was cancelled."""
        self._stepped = False
        """Whether the step is known in which the cancel found the engine."""
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

    def wait(self, until: float, *, step: bool = False) -> None:
        """Let a cancelled render end later: its engine is busy until then.

        A cancel is heeded after the `step` in which it finds the engine, and before another.
        """
        if self.due is not None and not (step and self._stepped):
            self.due, self._stepped = max(self.due, until), self._stepped or step

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
                    raise EngineError(f"announced {quoted(unknown)}, which it does not have")
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


class Conversation:
    """A running engine, as the bot hears of it by a transport."""

    def __init__(
        self,
        transport: Transport,
        silence: float = 120,
        loading: float = 1800,
        cards: Sequence[ModelCard] = (),
    ) -> None:
        """Listen to an engine, quiet at work for `silence` seconds at most, else `loading`.

        Its models must be what their `cards` say, or those by their names alone.
        """
        self._transport = transport
        self._silence, self._loading = silence, loading
        self._patience = silence
        self._models: tuple[str, ...] = ()
        self._cards = {card.name: card for card in cards}
        self._mailboxes: dict[int, Mailbox] = {}

    @property
    def pid(self) -> int | None:
        """The process id, None if it is of another machine."""
        return self._transport.pid

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
                    raise JobError(quoted(said.reason), said.fault)
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
        """Stop a render and keep nothing; an engine that goes on with it is soon lost."""
        if (mailbox := self._mailboxes.get(job)) and mailbox.due is None:
            mailbox.due = _now() + self._patience
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
                raise OperatorError(quoted(reason))
            case _:
                raise EngineError(f"said {quoted(said)} before it was ready")

    async def attend(self) -> None:
        """Route reports until the child dies or falls silent, then raise EngineError.

        So is one lost that goes on saying something, but of a render that was cancelled.
        """
        while True:
            silent = _now() + self._patience
            try:
                async with asyncio.timeout_at(min((silent, *self._dues()))):
                    said = await self._hear()
            except TimeoutError:
                # One that has nothing to do, or has said all, may be silent for ever.
                if _now() >= silent and not all(box.ended for box in self._mailboxes.values()):
                    raise EngineError(f"said nothing for {self._patience:g} s") from None
            else:
                self._heed(said)
            if any(due <= _now() for due in self._dues()):
                raise EngineError("did not end a render that was cancelled")
            await asyncio.sleep(0)  # a flood of lines must not starve the event loop

    def _heed(self, said: Report) -> None:
        """Route a report, and know from it for how long the engine may be busy now."""
        if isinstance(said, Alive):  # which says nothing of what is being loaded
            step = min(said.left, self._loading)
            for mailbox in self._mailboxes.values():
                mailbox.wait(_now() + step + self._silence, step=True)
            return
        self._patience = self._loading if isinstance(said, Loading) else self._silence
        self._route(said)
        if isinstance(said, Loading):
            for mailbox in self._mailboxes.values():
                mailbox.wait(_now() + self._loading)

    def _dues(self) -> Iterator[float]:
        for mailbox in self._mailboxes.values():
            if mailbox.due is not None and not mailbox.ended:
                yield mailbox.due

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
        self._transport.send(encode(message))

    def _route(self, said: Ready | RenderReport) -> None:
        if isinstance(said, Ready) or (isinstance(said, Failed) and said.fault is Fault.LOAD):
            raise EngineError(f"said {quoted(said)} a second time")
        if mailbox := self._mailboxes.get(said.id):
            mailbox.put(said)

    async def _hear(self) -> Report:
        try:
            return report(await self._transport.hear())
        except ProtocolError as error:
            raise EngineError(f"sent garbage ({error})") from error


def _now() -> float:
    return asyncio.get_running_loop().time()


def quoted(words: object) -> str:
    """Return what a child said, cut to what a line or a message holds."""
    text = str(words)
    return text if len(text) <= LONGEST_LAST_WORDS else f"{text[:LONGEST_LAST_WORDS]}…"
