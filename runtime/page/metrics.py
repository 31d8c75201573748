"""A station's figures for Prometheus; every name begins with `ganspect_`.

curl http://127.0.0.1:8765/metrics
"""

import time
from collections.abc import Callable, Iterator
from typing import get_args

from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, InfoMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.registry import Collector

from ganspect import __version__
from ganspect.runtime.capture.feed import FeedStatus, State
from ganspect.runtime.page.health import health_of
from ganspect.runtime.station.counts import BOUNDS_MS
from ganspect.runtime.station.station import Station

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_VERDICTS = ("normal", "anomalous", "undecided")


class Metrics:
    """A station's figures in Prometheus' text format."""

    def __init__(self, station: Station) -> None:
        """Look at a station; nothing is registered globally."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(_StationCollector(station))
        ProcessCollector(namespace="ganspect", registry=self._registry)

    def text(self) -> bytes:
        """Return the figures as they are now."""
        return generate_latest(self._registry)


class _StationCollector(Collector):
    def __init__(self, station: Station) -> None:
        self._station = station

    def collect(self) -> Iterator[Metric]:
        station = self._station
        info = InfoMetricFamily("ganspect_station", "What runs")
        backend = station.inspector.backend
        info.add_metric(
            [],
            {
                "station": station.settings.name,
                "version": __version__,
                "backend": backend.name,
                "precision": backend.precision,
                "mode": station.inspector.mode,
                "bundle": station.swap.bundle,
            },
        )
        yield info
        yield _gauge("healthy", "1 while frames are taken and verdicts get to disk", float(health_of(station).ok))
        yield _gauge("paused", "1 while an operator has paused inspection", float(station.paused))
        yield _gauge("threshold", "T, on the scale of the scores", station.inspector.threshold)
        yield _gauge("verdicts_held", "Verdicts that are not on disk yet", station.recorder.held)
        yield _gauge("loop_age_seconds", "Since the inspection loop last turned", time.monotonic() - station.turned_s)
        yield from self._history()
        yield from self._cameras()
        yield from self._verdicts()
        yield from self._sinks()
        yield from self._acting()
        yield from self._drift()

    def _history(self) -> Iterator[Metric]:
        """Yield how verdicts get to disk and leave it, and how they come about."""
        recorder, retention = self._station.recorder, self._station.retention.status()
        judging = self._station.judging.status()
        yield _total("verdicts_kept", "Verdicts that were put on disk", recorder.kept)
        yield _total("verdicts_put_aside", "Verdicts that the history does not take", recorder.rejected)
        yield _total("verdicts_removed", "Old verdicts that were removed", retention.removed)
        if retention.used_mb is not None:
            yield _gauge("history_bytes", "That the history takes, without free pages", retention.used_mb * 2**20)
        yield _gauge("retention_fails", "1 while old verdicts cannot be removed", float(bool(retention.error)))
        yield _gauge("retention_waits", "1 while a sink must deliver them first", float(bool(retention.waits_for)))
        if judging.size is not None:
            yield _gauge("batch_size", "Frames that are judged together at most", judging.size)
        yield _total("batches", "Batches of two or more frames", judging.batches)
        yield _total("batched_frames", "Frames that were in them", judging.frames)
        yield _total("batches_failed", "Batches that failed as a whole", judging.failed)

    def _cameras(self) -> Iterator[Metric]:
        statuses = [feed.status() for feed in self._station.cameras.feeds.values()]
        yield _by_camera("frames", "Frames that came", statuses, lambda one: one.frames)
        yield _by_camera("dropped_frames", "Frames that were not taken in time", statuses, lambda one: one.dropped)
        yield _by_camera("failures", "Failures in opening or reading", statuses, lambda one: one.failures)
        yield _by_camera("opened", "Times it was opened", statuses, lambda one: one.opened)
        age = GaugeMetricFamily("ganspect_camera_frame_age_seconds", "Since the last frame", labels=["camera"])
        state = GaugeMetricFamily("ganspect_camera_state", "1 for the state that it is in", labels=["camera", "state"])
        for one in statuses:
            if one.age_s is not None:
                age.add_metric([one.camera], one.age_s)
            for name in get_args(State):
                state.add_metric([one.camera, name], float(one.state == name))
        yield age
        yield state

    def _verdicts(self) -> Iterator[Metric]:
        verdicts = CounterMetricFamily("ganspect_verdicts", "Frames that were judged", labels=["camera", "verdict"])
        unusable = CounterMetricFamily("ganspect_unusable_frames", "Frames that could not be", labels=["camera"])
        latency = HistogramMetricFamily(
            "ganspect_latency_seconds", "From a frame's arrival to its verdict", labels=["camera"]
        )
        for name, feed in self._station.cameras.feeds.items():
            counts = self._station.counts.of(name)
            for verdict in _VERDICTS:
                verdicts.add_metric([name, verdict], counts.verdicts[verdict])
            unusable.add_metric([name], counts.unusable + feed.status().skipped)
            latency.add_metric([name], _cumulative(counts.latency_bins), counts.latency_sum_ms / 1e3)
        yield verdicts
        yield unusable
        yield latency

    def _sinks(self) -> Iterator[Metric]:
        owed = GaugeMetricFamily("ganspect_sink_owed", "Verdicts on disk, not delivered yet", labels=["sink"])
        delivered = CounterMetricFamily("ganspect_sink_delivered", "Verdicts that were delivered", labels=["sink"])
        failures = CounterMetricFamily("ganspect_sink_failures", "Tries that failed", labels=["sink"])
        refused = CounterMetricFamily("ganspect_sink_refused", "Verdicts never to be taken", labels=["sink"])
        for one in self._station.sinks.status():
            owed.add_metric([one.name], one.owed)
            delivered.add_metric([one.name], one.delivered)
            failures.add_metric([one.name], one.failures)
            refused.add_metric([one.name], one.refused)
        yield refused
        yield owed
        yield delivered
        yield failures
        pictures = self._station.sinks.pictures
        for name, meaning in (("saved", "Pictures that were written"), ("dropped", "Pictures that were not")):
            yield _counter(f"pictures_{name}", meaning, "sink", [(one.name, getattr(one, name)) for one in pictures])

    def _acting(self) -> Iterator[Metric]:
        """Yield what rejects parts and what says that one is there."""
        outputs, triggers = self._station.outputs.status(), self._station.cameras.trigger_status()
        counted = {
            "rejected": "Parts that were rejected",
            "late": "Of these, later than promised",
            "dropped": "Parts that were not, since too many waited",
            "failed": "Parts that were not, since it could not be done in time",
        }
        for name, meaning in counted.items():
            yield _counter(f"output_{name}", meaning, "output", [(one.name, getattr(one, name)) for one in outputs])
        safe = GaugeMetricFamily("ganspect_output_safe", "1 while it is in its safe state", labels=["output"])
        delay = GaugeMetricFamily(
            "ganspect_output_delay_seconds", "From signal or arrival to the action", labels=["output", "quantile"]
        )
        for one in outputs:
            safe.add_metric([one.name], float(bool(one.safe)))
            for quantile, delay_ms in (("0.5", one.delay_p50_ms), ("0.99", one.delay_p99_ms)):
                if delay_ms is not None:
                    delay.add_metric([one.name, quantile], delay_ms / 1e3)
        yield safe
        yield delay
        yield _counter(
            "trigger_signals", "Signals that came", "camera", [(one.camera, one.signals) for one in triggers]
        )
        missed = [(one.camera, one.missed) for one in triggers]
        yield _counter("trigger_missed", "Signals without a frame: parts that nobody has seen", "camera", missed)

    def _drift(self) -> Iterator[Metric]:
        statuses = self._station.drift.status()
        measures = {
            "psi": "Population stability index of start scores against the reference",
            "ks": "Kolmogorov-Smirnov distance of start scores from the reference",
            "alarmed": "1 while there is drift",
        }
        for name, meaning in measures.items():
            family = GaugeMetricFamily(f"ganspect_drift_{name}", meaning, labels=["camera"])
            for one in statuses:
                if (value := getattr(one, name)) is not None:
                    family.add_metric([one.camera], float(value))
            yield family
        swap = self._station.swap.status()
        for name, meaning in (
            ("swapped", "Bundles that took over"),
            ("refused", "Bundles that were refused"),
            ("rolled_back", "Bundles that failed in their first frames"),
        ):
            yield _total(f"bundles_{name}", meaning, getattr(swap, name))


def _counter(name: str, meaning: str, label: str, values: list[tuple[str, int]]) -> Metric:
    family = CounterMetricFamily(f"ganspect_{name}", meaning, labels=[label])
    for of, value in values:
        family.add_metric([of], value)
    return family


def _total(name: str, meaning: str, value: int) -> Metric:
    return CounterMetricFamily(f"ganspect_{name}", meaning, value)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(f"ganspect_{name}", meaning, value)


def _by_camera(name: str, meaning: str, statuses: list[FeedStatus], value: Callable[[FeedStatus], float]) -> Metric:
    family = CounterMetricFamily(f"ganspect_camera_{name}", meaning, labels=["camera"])
    for one in statuses:
        family.add_metric([one.camera], value(one))
    return family


def _cumulative(bins: list[int]) -> list[tuple[str, float]]:
    total, found = 0, []
    for bound, count in zip([*(str(ms / 1e3) for ms in BOUNDS_MS), "+Inf"], bins, strict=True):
        total += count
        found.append((bound, float(total)))
    return found
