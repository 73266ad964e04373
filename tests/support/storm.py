"""A storm: members, admins, Discord, the engine and the clock at random, on the real bot.

A seed gives the same acts in the same order; what they meet depends on how quick the machine is.
"""

import asyncio
import contextlib
import os
import random
import re
import signal
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator
from datetime import timedelta
from functools import partial
from typing import Any

import simcord
from simcord.results import to_discord_message

from bot.app import Plan
from bot.errors import Refusal
from bot.tables import engines
from bot.values import NOBODY, EngineState, Keep
from tests.support.clock import until
from tests.support.deliveries import lost_answers
from tests.support.processes import alive, children
from tests.support.promises_kept import Rows, broken_at_last, broken_meanwhile
from tests.support.shown import answered
from tests.support.storm_clock import StormClock
from tests.support.studio import member
from tests.support.world import World

Act = Callable[["Storm"], Awaitable[None]]

PROMPTS = (
    *("play", "play", "play", "draw", "through", "long", "long", "long kill"),
    *("crash once", "kill once", "garbage once", "nofile once"),
    *("fail", "hungry", "glutton", "linger"),
)

PLACES = ("/channels/*/messages", "/webhooks/*")

LENGTHS = {"through": 40, "long": 40, "long kill": 40, "hungry": 110}
"""Seconds: previews are of long pieces, and what was too large once is refused from then on."""


