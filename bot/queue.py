"""Whose turn it is: the rules of fairness over the queue's rows, and what follows from both."""

from collections.abc import AsyncGenerator, Collection, Mapping
from contextlib import aclosing
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bot.rules import fairness, forecast
from bot.rules.fairness import Line, Shares
from bot.tables import backlog, engines, jobs, posts, state, takes
from bot.tables.database import Reader, Transaction
from bot.values import Head, Job

MOST_PASSED = 4
"""How many jobs may overtake one whose model is not loaded, except on an aged turn."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """A waiting job's place from 1 (0: it is running) and when it should be done."""

    place: int
    ends_at: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Opening:
    """What an engine that looks for a job could begin.

    Its `loaded` models are in memory, the slots of the `full` are all taken. Other engines have
    those of `elsewhere` loaded, with a slot free; for the `better` of these, one that has less to
    do, or is faster. What needs a model that is `barred` only others can render.
    """

    engine: str
    loaded: Collection[str] = ()
    full: Collection[str] = ()
    elsewhere: Collection[str] = ()
    better: Collection[str] = ()
    barred: Collection[str] = ()
    too_long: Mapping[str, float] = field(default_factory=dict)

    def is_in_the_way_of(self, head: Head, next_on: Mapping[int, str]) -> bool:
        """Whether a job's model is loaded nowhere at hand, nor here before others are done."""
        if head.model in {*self.loaded, *self.full} or not self.full:
            return False
        return head.id in next_on or head.model not in self.elsewhere

    def has_room(self, model: str) -> bool:
        """Whether a job may begin now, as far as slots go, and is not better begun elsewhere."""
        # Whoever needs another model waits for the full ones, too: it would take their place as
        # soon as they are idle, and those who may pass it would never be there in time.
        free = model not in self.full and (model in self.loaded or not self.full)
        return free and model not in self.better


async def claim(tx: Transaction, opening: Opening, now: datetime) -> Job | None:
    """Start the next job on an engine, if neither that nor the studio is paused.

    While the next one's model is not loaded, others whose model is go first, and another engine
    that has it begins it; while it is one of the full, whose slots are all taken, others whose
    model is not. A job that has seen an engine die renders alone: until it can, nothing else starts
    on the engine that has it next. No more does while there is no room to load the model of one
    whose turn is aged.
    """
    # Read in the claim's own transaction: nothing starts once a pause was answered.
    if await state.paused(tx) is not None or await engines.paused(tx, opening.engine):
        return None
    turn, next_on = await state.turn(tx), await backlog.awaiting(tx)
    aged = fairness.is_aged(turn)
    # Whose model no engine begins now, for none is there that has it or those are paused, has no
    # turn: it would stand until one is back.
    barred = frozenset(opening.barred)
    absent = barred - await engines.able(tx) if barred else barred

    def suits(head: Head) -> bool:
        engine = next_on.get(head.id, opening.engine)
        return head.model not in opening.barred and engine == opening.engine

    whose_turn = foremost = first = at_hand = None
    async with aclosing(_in_turn(tx, now, aged=aged)) as line:
        async for head in line:
            if head.model in absent:
                continue
            whose_turn = whose_turn or head
            if not suits(head):
                continue
            # Paying jobs that only others can render leave this one to those of the idle lane.
            foremost = foremost or head
            if head.idle != foremost.idle:
                break
            if await _is_too_long(tx, opening, head):
                continue
            if aged and head is whose_turn and opening.is_in_the_way_of(head, next_on):
                # Or models that are always in use would keep it from its own for ever.
                await backlog.awaits(tx, head.id, opening.engine)
                return None
            if opening.has_room(head.model):
                first = first or head
                at_hand = head if head.model in opening.loaded else None
                if at_hand or aged:  # which may not be passed
                    break
    if whose_turn is None or first is None:
        return None
    chosen = await _chosen(tx, opening, first, at_hand, aged=aged)
    if chosen is None:
        return None
    # The choice is only a wish: whether the job may start is decided by the UPDATE's own WHERE.
    job = await jobs.start(tx, chosen.id, opening.engine, now)
    if job is None:
        await backlog.awaits(tx, chosen.id, opening.engine, if_alone=True)
        return None
    # Counted only when something started: a refused start overtakes nobody.
    if chosen is not first:
        await jobs.passed(tx, first.id)
    # It stays somebody's turn until a slot of their model is free, on an engine that has it.
    if whose_turn.model not in {*opening.full, *opening.better} and suits(whose_turn):
        await state.count_turn(tx)
    return job


