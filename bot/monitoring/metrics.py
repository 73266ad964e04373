"""What is measured for monitoring: events as they happen, and the state as it is asked for.

Names, meanings and labels are in docs/metrics.md.
"""

import platform
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

from prometheus_client import CollectorRegistry, Counter, Histogram, Info, ProcessCollector
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from bot import __version__
from bot.errors import RefusalKind
from bot.values import EngineState, Stats, Status

WAIT_BUCKETS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600)
RENDER_BUCKETS = (1, 2, 5, 10, 20, 40, 60, 120, 300, 600)
DELIVERY_BUCKETS = (0.25, 0.5, 1, 2, 5, 10, 30, 60, 300, 1800)
"""Upper bounds in seconds; the last one of a wait is where a member has given up long ago."""


class Metrics:
    """What has happened since the start, each noted by the room where it happens."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        build = Info("fantasia_build", "What runs", registry=registry)
        build.info({"version": __version__, "python": platform.python_version()})
        histogram = partial(Histogram, registry=registry)
        counter = partial(Counter, registry=registry)
        self.waits = histogram(
            "fantasia_wait_seconds", "From a request to its first start", buckets=WAIT_BUCKETS
        )
        made = "From the start of a request to all of its music"
        self.renders = histogram("fantasia_render_seconds", made, ["model"], buckets=RENDER_BUCKETS)
        posted = "From a piece's music to a message with it"
        self.deliveries = histogram("fantasia_delivery_seconds", posted, buckets=DELIVERY_BUCKETS)
        self.refusals = counter("fantasia_refusals", "What members were refused", ["reason"])
        for kind in RefusalKind:  # a series that begins with its first event has no rate
            self.refusals.labels(kind)
        lost = "Times that an engine was lost"
        self.engine_restarts = counter("fantasia_engine_restarts", lost, ["engine"])
        self.engines: dict[str, int | None] = {}
        """The process ids of the engines that run, None for one on another machine."""
        # Read from /proc at each scrape, so that there is nothing on other systems than Linux.
        ProcessCollector(registry=registry)
        registry.register(EngineProcesses(self.engines))


class EngineProcesses(Collector):
    """What is known of each engine's process, by the engine's name."""

    def __init__(self, engines: Mapping[str, int | None]) -> None:
        """Collect from /proc of those that have a process here, by its id."""
        self._engines = engines

    def collect(self) -> Iterable[Metric]:
        """Give each metric a sample for each engine; ProcessCollector itself knows no labels."""
        found: dict[str, Metric] = {}
        for engine, process in self._engines.items():
            if process is None:
                continue
            of_one = ProcessCollector("fantasia_engine", partial(int, process), registry=None)
            for metric in of_one.collect():
                known = Metric(metric.name, metric.documentation, metric.type)
                known = found.setdefault(metric.name, known)
                for sample in metric.samples:
                    known.add_sample(sample.name, {"engine": engine}, sample.value)
        return found.values()


class Snapshot(Collector):
    """The state of one moment."""

    def __init__(self, stats: Stats, lag: float, latency: float, *, connected: bool) -> None:
        self._stats, self._lag, self._latency = stats, lag, latency
        self._connected = connected

    def collect(self) -> Iterable[Metric]:
        """Give every metric its value."""
        stats = self._stats
        jobs = [((status,), stats.jobs.get(status, 0)) for status in Status]
        yield _gauge("jobs", "Jobs by state", jobs, "state")
        faults = CounterMetricFamily("fantasia_failures", "Failed jobs by kind", labels=["kind"])
        for kind, count in stats.faults.items():
            faults.add_metric([kind], count)
        yield faults
        ready = [((each.name,), each.state is EngineState.READY) for each in stats.engines]
        yield _gauge("engine_ready", "1 while the engine can render", ready, "engine")
        paused = [((each.name,), each.paused) for each in stats.engines]
        yield _gauge("engine_paused", "1 while the engine is taken out", paused, "engine")
        speeds = ((each.name, each.speeds) for each in stats.engines)
        paces = [((name, model), at.pace) for name, of in speeds for model, at in of.items()]
        yield _gauge(
            "pace_seconds", "Work per second of music, as measured", paces, "engine", "model"
        )
        for name, help_, value in (
            ("queue_length", "Jobs waiting", stats.jobs.get(Status.QUEUED, 0)),
            ("queue_wait_seconds", "How long the oldest one has waited", stats.waited),
            ("posts_owed", "Messages not delivered yet", stats.owed),
            ("music_seconds_a_day", "Music rendered in the last 24 hours", stats.rendered[1]),
            ("kept_bytes", "Size of the kept music", stats.kept_bytes),
            ("free_bytes", "Free disk", stats.free_bytes),
            ("paused", "1 while the studio is paused", stats.paused is not None),
            ("draining", "1 while the program is shutting down", stats.draining),
            ("discord_connected", "1 while Discord is connected", self._connected),
            ("event_loop_lag_seconds", "Worst since the last scrape", self._lag),
            ("discord_latency_seconds", "Heartbeat of the gateway", self._latency),
        ):
            yield _gauge(name, help_, [((), value)])


def _gauge(
    name: str, help_: str, values: Iterable[tuple[Sequence[str], float]], *labels: str
) -> Metric:
    """Return a gauge with a value for each combination of its labels' values."""
    gauge = GaugeMetricFamily(f"fantasia_{name}", help_, labels=labels)
    for of, value in values:
        gauge.add_metric(of, float(value))
    return gauge