class Storm:
    """What may happen, each by a method's name, and what must be so all the same."""

    def __init__(self, w: World, plan: Plan, clock: StormClock, seed: int) -> None:
        self.w, self.plan, self.clock, self.seed = w, plan, clock, seed
        self.dice = random.Random(seed)
        self.met: Counter[str] = Counter()
        w.env.settle_timeout = 120.0  # no measure of speed
        vars(w.env.backend.clock)["now"] = clock.of_discord
        self.rows = Rows.of(plan.folder)
        self._acts = [name for name in vars(Storm) if name.startswith("act_")]

    async def turn(self, number: int) -> None:
        """Let members ask for music and something happen, every kind of thing at first."""
        self.dice = random.Random(f"{self.seed} {number}")
        if self.dice.random() < 0.15:
            self.clock.turn(hours=25)
        for _ in range(self.dice.randint(0, 3)):
            await self._asks()
        in_turn = number < len(self._acts)
        name = self._acts[number] if in_turn else self.dice.choice(self._acts)
        self.met[name.removeprefix("act_").replace("_", " ")] += 1
        await getattr(self, name)()
        await asyncio.sleep(self.dice.uniform(0.0, 0.4))
        self.look(number)

    def look(self, number: int) -> None:
        """Fail where something is wrong that must not be so even for a while."""
        rows = Rows.of(self.plan.folder)
        self._assert_nothing(broken_meanwhile(self.rows, rows), rows, f"turn {number}")
        self.rows = rows

    def _assert_nothing(self, broken: Iterable[str], rows: Rows, when: str) -> None:
        wrong = list(broken)
        if wrong:
            numbers = sorted({int(found) for found in re.findall(r"(?<=[#/])\d+", str(wrong))})
            print(*map(rows.about, numbers), sep="\n\n")
        assert wrong == [], f"seed {self.seed}, {when}: {wrong}"

    async def calm(self) -> None:
        """Let everything end, with the time that it needs, and fail where something is wrong."""
        self.w.env.backend.faults.clear()
        with contextlib.suppress(Refusal):
            await self.w.bot.services.operations.resume()
        try:
            await until(self._nothing_renders)
            await until(self._nothing_is_owed)
        except BaseException:
            print("open:", *Rows.of(self.plan.folder).open_ones(), sep="\n  ")
            raise
        rows = Rows.of(self.plan.folder)
        self._assert_nothing(broken_meanwhile(self.rows, rows), rows, "the end")
        self.rows = rows
        at_last = broken_at_last(rows, self._marks(), self.plan.folder)
        self._assert_nothing(at_last, rows, "the end")

    async def _nothing_renders(self) -> bool:
        jobs = Rows.of(self.plan.folder).jobs.values()
        for job in jobs:
            endless = job["prompt"].startswith(("long", "linger"))
            if job["status"] == "running" and endless and not job["stopping"]:
                with contextlib.suppress(Refusal):
                    await self.w.studio.cancel(job["id"], member(0, self.w.guild.id, manager=True))
        await asyncio.sleep(0.2)
        return not any(job["status"] in ("queued", "running") for job in jobs)

    async def _nothing_is_owed(self) -> bool:
        self.clock.turn(minutes=6)  # longer than any pause
        await asyncio.sleep(0.5)
        previews = await self.w.bot.services.outbox.previews_to_replace()
        return not Rows.of(self.plan.folder).open_ones() and not previews

    def _marks(self) -> Counter[str]:
        """Count the marks of all posts that members see, in the channel and directly."""
        places = [self.w.music.id, *(each.user.dm_channel.id for each in self._everybody())]
        stored = self.w.env.backend.messages
        return Counter(
            embed["footer"]["text"].split(" · ")[0]
            for place in places
            for message in stored.get(place, {}).values()
            for embed in message.embeds
            if embed.get("footer", {}).get("text", "").startswith("Piece #")
            and message.content.startswith("<@")  # what /resend posts calls nobody
        )

    def _members(self) -> tuple[simcord.MemberActor, ...]:
        return self.w.alice, self.w.bob

    def _everybody(self) -> tuple[simcord.MemberActor, ...]:
        return *self._members(), self.w.admin

    def _member(self) -> simcord.MemberActor:
        return self.dice.choice(self._members())

    # What members do.

    async def _asks(self) -> None:
        prompt = self.dice.choice(PROMPTS)
        takes = 2 if prompt == "glutton" else self.dice.choice((1, 1, 2, 3, 5))
        seconds = LENGTHS.get(prompt, self.dice.randint(1, 8))
        if prompt in LENGTHS:
            takes = min(takes, 150 // seconds)
        await self._member().slash(
            self.w.music, "generate", prompt=prompt, duration=seconds, takes=takes
        )

    def _controls(self, kind: str) -> list[tuple[Any, str]]:
        """Return the messages that have such a button, and each button's id."""
        found = []
        for message in self.w.env.backend.messages.get(self.w.music.id, {}).values():
            for row in message.components:
                for control in row.get("components", ()):
                    name = control.get("custom_id", "")
                    if name.startswith(f"{kind}:") and not message.flags & 64:
                        found.append((message, name))
        return found

    async def _press(self, kind: str, newest: int = 12) -> simcord.InteractionResult | None:
        found = self._controls(kind)[-newest:]
        if not found:
            return None
        message, name = self.dice.choice(found)
        with contextlib.suppress(simcord.BackendError):  # it is deleted meanwhile
            who = self.w.admin if self.dice.random() < 0.2 else self._member()
            return await who.click(to_discord_message(self.w.env, message), custom_id=name)
        return None

    async def _press_and_choose(self, kind: str) -> None:
        shown = await self._press(kind)
        if shown is None or shown.response is None or not shown.response.components:
            return
        row, *_ = shown.response.components
        (select, *_) = row["components"]
        if "options" in select:
            value = self.dice.choice(select["options"])["value"]
            who = next(m for m in self._everybody() if m.id == shown._interaction.user_id)
            await who.select(shown.response.message, values=[value])

    async def act_a_member_cancels(self) -> None:
        await self._press("cancel")

    async def act_a_member_stops(self) -> None:
        await self._press("stop")

    async def act_a_member_extends(self) -> None:
        await self._press_and_choose("extend")

    async def act_a_member_saves(self) -> None:
        await self._press_and_choose("save")

    async def act_a_member_asks_again(self) -> None:
        await self._press("again")

    async def act_a_member_edits(self) -> None:
        form = await self._press("edit")
        if form is None or form.modal is None:
            return
        fields = [label["component"] for label in form.modal["components"]]
        said = {
            field["custom_id"]: [
                option["value"] for option in field["options"] if option.get("default")
            ]
            if "options" in field
            else field.get("value") or ""
            for field in fields
        }
        who = next(m for m in self._everybody() if m.id == form._interaction.user_id)
        await who.submit_modal(
            form, said | {"prompt": "play it otherwise", "takes": "2", "seconds": "3"}
        )

    async def act_a_member_deletes(self) -> None:
        question = await self._press("delete")
        if question and question.response and question.response.components:
            who = next(m for m in self._everybody() if m.id == question._interaction.user_id)
            await who.click(question.response.message, label="Delete")

    async def act_a_member_has_it_posted_again(self) -> None:
        await self._press("post-again")

    async def act_a_member_is_forgotten(self) -> None:
        await self.w.bot.services.archive.forget(self._member().id)

    async def act_two_things_happen_at_once(self) -> None:
        number = self.dice.choice([0, *self.rows.jobs][-8:])
        if number:
            both = (call(number) for call in self.dice.sample(self._calls(), 2))
            for outcome in await asyncio.gather(*both, return_exceptions=True):
                assert not isinstance(outcome, BaseException) or isinstance(outcome, Refusal), (
                    outcome
                )

    def _calls(self) -> list[Callable[[int], Awaitable[object]]]:
        services, guild = self.w.services, self.w.guild.id
        studio, pieces, archive = services.studio, services.pieces, services.archive
        viewer = member(self._member().id, guild, manager=True)

        async def extend(number: int) -> None:
            job = await studio.job(number)
            await studio.submit(job.origin, await pieces.extension(number, 1, 5, viewer))

        async def post_again(number: int) -> None:
            job = await studio.job(number)
            await studio.post_again(number, NOBODY, member(job.origin.user_id, guild))

        return [
            partial(studio.cancel, viewer=viewer),
            partial(studio.stop, viewer=viewer),
            partial(archive.delete, viewer=viewer),
            partial(pieces.takes, viewer=viewer),
            extend,
            post_again,
        ]

    async def act_a_piece_is_sent_again(self) -> None:
        delivered = [
            number for number, job in self.rows.jobs.items() if job["status"] == "delivered"
        ]
        if delivered:
            await self._member().slash(self.w.music, "resend", number=self.dice.choice(delivered))

    # What admins and the operator do.

    async def _admin(self, command: str, **options: Any) -> None:
        await self.w.admin.slash(self.w.music, command, member=self._member(), **options)

    async def act_an_admin_grants(self) -> None:
        seconds, days = self.dice.randint(5, 60), self.dice.choice((1, 2, None))
        more = {"days": days} if days else {}
        await self._admin("quota grant", seconds=seconds, reason="a storm", **more)

    async def act_an_admin_resets(self) -> None:
        member = self._member()
        asked = await self.w.admin.slash(self.w.music, "quota reset", member=member)
        await self.w.admin.click(answered(asked).message, label="Reset")

    async def act_an_admin_sets_and_clears(self) -> None:
        await self._admin("quota set", **{"seconds-per-day": self.dice.choice((0, 20, 300))})
        await asyncio.sleep(0.1)
        await self._admin("quota clear")

    async def act_the_studio_is_paused(self) -> None:
        await self.w.bot.services.operations.pause("a storm")
        await asyncio.sleep(0.2)
        await self.w.bot.services.operations.resume()

    async def act_music_is_pruned(self) -> None:
        keep = Keep(days=self.dice.choice((0, 1, 30)), most=self.dice.choice((10**5, 10**9)))
        await self.w.bot.services.archive.prune(keep)

    async def act_the_bot_is_started_again(self) -> None:
        await self.w.restart(self.plan)
        # A first engine that cannot start ends the program, for whoever started it to see why.
        await until(self._ready)

    async def _ready(self) -> bool:
        return await engines.state(self.w.database) is EngineState.READY

    # What happens to the clock, the engine and Discord.

    async def act_the_clock_goes_on(self) -> None:
        self.clock.turn(minutes=self.dice.choice((6, 20, 600, 1500)))

    async def act_the_clock_is_set_back_and_right_again(self) -> None:
        self.clock.wrong_by = -timedelta(minutes=self.dice.choice((1, 30, 3 * 1440)))
        await self._asks()
        await asyncio.sleep(0.5)
        self.clock.wrong_by = timedelta()

    def _engines(self) -> list[int]:
        return children(os.getpid())

    def _one_engine(self) -> list[int]:
        there = sorted(filter(None, self.w.services.metrics.engines.values()))
        return [self.dice.choice(there)] if there else []

    def _signal(self, engines: list[int], number: signal.Signals) -> None:
        for engine in filter(alive, engines):
            os.kill(engine, number)

    async def _hush(self, engines: list[int]) -> None:
        self._signal(engines, signal.SIGSTOP)
        await asyncio.sleep(2.5)  # at work it is replaced after two seconds
        self._signal(engines, signal.SIGCONT)  # while it loads it would be given half an hour

    async def act_the_engines_are_killed(self) -> None:
        self._signal(self._engines(), self.dice.choice((signal.SIGKILL, signal.SIGSEGV)))

    async def act_one_of_the_engines_is_killed(self) -> None:
        self._signal(self._one_engine(), self.dice.choice((signal.SIGKILL, signal.SIGSEGV)))

    async def act_the_engines_fall_silent(self) -> None:
        await self._hush(self._engines())

    async def act_one_of_the_engines_falls_silent(self) -> None:
        await self._hush(self._one_engine())

    async def act_an_engine_is_taken_out(self) -> None:
        operations = self.w.services.operations
        with contextlib.suppress(Refusal):  # there is none so soon after a start
            name = self.dice.choice([each.name for each in self.plan.placements])
            await operations.pause_engine(name)
            await self._asks()
            await asyncio.sleep(0.5)
            await operations.resume_engine(name)

    def _inject(self, status: int, code: int = 0, method: str = "POST") -> None:
        self.w.env.backend.faults.clear()  # those that nobody met would pile up
        place = self.dice.choice(PLACES) if method == "POST" else "/channels/*/messages/*"
        times = self.dice.randint(1, 3)
        self.w.env.inject_error(method, place, status=status, code=code, times=times)

    async def act_discord_has_a_fault(self) -> None:
        self._inject(self.dice.choice((500, 502, 503)))

    async def act_discord_forbids_it(self) -> None:
        self._inject(403, 50013)

    async def act_every_route_is_closed(self) -> None:
        self.w.env.backend.faults.clear()
        for place in PLACES:
            self.w.env.inject_error("POST", place, status=403, code=50007, times=4)

    async def act_discord_finds_it_too_large(self) -> None:
        # As if a day had passed since the last time: else all would come in parts from then on.
        async with self.w.database.transaction() as tx:
            await tx.execute("DELETE FROM uploads")
        self._inject(413, 40005)

    async def act_edits_fail(self) -> None:
        self._inject(500, method="PATCH")

    async def act_answers_are_lost(self) -> None:
        with self._lost():
            await self._asks()
            await asyncio.sleep(0.5)

    @contextlib.contextmanager
    def _lost(self) -> Iterator[None]:
        with lost_answers(self.w.bot, times=2):
            yield