async def _is_too_long(tx: Transaction, opening: Opening, head: Head) -> bool:
    """Whether the engine lacks the memory for a job, and others may not."""
    least = opening.too_long.get(head.model)
    return least is not None and await backlog.length(tx, head.id) >= least


async def _in_turn(tx: Transaction, now: datetime, *, aged: bool) -> AsyncGenerator[Head, None]:
    """Yield waiting jobs as it is their turn, until somebody has seen enough.

    One job of each member and model is enough to choose from: only the oldest can be next.
    """
    # Read bit by bit: a claim should cost no more where many wait.
    if aged:
        for idle in (False, True):
            after = 0
            while older := await backlog.by_age(tx, after, idle=idle):
                for head in older:
                    yield head
                after = older[-1].id
        return
    since, waiting = now - fairness.WINDOW, await backlog.servers(tx)
    shares = await backlog.shares_of_servers(tx, since, now) if waiting else {}
    for idle in (False, True):
        for guilds in fairness.by_share(waiting, shares):
            if heads := await backlog.heads(tx, guilds, idle=idle):
                members = Shares(await backlog.shares(tx, since, now, guilds))
                for head in fairness.ranked(heads, members):
                    yield head


async def _chosen(
    tx: Transaction, opening: Opening, first: Head, at_hand: Head | None, *, aged: bool
) -> Head | None:
    """Return who begins: whose model is `at_hand`, or who is first, or nobody."""
    if first is at_hand:
        return first
    may_be_passed = not aged and await backlog.passed(tx, first.id) < MOST_PASSED
    if at_hand and may_be_passed:
        return at_hand
    return None if first.model in opening.elsewhere else first


async def wait_again(
    tx: Transaction, job: int, now: datetime, *, attempts: int = 1, deaths: int = 0, care: int = 0
) -> bool:
    """Put a running job back into the queue, as if it had made nothing yet.

    This is the only way back: a preview that is still owed is withdrawn with the music that it
    belongs to. A failed try counts as an attempt; later ones are made alone. Returns
    False if it was no longer running; the caller removes the files.
    """
    if not await jobs.queued_again(tx, job, attempts=attempts, deaths=deaths, care=care):
        return False
    # Together with the row: takes that stayed would be charged, and shown, of a render that is
    # done again from its beginning.
    await takes.reset(tx, job)
    await posts.superfluous(tx, job, now)
    return True


async def expected(reader: Reader, now: datetime) -> dict[int, Expected]:
    """Return the running jobs and the next `PLACES_FORECAST` by number, in their order.

    Future requests are not taken into account.
    """
    running, waiting = await backlog.under_way(reader), await backlog.line(reader)
    there = await engines.every(reader)
    shares = Shares(await backlog.shares(reader, now - fairness.WINDOW, now) if waiting else ())
    line, turn = Line(waiting, shares), await state.turn(reader)
    found = {}
    order = forecast.ends(running, line, turn, there)
    for place, (job, left) in enumerate(order, start=1 - len(running)):
        # A place far back costs as much as all before it, and `/queue` is asked often.
        if place > forecast.PLACES_FORECAST:
            break
        ends_at = None if left is None else now + timedelta(seconds=left)
        found[job.id] = Expected(place=max(0, place), ends_at=ends_at)
    return found
