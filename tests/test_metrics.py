"""What is measured: each event once, and every name where operators read of it."""

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest
import yaml
from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from bot import __version__
from bot.app import Plan
from bot.engine.placement import Placement
from bot.errors import RefusalKind
from bot.monitoring.server import Pulse, serving
from bot.values import EngineState, Fault, Status
from tests.support.clock import until
from tests.support.studio import GENEROUS
from tests.support.world import World, world

NAME = re.compile(r"\b((?:fantasia|process)_[a-z_]+)\b(?!=)")
FREE_OF_ONE = replace(GENEROUS, takes=1)


async def scraped(w: World) -> list[Metric]:
    """Return what Prometheus reads of a bot."""
    async with (
        serving(w.bot, Pulse(w.database), "127.0.0.1", 0) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}") as session,
        session.get("/metrics") as answer,
    ):
        return list(text_string_to_metric_families(await answer.text()))


def values(families: list[Metric]) -> dict[tuple[str, ...], float]:
    """Return all samples by their name and labels."""
    return {
        (sample.name, *sample.labels.values()): sample.value
        for family in families
        for sample in family.samples
    }


async def test_waits_renders_deliveries_refusals_and_lost_engines_are_counted(plan: Plan) -> None:
    async with world(replace(plan, defaults=(FREE_OF_ONE,))) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        await w.generate("crash once")
        await w.ended(2, Status.DELIVERED)
        await w.alice.slash(w.music, "generate", prompt="play", duration=2, takes=2)
        await w.alice.slash(w.music, "piece", number=77)
        found = values(await scraped(w))
    assert found["fantasia_wait_seconds_count",] == 2, "a second attempt has not waited anew"
    assert found["fantasia_render_seconds_count", "scripted"] == 2
    assert found["fantasia_delivery_seconds_count",] == 2
    assert 0 < found["fantasia_render_seconds_sum", "scripted"] < 60
    refused = {kind: found["fantasia_refusals_total", kind] for kind in RefusalKind}
    assert {kind: count for kind, count in refused.items() if count} == {
        RefusalKind.TIER: 1,
        RefusalKind.REQUEST: 1,
    }
    assert found["fantasia_engine_restarts_total", "cpu-0"] == 1
    assert any(key[0] == "fantasia_build_info" and __version__ in key for key in found)
    bot, engine = "process_resident_memory_bytes", "fantasia_engine_process_resident_memory_bytes"
    assert found[bot,] > 1e6
    assert found[engine, "cpu-0"] > 1e6


async def test_each_engine_is_measured_by_its_name(plan: Plan) -> None:
    names = ("gpu-0", "gpu-1")
    async with world(replace(plan, placements=tuple(map(Placement, names)))) as w:

        async def ready() -> bool:
            found = await w.services.operations.engines()
            return [engine.state for engine in found] == [EngineState.READY] * 2

        await until(ready)
        await w.services.operations.pause_engine("gpu-1")
        found = values(await scraped(w))
    for name in names:
        assert found["fantasia_engine_ready", name] == 1
        assert found["fantasia_engine_paused", name] == (name == "gpu-1")
        assert found["fantasia_pace_seconds", name, "scripted"] == 0.25
        assert found["fantasia_engine_restarts_total", name] == 0
    began, cores = "process_start_time_seconds", "process_cpu_seconds_total"
    own = [found[f"fantasia_engine_{began}", name] for name in names]
    assert found[began,] < own[0] < own[1], "one after the other"
    assert all(found[f"fantasia_engine_{cores}", name] > 0 for name in names)


def exposed(families: list[Metric]) -> set[str]:
    """Return the names that can be asked for; those of when a series began are for nobody."""
    samples = {sample.name for family in families for sample in family.samples}
    # A counter without labels yet has no samples, but will have.
    counters = {f"{family.name}_total" for family in families if family.type == "counter"}
    return {name for name in samples | counters if not name.endswith("_created")}


def written(text: str) -> set[str]:
    return set(NAME.findall(text))


def whole(name: str) -> str:
    """Return the name of a histogram's parts."""
    return re.sub(r"_(bucket|count|sum)$", "", name)


async def test_every_metric_is_documented_and_drawn_and_no_other_is_named(plan: Plan) -> None:
    async with world(plan) as w:
        await w.generate("play")
        await w.ended(1, Status.DELIVERED)
        served = exposed(await scraped(w))
    documented = written(Path("docs/metrics.md").read_text())
    assert documented == {*map(whole, served)}
    drawn = {name for expression in expressions() for name in written(expression)}
    assert drawn <= served
    ours = {whole(name) for name in served if name.startswith("fantasia_")}
    assert {name for name in ours - {*map(whole, drawn)} if "process_" not in name} == set()
    watched = {name for rule in rules() for name in written(rule["expr"])}
    assert watched <= served


def expressions() -> Iterator[str]:
    """Yield what the dashboard asks for."""
    for panel in json.loads(Path("deploy/grafana.json").read_text())["panels"]:
        yield from (target["expr"] for target in panel["targets"])


def rules() -> list[dict[str, str]]:
    """Return the examples of alerts."""
    (group,) = yaml.safe_load(Path("deploy/alerts.yaml").read_text())["groups"]
    return list(group["rules"])


@pytest.mark.parametrize("label", ["reason", "state", "kind"])
def test_labels_that_are_asked_for_exist(label: str) -> None:
    known = {"reason": RefusalKind, "state": Status, "kind": Fault}[label]
    told = " ".join([*expressions(), *(rule["expr"] for rule in rules())])
    asked = re.findall(rf'{label}!?="(\w+)"', told)
    assert asked
    assert {*asked} <= {*known}


def test_every_reason_and_every_kind_of_a_failure_is_explained() -> None:
    text = Path("docs/metrics.md").read_text()
    first = " ".join(re.findall(r"^\| (.*?) \|", text, re.MULTILINE))
    explained = {*re.findall(r"`(\w+)`", first)}
    # No piece fails by the first; by the others what was rendered is undeliverable.
    elsewhere = {Fault.LOAD, Fault.GONE, Fault.POSTING}
    assert explained >= {*RefusalKind, *Fault} - elsewhere
