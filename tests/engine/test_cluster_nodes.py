"""Where engines go in a cluster, and whom it lets in; without a cluster."""

import asyncio
import os
import shutil
import socket
import sys
import threading
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest
import ray

from bot.engine import cards, cluster
from bot.engine.children import Way
from bot.engine.cluster import Cluster
from bot.engine.link import actors, versions
from bot.engine.link.actors import Actors
from bot.engine.link.messages import Engines, FromLink, Trouble
from bot.engine.link.nodes import EnginePlace, gone, on_loopback, places
from bot.engine.link.session import LARGEST_FILE
from bot.engine.link.station import Station
from bot.engine.messages import fingerprint
from bot.errors import OperatorError
from tests.support.clock import until
from tests.support.processes import children
from tests.support.scripted_child import SCRIPTED


def node(name: str, number: str = "ab12cd34", alive: bool = True, **has: float) -> dict[str, Any]:
    """Return what Ray tells of a node."""
    return {"NodeID": number, "NodeName": name, "Alive": alive, "Resources": has}


def names(*nodes: dict[str, Any]) -> list[str]:
    return sorted(place.name for place in places(nodes))


def test_each_gpu_has_an_engine_and_a_node_without_one_as_many_as_it_says() -> None:
    assert names(node("a", GPU=2.0, fantasia=3.0)) == ["a/gpu-0", "a/gpu-1"]
    assert names(node("b", CPU=8.0, fantasia=2.0)) == ["b/cpu-0", "b/cpu-1"]
    assert names(node("head", CPU=8.0), node("c", alive=False, GPU=1.0)) == []
    (place,) = places([node("a", GPU=1.0)])
    assert place.share is None
    assert EnginePlace("n", "b", gpu=False, number=1, count=2).share == (1, 2)


def test_two_nodes_of_one_name_are_told_apart() -> None:
    two = node("a", "11111111", GPU=1.0), node("a", "22222222", GPU=1.0)
    assert names(*two) == ["a-111111/gpu-0", "a-222222/gpu-0"]


def test_a_node_is_gone_once_nobody_listens_there() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        there = {"NodeManagerAddress": "127.0.0.1", "NodeManagerPort": server.getsockname()[1]}
        assert not gone(there)
    assert gone(there)


@pytest.mark.parametrize(
    ("address", "here"),
    [
        *(("127.0.0.2", True), ("localhost", True), ("::1", True)),
        *(("10.8.0.1", False), ("192.168.1.2", False), ("no-such-host.invalid", False)),
    ],
)
def test_loopback_is_what_no_other_machine_reaches(address: str, here: bool) -> None:
    assert on_loopback(address) is here


def test_without_a_token_a_cluster_must_be_on_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"):
        monkeypatch.delenv(key, raising=False)
    monkeypatch.setenv("HOME", "/nonexistent")
    cluster.check("127.0.0.2:6379")
    refused = "RAY_ADDRESS is 10.8.0.1:6379, and there is no token"
    with pytest.raises(OperatorError, match=refused):
        cluster.check("10.8.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", "/etc/fantasia/ray-token")
    cluster.check("10.8.0.1:6379")
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    with pytest.raises(OperatorError, match=refused):
        cluster.check("10.8.0.1:6379")


LEFT_OUT = Trouble(
    reason="The node 10.8.0.2 is left out: without a token, all must be on loopback."
)


