"""The actors: one on each place of the cluster, made and forgotten as nodes come and go."""

import asyncio
import logging
import math
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import ActorUnavailableError, RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from bot.engine.link import versions
from bot.engine.link.messages import Begin, End, Ended, Engines, FromLink, Tell, ToLink, Trouble
from bot.engine.link.nodes import SHARE, EnginePlace, gone, on_loopback, places
from bot.engine.link.session import ActorHandle, NodeSession
from bot.engine.link.station import Station
from bot.errors import OperatorError

log = logging.getLogger(__name__)

LOOK_INTERVAL = 2.0
"""Seconds between two looks at which nodes there are."""

ANSWER_PAUSE = 0.5
"""Seconds between two questions to an actor that cannot be reached."""

REPLACE_PAUSE = 30.0
"""Seconds until a place is tried again on which no actor could be."""


@dataclass(slots=True, eq=False)
class PlacedActor:
    """An actor on its place; it counts once it has answered."""

    place: EnginePlace
    actor: ActorHandle
    greeting: "asyncio.Task[None] | None" = None
    answered: bool = False
    refused: float | None = None
    """When it turned out that it cannot be, by a clock that nobody sets."""


class Actors:
    """Keeps an actor on each place, and the sessions that the bot has with them."""

    def __init__(
        self,
        words: Sequence[str],
        say: Callable[[FromLink], None],
        *,
        silence: float,
        token: bool,
    ) -> None:
        """Run a command on each; what there is to say goes to `say`.

        One that says nothing for `silence` seconds is replaced. Without a `token` anybody may run
        anything on a node: then all must be on loopback.
        """
        self._words, self._say, self._silence, self._token = words, say, silence, token
        self._engines: dict[EnginePlace, PlacedActor] = {}
        self._sessions: dict[int, tuple[NodeSession, asyncio.Task[None]]] = {}
        self._troubles: set[str] = set()
        self._me = ray.get_runtime_context().get_node_id()

    async def serve(self, inbox: "asyncio.Queue[ToLink]") -> None:
        """Do what the bot wants, for ever; raise OperatorError if our own node is lost."""
        try:
            async with asyncio.TaskGroup() as self._tasks:
                self._tasks.create_task(self._watch())
                while True:
                    self._heed(await inbox.get())
        except* OperatorError as lost:
            raise lost.exceptions[0] from None

    async def _watch(self) -> None:
        """Follow the nodes that there are, and tell at every look that there is somebody."""
        while True:
            nodes = await asyncio.to_thread(self._nodes)
            self._reconcile(places(nodes))
            self._announce()
            await asyncio.sleep(LOOK_INTERVAL)

    def _heed(self, told: ToLink) -> None:
        match told:
            case Begin():
                self._begin(told)
            case Tell(session=number, line=line):
                if number in self._sessions:
                    self._sessions[number][0].tell(line)
            case End(session=number):
                # One that ends already must come to its end, and will say so.
                if number in self._sessions and not self._sessions[number][0].ending:
                    self._sessions[number][1].cancel()

    def _begin(self, told: Begin) -> None:
        found = [each for each in self._engines.values() if each.place.name == told.engine]
        if not found:
            self._say(Ended(session=told.session, reason="is no longer in the cluster"))
            return
        session, engine = NodeSession(told.session, self._say, self._silence), found[0]
        running = session.run(engine.actor, engine.place, self._words, sys.executable)
        task = self._tasks.create_task(running)
        self._sessions[told.session] = session, task
        # Not at the end of `run`, which one that is cancelled at once never comes to.
        task.add_done_callback(lambda _: self._ended(told.session, engine))

    def _ended(self, number: int, engine: PlacedActor) -> None:
        session, _ = self._sessions.pop(number)
        self._say(Ended(session=number, reason=session.reason))
        if session.useless:
            engine.refused = -math.inf

    def _nodes(self) -> list[dict[str, Any]]:
        alive = [node for node in ray.nodes() if node["Alive"]]
        # All at once: each that does not answer takes a second, and the bot waits for the look.
        with ThreadPoolExecutor(len(alive) or 1) as pool:
            lost = list(pool.map(gone, alive))
        there = [node for node, is_lost in zip(alive, lost, strict=True) if not is_lost]
        if self._me not in {node["NodeID"] for node in there}:
            # Every actor has died with it, for good, and Ray does not say so.
            raise OperatorError("Ray's node on the bot's own machine is lost.")
        return [node for node in there if self._guarded(node)]

    def _guarded(self, node: dict[str, Any]) -> bool:
        address = node["NodeManagerAddress"]
        if self._token or on_loopback(address):
            return True
        self._complain(f"The node {address} is left out: without a token, all must be on loopback.")
        return False

    def _reconcile(self, there: set[EnginePlace]) -> None:
        now = time.monotonic()
        for place, engine in list(self._engines.items()):
            tried = engine.refused is not None and now - engine.refused > REPLACE_PAUSE
            if tried or place not in there:
                self._drop(self._engines.pop(place))
        for place in there - self._engines.keys():
            engine = self._engines[place] = PlacedActor(place, start_actor(place))
            engine.greeting = self._tasks.create_task(self._greet(engine))

    def _drop(self, engine: PlacedActor) -> None:
        if engine.greeting:
            engine.greeting.cancel()
        ray.kill(engine.actor)

    async def _greet(self, engine: PlacedActor) -> None:
        """Wait for an actor's answer, and let it count if it is of the bot's own versions."""
        name = engine.place.name
        try:
            async with asyncio.timeout(self._silence):
                theirs = await self._versions(engine.actor)
            differs = versions.difference(versions.here(), theirs)
            trouble = f"The engine {name} is left out: {differs}." if differs else ""
        except TimeoutError:
            trouble = f"The engine {name} does not answer: it is tried again now and then."
        except RayError as error:
            *_, last = str(error).strip().splitlines()  # before it stands where it came from
            trouble = (
                f"The engine {name} cannot start: {last.strip()}. Ray must be started on its node "
                "in Fantasia's folder, with PYTHONPATH=."
            )
        if trouble:
            engine.refused = time.monotonic()
            self._complain(trouble)
        else:
            engine.answered = True
            self._announce()

    async def _versions(self, actor: ActorHandle) -> dict[str, str]:
        while True:
            try:
                found: dict[str, str] = await actor.versions.remote()
                return found
            except ActorUnavailableError:
                await asyncio.sleep(ANSWER_PAUSE)

    def _complain(self, trouble: str) -> None:
        if trouble not in self._troubles:
            self._troubles.add(trouble)
            self._say(Trouble(reason=trouble))

    def _announce(self) -> None:
        names = sorted(each.place.name for each in self._engines.values() if each.answered)
        self._say(Engines(names=tuple(names)))


def start_actor(place: EnginePlace) -> ActorHandle:
    """Return an actor that stays on its place, and is started again there if it dies."""
    needs: dict[str, Any] = {"num_gpus": 1} if place.gpu else {"resources": {SHARE: 1}}
    remote = ray.remote(num_cpus=0, max_restarts=-1, max_task_retries=0, **needs)(Station)
    here = NodeAffinitySchedulingStrategy(place.node, soft=False)
    return remote.options(scheduling_strategy=here).remote()