@pytest.mark.parametrize(
    ("token", "names", "troubles"),
    [
        (True, ("far/gpu-0", "here/gpu-0"), ()),
        (False, ("here/gpu-0",), (LEFT_OUT,)),
    ],
)
async def test_without_a_token_a_node_that_others_reach_is_left_out_in_words(
    monkeypatch: pytest.MonkeyPatch, token: bool, names: tuple[str, ...], troubles: tuple[Trouble]
) -> None:
    there = [
        {**node("here", "1", GPU=1.0), "NodeManagerAddress": "127.0.0.2"},
        {**node("far", "2", GPU=1.0), "NodeManagerAddress": "10.8.0.2"},
    ]
    monkeypatch.setattr(
        ray, "get_runtime_context", lambda: SimpleNamespace(get_node_id=lambda: "1")
    )
    monkeypatch.setattr(ray, "nodes", lambda: there)
    asked = threading.Barrier(len(there), timeout=10)  # or each would wait for those before it
    monkeypatch.setattr(actors, "gone", lambda _: asked.wait() < 0)
    monkeypatch.setattr(actors, "start_actor", lambda _: SimpleNamespace(versions=Answering()))
    said = list[FromLink]()
    serving = asyncio.create_task(
        Actors([], said.append, silence=60.0, token=token).serve(asyncio.Queue())
    )
    await until(lambda: asyncio.sleep(0.01, serving.done() or Engines(names=names) in said))
    assert not serving.done()
    serving.cancel()
    await asyncio.wait({serving})
    assert {each for each in said if not isinstance(each, Engines)} == {*troubles}


class Answering:
    """The method of an actor that says which versions its node has."""

    async def remote(self) -> dict[str, str]:
        return versions.here()


def test_the_music_of_the_longest_piece_may_come_from_a_node() -> None:
    longest = cards.card("ace")
    assert longest.sample_rate
    assert longest.channels
    seconds = longest.longest + cards.LONGEST_PIECE
    assert 2 * longest.channels * longest.sample_rate * seconds < LARGEST_FILE


def test_any_version_that_differs_is_named_with_the_bots() -> None:
    mine = versions.here()
    assert mine["protocol"] == fingerprint()
    assert versions.difference(mine, mine) is None
    for part, name in (("ray", "Ray"), ("python", "Python"), ("protocol", "the protocol")):
        said = versions.difference(mine, {**mine, part: "9.9"})
        assert said == f"it has {name} 9.9, and the bot has {mine[part]}"


async def test_a_cluster_that_never_answers_is_given_up_in_words(
    caplog: pytest.LogCaptureFixture,
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        there = Cluster(address, Way(command=SCRIPTED), silence=4.0)
        async with aclosing(there.engines()) as source:
            assert await anext(source) == {}
    assert f"The link to the cluster at {address} said nothing for 4 s." in caplog.text


async def test_a_cluster_that_is_away_is_tried_again_with_growing_pauses_and_told_of_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    pauses, sleep = list[float](), asyncio.sleep

    async def noted(seconds: float) -> None:
        pauses.append(seconds)
        await sleep(0)

    monkeypatch.setattr(asyncio, "sleep", noted)
    monkeypatch.setattr(sys, "executable", shutil.which("false"))
    monkeypatch.setattr(cluster, "LONGEST_LINK_PAUSE", 5.0)
    async with aclosing(Cluster("127.0.0.2:1", Way(command=SCRIPTED)).engines()) as source:
        for _ in range(5):
            assert await anext(source) == {}
    assert pauses == [1, 2, 4, 5]
    assert [line for line in caplog.messages if "no engines" in line] == [
        "no engines until there is a cluster, which is tried again: The link to the cluster at "
        "127.0.0.2:1 ended with code 1; its last words: none."
    ]


async def test_a_node_runs_one_process_at_a_time_whoever_waits_for_its_end() -> None:
    station, before = Station(), {*children(os.getpid())}
    first, *others = [station.run(each, SCRIPTED, sys.executable, None, 60.0) for each in range(3)]
    await anext(first)
    begun = {asyncio.create_task(anext(each)): each for each in others}
    await asyncio.sleep(0)
    await first.aclose()
    for _ in others:
        done, waiting = await asyncio.wait(begun, return_when=asyncio.FIRST_COMPLETED)
        assert len(done) == len({*children(os.getpid())} - before) == 1
        await begun.pop(done.pop()).aclose()
        assert waiting == begun.keys()
    assert {*children(os.getpid())} == before
